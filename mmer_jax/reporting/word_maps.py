r"""Shows what a model looked at, word by word: one page of utterances.

Example:
  python -m mmer_jax.word_maps --workdir=runs/h_mm_4 --split=test --count=20

For models that read words (multiview's h_mm_*): the darker a word, the more it
counted; the bars over it are the acoustic (left, blue) and the lexical (right,
red) share, where the model weighs modalities. Aguilar et al. 2019, Figures 3, 7
and 8. Writes WORKDIR/figures/word_maps.html and .json.
"""

import html
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.data import normalise, shards
from mmer_jax.evaluation import restore
from mmer_jax.experiment import build
from mmer_jax.training import session as session_lib

_STYLE = """
body { font: 16px/1.4 sans-serif; margin: 2em auto; max-width: 60em; }
.utterance { margin: 1.2em 0; }
.about { color: #555; font-size: 80%; }
.word { display: inline-block; margin: 0 .15em; padding: 0 .2em;
  text-align: center; vertical-align: bottom; }
.bars { height: 24px; }
.bar { display: inline-block; width: 8px; vertical-align: bottom; }
"""
_BAR = 22


def word_maps(
  folder: pathlib.Path, *, split: str, run: int, count: int
) -> dict[str, Any]:
  """What a run's model makes of some utterances of a split, in order.

  Args:
    folder: A finished workdir.
    split: Of the run's fold.
    run: Its number.
    count: At most so many utterances.

  Returns:
    For JSON: the utterances, each with `id`, `true`, `chosen`, `words`,
    `attention` and `acoustic`, an entry for every word (`acoustic` is None
    where the model does not weigh modalities).

  Raises:
    UserError: The workdir's system reads no words, or has no such run.
  """
  experiment = build.build_experiment(workdir.read_config(folder))
  if experiment.system.words is None:
    raise errors.UserError(
      f"{folder} was trained with a model that does not weigh words; train one"
      " that does, such as multiview with config.model.view h_mm_4"
    )
  if not 0 <= run < len(experiment.records):
    raise errors.UserError(
      f"--run is {run}, expected one of the workdir's 0 to"
      f" {len(experiment.records) - 1}"
    )
  record = experiment.records[run]
  rows = getattr(record.fold, split)[:count]
  restored = restore.restore(
    folder,
    session_lib.open_session(experiment),
    len(experiment.corpus.emotions),
  )
  params, settings = jax.tree.map(
    lambda leaf: jnp.asarray(leaf[run]), (restored.params[-1], restored.runs)
  )

  @jax.jit
  def look(batch: Any) -> tuple[Any, Any]:
    batch = normalise.normalise(batch, settings.mean, settings.scale)
    batch = normalise.keep_modalities(batch, settings.keep)
    system, vectors = experiment.system, settings.vectors
    return (
      system.words(params, batch, vectors),
      system.predict(params, batch, vectors).logits.argmax(axis=-1),
    )

  maps, chosen = jax.tree.map(
    np.asarray, look(experiment.corpus.table.take(np.asarray(rows)))
  )
  ids = experiment.corpus.columns["id"][rows].tolist()
  texts = _texts(pathlib.Path(experiment.config.data.dir), set(ids))
  emotions = experiment.corpus.emotions
  found = []
  for place, (row, name) in enumerate(zip(rows, ids, strict=True)):
    words = texts[name][: maps.attention.shape[1]]
    shares = None
    if maps.acoustic is not None:
      shares = maps.acoustic[place, : len(words)].tolist()
    found.append(
      {
        "id": name,
        "true": emotions[int(experiment.corpus.labels[row].argmax())],
        "chosen": emotions[int(chosen[place])],
        "words": words,
        "attention": maps.attention[place, : len(words)].tolist(),
        "acoustic": shares,
      }
    )
  return {
    "figure": "word_maps",
    "split": split,
    "run": record.describe(),
    "utterances": found,
  }


def _texts(folder: pathlib.Path, wanted: set[str]) -> dict[str, list[str]]:
  """The words of some utterances; numbers where the shards have no text."""
  found = {}
  for _, example in shards.read_examples(folder):
    if example["id"] not in wanted:
      continue
    count = len(example["lexical"])
    words = example.get("words", [f"[{w}]" for w in range(1, count + 1)])
    found[example["id"]] = [
      word.decode() if isinstance(word, bytes) else str(word) for word in words
    ]
  return found


def page(content: dict[str, Any]) -> str:
  """The utterances as one HTML page, those judged rightly first."""
  parts = [
    "<!doctype html><meta charset='utf-8'><title>What counted</title>",
    f"<style>{_STYLE}</style><h1>What counted, word by word</h1>",
    f"<p class='about'>{html.escape(content['run'])},"
    f" {html.escape(content['split'])} split. The darker a word, the more it"
    " counted. Bars: <span style='color:#1f77b4'>acoustic</span>,"
    " <span style='color:#d62728'>lexical</span> share.</p>",
  ]
  for title, right in (("Right", True), ("Wrong", False)):
    chosen = [
      entry
      for entry in content["utterances"]
      if (entry["true"] == entry["chosen"]) == right
    ]
    parts.append(f"<h2>{title}: {len(chosen)}</h2>")
    parts += [_utterance(entry) for entry in chosen]
  return "\n".join(parts) + "\n"


def _utterance(entry: dict[str, Any]) -> str:
  most = max(entry["attention"], default=0.0)
  shares = entry["acoustic"] or [None] * len(entry["words"])
  words = []
  for word, weight, share in zip(
    entry["words"], entry["attention"], shares, strict=True
  ):
    bars = ""
    if share is not None:
      bars = "<div class='bars'>" + "".join(
        f"<span class='bar' style='height:{_BAR * part:.1f}px;"
        f"background:{colour}' title='{name} {part:.2f}'></span>"
        for name, part, colour in (
          ("acoustic", share, "#1f77b4"),
          ("lexical", 1 - share, "#d62728"),
        )
      )
      bars += "</div>"
    dark = weight / most if most else 0.0
    words.append(
      f"<span class='word' title='{weight:.3f}' style='background:"
      f"rgba(255,165,0,{dark:.2f})'>{bars}{html.escape(word)}</span>"
    )
  return (
    f"<div class='utterance'><div>{''.join(words)}</div><div class='about'>"
    f"{html.escape(entry['id'])}: {html.escape(entry['true'])}, chosen"
    f" <i>{html.escape(entry['chosen'])}</i></div></div>"
  )
