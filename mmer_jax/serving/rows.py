"""Writes predictions as the rows of a .jsonl, .csv or .parquet file."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.serving import inputs
from mmer_jax.serving import model as model_lib

# One utterance: `id`, `predicted`, `probs` and, where asked for, `explain`.
Row = dict[str, Any]


def make_row(
  spec: dict[str, Any],
  utterance: inputs.Utterance,
  prediction: model_lib.Prediction,
  index: int,
  explain: bool,
) -> Row:
  """Makes the row of an utterance.

  Args:
    spec: The content of `feature_spec.json`.
    utterance: The utterance.
    prediction: Of a batch.
    index: The number of the utterance in it.
    explain: Whether the row has what else the model knows.
  """

  def by_emotion(values: np.ndarray) -> dict[str, float]:
    return dict(zip(prediction.emotions, map(float, values), strict=True))

  names = prediction.chosen[index]
  row: Row = {
    "id": utterance.id,
    "predicted": names[0] if spec["decision"] == "softmax" else names,
    "probs": by_emotion(prediction.probs[index]),
  }
  if not explain:
    return row
  present = {}
  for modality in spec["modalities"]:
    frames = utterance.features.get(modality)
    present[modality] = frames is not None and len(frames) > 0
  row["explain"] = {
    "present": present,
    "per_modality": {
      modality: by_emotion(scores[index]) if present[modality] else None
      for modality, scores in prediction.per_modality.items()
    },
    **{
      name: values[index].tolist()
      for name, values in prediction.explain.items()
    },
  }
  if utterance.words:
    row["explain"]["words"] = list(utterance.words)
  return row


def check_format(out: pathlib.Path) -> None:
  """Refuses a file that cannot be written, before anything is predicted.

  Raises:
    UserError: Its suffix is none of a format's, or a package is missing.
  """
  if out.suffix not in _WRITERS:
    raise errors.UserError(
      f"--out={out} ends in {out.suffix!r}, expected one of"
      f" {', '.join(_WRITERS)}"
    )
  if out.suffix == ".parquet":
    _pyarrow()


def write(out: pathlib.Path, rows: Sequence[Row]) -> None:
  """Writes the rows in the format that the file's suffix names."""
  _WRITERS[out.suffix](out, rows)


def _write_jsonl(out: pathlib.Path, rows: Sequence[Row]) -> None:
  """Writes one JSON object a line."""
  lines = (json.dumps(workdir.finite(row), allow_nan=False) for row in rows)
  workdir.write_text(out, "".join(f"{line}\n" for line in lines))


def _write_csv(out: pathlib.Path, rows: Sequence[Row]) -> None:
  """Writes a table with a header."""
  flat = [_flatten(row) for row in rows]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(flat)
  workdir.write_text(out, text.getvalue())


def _write_parquet(out: pathlib.Path, rows: Sequence[Row]) -> None:
  """Writes an Arrow table."""
  pyarrow = _pyarrow()
  table = pyarrow.Table.from_pylist([_flatten(row) for row in rows])
  with workdir.new_file(out) as path:
    pyarrow.parquet.write_table(table, path)


def _flatten(row: Row) -> dict[str, Any]:
  """Gives each value a column; what has no fixed width is JSON."""
  names = row["predicted"]
  flat = {
    "id": row["id"],
    "predicted": names if isinstance(names, str) else ";".join(names),
  }
  flat |= {f"prob:{name}": prob for name, prob in row["probs"].items()}
  for name, value in row.get("explain", {}).items():
    flat[f"explain:{name}"] = json.dumps(workdir.finite(value))
  return flat


def _pyarrow() -> Any:
  """Imports pyarrow, which not everybody has."""
  what = "a .parquet file (.csv and .jsonl do without)"
  errors.require("pyarrow.parquet", "", what)
  return errors.require("pyarrow", "", what)


_WRITERS = {
  ".jsonl": _write_jsonl,
  ".csv": _write_csv,
  ".parquet": _write_parquet,
}
