"""Describes a file of features or a folder of shards.

Reads .npz, .csv, .csv.gz, .jsonl, .h5, .pkl (arrays only), word vectors in
GloVe's text format, folders in the layout of CMU's processed data, and shards,
whose sizes and checksums it compares with the manifest.

Example:
  python -m data_prep.inspect shards/iemocap4
  python -m data_prep.inspect --json cmu-mosei
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from data_prep.corpus import text
from data_prep.readers import unpickle
from data_prep.sources import cmu_processed
from data_prep.writing import manifest as writing_manifest
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import npz_files, table_files

_WORD_VECTOR_SUFFIXES = (".txt", ".vec", ".txt.gz", ".vec.gz")
_SAMPLE = 200
_BLOCK = 256


def describe(path: pathlib.Path) -> dict[str, Any]:
  """What is in a file or folder, as plain values.

  Args:
    path: Of any supported kind.

  Returns:
    `kind`, and what that kind has. Shards also have `damaged`: a sentence for
    every file that does not agree with the manifest.
  """
  if not path.exists():
    raise UserError(f"{path} does not exist")
  if path.is_dir():
    if (path / manifest_lib.MANIFEST).is_file():
      return _shards(path)
    return _cmu_folder(path)
  name = path.name.lower()
  if name.endswith(".npz"):
    return _npz(path)
  if name.endswith(table_files.SUFFIXES):
    return _table(path)
  if name.endswith((".h5", ".hdf5")):
    return _hdf5(path)
  if name.endswith((".pkl", ".p", ".pickle")):
    return _pickle(path)
  if name.endswith(_WORD_VECTOR_SUFFIXES):
    return text.describe(path)
  raise UserError(
    f"{path}: unknown kind of file; inspect reads shard folders, folders of"
    f" HDF5, {', '.join(table_files.SUFFIXES)}, .h5, .pkl,"
    f" {', '.join(_WORD_VECTOR_SUFFIXES)}"
  )


def _shards(folder: pathlib.Path) -> dict[str, Any]:
  manifest = manifest_lib.load_manifest(folder)
  damaged = []
  for shard in manifest["shards"]:
    path = folder / shard["file"]
    if writing_manifest.checksum(path) != shard["crc32c"]:
      damaged.append(
        f"shard {shard['file']} has CRC32C {writing_manifest.checksum(path)}, expected"
        f" {shard['crc32c']}"
      )
  vectors = manifest_lib.load_emotion_vectors(folder)
  return {
    "kind": "shards",
    **manifest,
    "emotion_vectors": {
      "words": list(vectors.words),
      "dim": int(vectors.vectors.shape[1]),
    }
    if vectors
    else None,
    "damaged": damaged,
  }


def _cmu_folder(folder: pathlib.Path) -> dict[str, Any]:
  auto = cmu_processed.LABEL_FILES[0]
  prefix, splits = cmu_processed.find(folder, auto)
  described = {}
  for split in splits:
    labels = split.labels.read(0, split.labels.shape[0])
    described[split.name] = {
      "utterances": split.labels.shape[0],
      "labels": {
        "shape": list(split.labels.shape),
        "min": float(np.nanmin(labels)),
        "max": float(np.nanmax(labels)),
        "positive": np.atleast_1d((labels > 0).sum(axis=0)).tolist(),
      },
      "modalities": {
        name: _frames(array) for name, array in split.features.items()
      },
      "without": [m for m in cmu_processed.FILES if m not in split.features],
    }
  return {
    "kind": "cmu_processed",
    "label_files": f"{prefix}_*.h5",
    "splits": described,
  }


def _frames(array: cmu_processed.Array) -> dict[str, Any]:
  present, real, nonfinite = 0, 0, 0
  columns = np.zeros(array.shape[2], np.int64)
  for frames in array.blocks():
    rows = frames.any(axis=1)
    present += bool(rows.any())
    real += int(rows.sum())
    bad = ~np.isfinite(frames)
    nonfinite += int(bad.sum())
    columns += bad.sum(axis=0)
  return {
    "shape": list(array.shape),
    "key": array.key,
    "present": present,
    "real_frames": real,
    "nonfinite": nonfinite,
    "nonfinite_columns": np.flatnonzero(columns).tolist(),
  }


def _npz(path: pathlib.Path) -> dict[str, Any]:
  table = table_files.open_table(path)
  columns = {}
  for name, header in npz_files.headers(path).items():
    entry: dict[str, Any] = {
      "shape": list(header.shape),
      "dtype": str(header.dtype),
    }
    if header.dtype.hasobject:
      entry["note"] = "pickled objects: not read"
    elif header.shape:
      entry.update(_summary(row.cells[name] for row in table.rows([name])))
    columns[name] = entry
  return {"kind": "npz", "columns": columns}


def _summary(values: Iterator[Any]) -> dict[str, Any]:
  """Of a column: range and non-finite values, or the values themselves."""
  low, high, nonfinite, numbers = np.inf, -np.inf, 0, False
  seen: dict[str, int] = {}
  for value in values:
    array = np.asarray(value)
    if array.dtype.kind in "fiub" and array.size:
      numbers = True
      array = array.astype(np.float64)
      finite = np.isfinite(array)
      nonfinite += int((~finite).sum())
      low = min(low, float(np.min(array, where=finite, initial=np.inf)))
      high = max(high, float(np.max(array, where=finite, initial=-np.inf)))
    elif array.dtype.kind in "US" and len(seen) <= _SAMPLE:
      key = table_files.as_text(array.item() if array.ndim == 0 else array)
      seen[key] = seen.get(key, 0) + 1
  if numbers:
    return {
      "min": low if low <= high else None,
      "max": high if low <= high else None,
      "nonfinite": nonfinite,
    }
  if len(seen) > _SAMPLE:
    return {"distinct": f"more than {_SAMPLE}", "first": next(iter(seen))}
  return {"distinct": len(seen), "values": seen}


def _table(path: pathlib.Path) -> dict[str, Any]:
  table = table_files.open_table(path)
  seen: dict[str, dict[str, int]] = {}
  rows = 0
  for row in table.rows(()):
    rows += 1
    for column, value in row.cells.items():
      values = seen.setdefault(column, {})
      if len(values) <= _SAMPLE:
        key = table_files.as_text(value)[:60]
        values[key] = values.get(key, 0) + 1
  columns = {}
  for column, values in seen.items():
    if len(values) > _SAMPLE:
      columns[column] = {
        "distinct": f"more than {_SAMPLE}",
        "first": next(iter(values)),
      }
    else:
      columns[column] = {"distinct": len(values), "values": values}
  return {"kind": "table", "rows": rows, "columns": columns}


def _hdf5(path: pathlib.Path) -> dict[str, Any]:
  found: dict[str, dict[str, Any]] = {}

  def visit(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
      found[name] = {"shape": list(item.shape), "dtype": str(item.dtype)}
      if item.dtype.kind in "fiub" and item.shape:
        found[name].update(
          _summary(
            item[start : start + _BLOCK]
            for start in range(0, item.shape[0], _BLOCK)
          )
        )

  try:
    with h5py.File(path, "r") as file:
      file.visititems(visit)
  except (OSError, RuntimeError) as error:
    raise UserError(
      f"{path} is not a readable HDF5 file: {error}; is it truncated?"
    ) from error
  return {"kind": "hdf5", "columns": found}


def _pickle(path: pathlib.Path) -> dict[str, Any]:
  found: dict[str, dict[str, Any]] = {}

  def visit(name: str, item: Any) -> None:
    if len(found) > _SAMPLE:
      return
    if isinstance(item, dict):
      for key, value in item.items():
        visit(f"{name}/{key}", value)
    elif isinstance(item, np.ndarray) and item.dtype.kind in "fiub":
      found[name] = {
        "shape": list(item.shape),
        "dtype": str(item.dtype),
        **_summary(iter([item])),
      }
    elif isinstance(item, (list, tuple)):
      found[name] = {"shape": [len(item)], "dtype": type(item).__name__}
      for index, value in enumerate(item[:3]):
        visit(f"{name}/{index}", value)
    elif isinstance(item, np.ndarray):
      found[name] = {"shape": list(item.shape), "dtype": str(item.dtype)}
    else:
      found[name] = {"shape": [], "dtype": type(item).__name__}

  visit("", unpickle.load(path))
  return {"kind": "pickle", "columns": found}
