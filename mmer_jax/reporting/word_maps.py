"""Computes what a model looked at, word by word, for some utterances.

Source: Aguilar et al. 2019, Figures 3, 7 and 8.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax.base import errors, progress, workdir
from mmer_jax.data import normalise, shards
from mmer_jax.evaluation import restore, scores
from mmer_jax.experiment import build, records
from mmer_jax.systems import interface
from mmer_jax.training import session as session_lib


def word_maps(
  folder: pathlib.Path, *, split: str, run: int, count: int
) -> dict[str, Any]:
  """Computes the words' attention in the first utterances of a split.

  Args:
    folder: A finished workdir.
    split: The split of the run's fold.
    run: The number of the run.
    count: At most so many utterances.

  Returns:
    For JSON: the utterances, each with `id`, `true`, `chosen`, `probabilities`
    by emotion, `words`, `attention` and `acoustic`, an entry for every word
    (`acoustic` is None where the model does not weigh modalities), and `cut`,
    how many words after them the model did not read.

  Raises:
    UserError: The workdir's system reads no words, or has no such run, or the
      run failed.
  """
  experiment = build.build_experiment(workdir.read_config(folder))
  record = _check_request(experiment, folder, run)
  rows = getattr(record.fold, split)[:count]
  maps, logits = _explain(experiment, folder, run, rows)
  probabilities = scores.float64_probabilities(
    experiment.rules.decision, logits
  )
  ids = experiment.corpus.columns["id"][rows].tolist()
  texts = _read_words(pathlib.Path(experiment.config.data.dir), set(ids))
  emotions = experiment.corpus.emotions
  utterances = []
  for place, (row, name) in enumerate(zip(rows, ids, strict=True)):
    words = texts[name][: maps.attention.shape[1]]
    shares = None
    if maps.acoustic is not None:
      shares = maps.acoustic[place, : len(words)].tolist()
    utterances.append(
      {
        "id": name,
        "true": emotions[int(experiment.corpus.labels[row].argmax())],
        "chosen": emotions[int(logits[place].argmax())],
        "probabilities": dict(
          zip(emotions, probabilities[place].tolist(), strict=True)
        ),
        "words": words,
        "cut": len(texts[name]) - len(words),
        "attention": maps.attention[place, : len(words)].tolist(),
        "acoustic": shares,
      }
    )
  return {
    "figure": "word_maps",
    "split": split,
    "run": record.describe(),
    "utterances": utterances,
  }


def _check_request(
  experiment: build.Experiment, folder: pathlib.Path, run: int
) -> records.RunRecord:
  """Finds the run, of a system that weighs words for emotions."""
  if experiment.rules.decision == "regression":
    raise errors.UserError(
      f"{folder} has learnt ratings, and word maps show the emotion that is"
      " chosen; `predict --explain` writes the attention to each word"
    )
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
  return experiment.records[run]


@progress.doing("explaining utterances")
def _explain(
  experiment: build.Experiment,
  folder: pathlib.Path,
  run: int,
  rows: Sequence[int],
) -> tuple[interface.WordMaps, np.ndarray]:
  """Computes the words' weights and the logits of some rows with one run."""
  restored = restore.restore(
    folder,
    session_lib.open_session(experiment),
    len(experiment.corpus.emotions),
  )
  failed = int(restored.progress.failed_step[run])
  if failed >= 0:
    raise errors.UserError(
      f"--run is {run}, which failed at step {failed}; choose another run"
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
      system.predict(params, batch, vectors).logits,
    )

  batch = experiment.corpus.table.take(np.asarray(rows))
  return jax.tree.map(np.asarray, look(batch))


def _read_words(folder: pathlib.Path, wanted: set[str]) -> dict[str, list[str]]:
  """Reads the words of utterances; numbers where the shards have no text."""
  texts = {}
  for _, example in shards.read_examples(folder):
    if example["id"] not in wanted:
      continue
    count = len(example["lexical"])
    words = example.get("words", [f"[{w}]" for w in range(1, count + 1)])
    texts[example["id"]] = [
      word.decode() if isinstance(word, bytes) else str(word) for word in words
    ]
  return texts
