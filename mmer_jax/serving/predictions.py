r"""Predicts the emotions of utterances with an export or a workdir.

Example:
  python -m mmer_jax.predict --model=models/mtee --input=data/iemocap4 \
    --out=predictions.jsonl --explain

--input is a shard folder of `data_prep.convert`, or a file of features as they
are, not normalised:

- .jsonl: one object per line, {"id": ..., "lexical": [[...], ...], "acoustic":
  [...] or null};
- .npz: `id` (n,) if any, and modality to (n, d), or (n, t, d) with zeros behind
  the last frame;
- .csv: `id` if any, and a column `acoustic:NAME` for each column of
  feature_spec.json; features of whole utterances alone.

--out is .jsonl, .csv or .parquet (which needs pyarrow): a row per utterance,
with its id, what is predicted, and the probability of every emotion.
"""

import csv
import io
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.data import word_vectors
from mmer_jax.serving import inputs
from mmer_jax.serving import model as model_lib

# Utterances that are in memory at a time.
_ROWS = 256


def predict_file(
  model: model_lib.Model,
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  words: pathlib.Path | None = None,
  explain: bool = False,
  check_scale: bool = True,
) -> int:
  """Predicts every utterance of an input and writes a row for each.

  Args:
    model: From `mmer_jax.load`.
    source: Shards, or a file; see the module.
    out: The file to write.
    modalities: What the model may see; empty for all.
    emotions: Which, in this order; empty for those of training. A new one may
      be `name=word`.
    words: A file of word vectors for new emotions.
    explain: Whether rows hold what else the model knows.
    check_scale: See `predictor.Model.predict`.

  Returns:
    How many there were.

  Raises:
    UserError: Input or request do not fit the model.
  """
  if out.suffix not in inputs.SUFFIXES:
    raise errors.UserError(
      f"--out={out} ends in {out.suffix!r}, expected one of"
      f" {', '.join(inputs.SUFFIXES)}"
    )
  if out.suffix == ".parquet":
    _pyarrow()
  wanted = with_vectors(model, emotions, words) if emotions else None
  utterances, rows = inputs.read_utterances(model, source), []
  while chunk := list(itertools.islice(utterances, _ROWS)):
    found = model.predict(
      {
        modality: [utterance.features.get(modality) for utterance in chunk]
        for modality in model.spec["modalities"]
      },
      emotions=wanted,
      modalities=modalities,
      acoustic_word=_known_words(model, chunk),
      check_scale=check_scale,
    )
    rows += [
      row(model, utterance, found, index, explain)
      for index, utterance in enumerate(chunk)
    ]
  if not rows:
    raise errors.UserError(
      f"--input={source} holds no utterance, expected one at least"
    )
  _WRITE[out.suffix](out, rows)
  return len(rows)


def _known_words(
  model: model_lib.Model, chunk: Sequence[inputs.Utterance]
) -> list[np.ndarray | None] | None:
  """What is known of the words of frames, where the model asks for it."""
  if not model.spec["acoustic_word"]:
    return None
  known = []
  for utterance in chunk:
    frames = utterance.features.get("acoustic")
    count = 0 if frames is None else len(frames)
    word = utterance.acoustic_word
    known.append(np.full(count, -1) if word is None else word)
  return known


def row(
  model: model_lib.Model,
  utterance: inputs.Utterance,
  found: model_lib.Prediction,
  index: int,
  explain: bool,
) -> dict[str, Any]:
  """What is written of an utterance."""

  def by_emotion(values: np.ndarray) -> dict[str, float]:
    return dict(zip(found.emotions, map(float, values), strict=True))

  names = found.chosen[index]
  single = model.spec["decision"] == "softmax"
  written: dict[str, Any] = {
    "id": utterance.id,
    "predicted": names[0] if single else names,
    "probs": by_emotion(found.probs[index]),
  }
  if not explain:
    return written
  there = {}
  for modality in model.spec["modalities"]:
    frames = utterance.features.get(modality)
    there[modality] = frames is not None and len(frames) > 0
  written["explain"] = {
    "present": there,
    "per_modality": {
      modality: by_emotion(scores[index]) if there[modality] else None
      for modality, scores in found.per_modality.items()
    },
    **{name: values[index].tolist() for name, values in found.explain.items()},
  }
  if utterance.words:
    written["explain"]["words"] = list(utterance.words)
  return written


def with_vectors(
  model: model_lib.Model, emotions: Sequence[str], words: pathlib.Path | None
) -> dict[str, np.ndarray | None]:
  """Emotions by name to the word vector of those that are new.

  Raises:
    UserError: A new emotion has no vector.
  """
  known, forms = model.emotions, {}
  for form in emotions:
    name, equals, word = form.partition("=")
    forms[name] = word or name if equals or name not in known else None
  wanted = {word for word in forms.values() if word is not None}
  if not wanted or not model.spec["open_vocabulary"]:
    # A closed vocabulary says itself what it does not know.
    return dict.fromkeys(forms)
  if words is None:
    raise errors.UserError(
      f"--emotions needs the vector of {', '.join(sorted(wanted))}, and the"
      f" model has those of {', '.join(known)}; pass --word_vectors=FILE, the"
      " file that its shards were converted with"
    )
  table = word_vectors.read(words, wanted)
  missing = sorted(wanted - set(table.vectors))
  if missing:
    raise errors.UserError(
      f"{words} has no vector for {', '.join(missing)}; choose another word as"
      " --emotions=NAME=WORD"
    )
  return {
    name: None if word is None else table.vectors[word]
    for name, word in forms.items()
  }


def _write_jsonl(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  lines = (json.dumps(workdir.finite(each), allow_nan=False) for each in rows)
  workdir.write_text(out, "".join(f"{line}\n" for line in lines))


def _write_csv(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  flat = [_flat(each) for each in rows]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(flat)
  workdir.write_text(out, text.getvalue())


def _write_parquet(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  pyarrow = _pyarrow()
  table = pyarrow.Table.from_pylist([_flat(each) for each in rows])
  with workdir.new_file(out) as path:
    pyarrow.parquet.write_table(table, path)


def _flat(written: dict[str, Any]) -> dict[str, Any]:
  """A row of columns; what has no fixed width is JSON."""
  names = written["predicted"]
  flat = {
    "id": written["id"],
    "predicted": names if isinstance(names, str) else ";".join(names),
  }
  flat |= {f"prob:{name}": prob for name, prob in written["probs"].items()}
  for name, value in written.get("explain", {}).items():
    flat[f"explain:{name}"] = json.dumps(workdir.finite(value))
  return flat


def _pyarrow() -> Any:
  try:
    import pyarrow
    import pyarrow.parquet
  except ImportError:
    raise errors.UserError(
      "a .parquet file needs the package pyarrow, which is not installed; pip"
      " install pyarrow, or write .csv or .jsonl"
    ) from None
  return pyarrow


_WRITE = {
  ".jsonl": _write_jsonl,
  ".csv": _write_csv,
  ".parquet": _write_parquet,
}
