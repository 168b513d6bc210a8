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

# One utterance: `id`, `predicted`, `probs` and, where asked for, `explain`. Of
# ratings `values` is in the place of `predicted` and `probs`.
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

  if prediction.probs is None:
    answers = {"values": by_emotion(prediction.values[index])}
  else:
    names = prediction.chosen[index]
    answers = {
      "predicted": names[0] if spec["decision"] == "softmax" else names,
      "probs": by_emotion(prediction.probs[index]),
    }
  row: Row = {"id": utterance.id, **answers}
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


def check_out(out: pathlib.Path, source: pathlib.Path | None) -> None:
  """Refuses a file that cannot be written, before anything is predicted.

  Args:
    out: The file to write.
    source: The input; None where it is no file.

  Raises:
    UserError: Its suffix is none of a format's, a package is missing, or it is
      a folder or the input.
  """
  if out.suffix not in _WRITERS:
    raise errors.UserError(
      f"--out={out} ends in {out.suffix!r}, expected one of"
      f" {', '.join(_WRITERS)}"
    )
  is_source = source is not None and out.exists() and out.samefile(source)
  if out.is_dir() or is_source:
    raise errors.UserError(
      f"--out={out} is {'a folder' if out.is_dir() else 'the input'}, expected"
      " another file"
    )
  if out.suffix == ".parquet":
    _pyarrow()


def columns(
  spec: dict[str, Any], emotions: Sequence[str], explain: bool
) -> list[str]:
  """Names the columns of a table of rows, though there may be no row."""
  names = ["id", "predicted", *(f"prob:{name}" for name in emotions)]
  if spec["decision"] == "regression":
    names = ["id", *(f"value:{name}" for name in emotions)]
  if explain:
    explained = ["present", "per_modality", *spec["explain"]]
    names += [f"explain:{name}" for name in explained]
  return names


def write(
  out: pathlib.Path, rows: Sequence[Row], columns: Sequence[str]
) -> None:
  """Writes the rows in the format that the file's suffix names.

  Args:
    out: The file; it is replaced as a whole.
    rows: The rows, maybe none.
    columns: The columns of a table; what rows have beyond them comes last.

  Raises:
    UserError: The file cannot be written.
  """
  try:
    _WRITERS[out.suffix](out, rows, columns)
  except OSError as error:
    raise errors.UserError(
      f"--out={out} cannot be written ({error.strerror or error}); give another"
      " file"
    ) from None


def _write_jsonl(
  out: pathlib.Path, rows: Sequence[Row], columns: Sequence[str]
) -> None:
  """Writes one JSON object a line."""
  del columns
  lines = (json.dumps(workdir.finite(row), allow_nan=False) for row in rows)
  workdir.write_text(out, "".join(f"{line}\n" for line in lines))


def _write_csv(
  out: pathlib.Path, rows: Sequence[Row], columns: Sequence[str]
) -> None:
  """Writes a table with a header."""
  flat, names = _table(rows, columns)
  text = io.StringIO()
  writer = csv.DictWriter(text, names, lineterminator="\n")
  writer.writeheader()
  writer.writerows(flat)
  workdir.write_text(out, text.getvalue())


def _write_parquet(
  out: pathlib.Path, rows: Sequence[Row], columns: Sequence[str]
) -> None:
  """Writes an Arrow table."""
  pyarrow = _pyarrow()
  flat, names = _table(rows, columns)
  number, text = pyarrow.float64(), pyarrow.string()
  schema = pyarrow.schema(
    [
      (name, number if name.startswith(("prob:", "value:")) else text)
      for name in names
    ]
  )
  table = pyarrow.Table.from_pylist(flat, schema)
  with workdir.new_file(out) as path:
    pyarrow.parquet.write_table(table, path)


def _table(
  rows: Sequence[Row], columns: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
  """Flattens the rows, and names all their columns."""
  flat = [_flatten(row) for row in rows]
  found = (name for row in flat for name in row)
  return flat, list(dict.fromkeys([*columns, *found]))


def _flatten(row: Row) -> dict[str, Any]:
  """Gives each value a column; what has no fixed width is JSON."""
  flat = {"id": row["id"]}
  if "values" in row:
    flat |= {f"value:{name}": value for name, value in row["values"].items()}
  else:
    names = row["predicted"]
    flat["predicted"] = names if isinstance(names, str) else ";".join(names)
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
