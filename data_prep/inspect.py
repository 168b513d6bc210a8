"""Describes a file of features or a folder of shards.

Reads .npz, .csv, .csv.gz, .jsonl, .h5, .pkl (arrays only), word vectors in
GloVe's text format, folders in the layout of CMU's processed data, and shards,
whose sizes and checksums it compares with the manifest.

Example:
  python -m data_prep.inspect shards/iemocap4
  python -m data_prep.inspect --json cmu-mosei
"""

import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np
import rich.console
import rich.markup
import rich.table
from absl import flags

from data_prep import tables, text, unpickle, write
from data_prep.sources import cmu_processed
from mmer_jax import errors
from mmer_jax.data import shards
from mmer_jax.errors import UserError

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
    if (path / shards.MANIFEST).is_file():
      return _shards(path)
    return _cmu_folder(path)
  name = path.name.lower()
  if name.endswith(".npz"):
    return _npz(path)
  if name.endswith(tables.SUFFIXES):
    return _table(path)
  if name.endswith((".h5", ".hdf5")):
    return _hdf5(path)
  if name.endswith((".pkl", ".p", ".pickle")):
    return _pickle(path)
  if name.endswith(_WORD_VECTOR_SUFFIXES):
    return text.describe(path)
  raise UserError(
    f"{path}: unknown kind of file; inspect reads shard folders, folders of"
    f" HDF5, {', '.join(tables.SUFFIXES)}, .h5, .pkl,"
    f" {', '.join(_WORD_VECTOR_SUFFIXES)}"
  )


def _shards(folder: pathlib.Path) -> dict[str, Any]:
  manifest = shards.load_manifest(folder)
  damaged = []
  for shard in manifest["shards"]:
    path = folder / shard["file"]
    if write.checksum(path) != shard["crc32c"]:
      damaged.append(
        f"shard {shard['file']} has CRC32C {write.checksum(path)}, expected"
        f" {shard['crc32c']}"
      )
  vectors = shards.load_emotion_vectors(folder)
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
  table = tables.open_table(path)
  columns = {}
  for name, header in tables.npz_headers(path).items():
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
      key = tables.as_text(array.item() if array.ndim == 0 else array)
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
  table = tables.open_table(path)
  seen: dict[str, dict[str, int]] = {}
  rows = 0
  for row in table.rows(()):
    rows += 1
    for column, value in row.cells.items():
      values = seen.setdefault(column, {})
      if len(values) <= _SAMPLE:
        key = tables.as_text(value)[:60]
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


def tables_of(description: dict[str, Any]) -> list[rich.table.Table]:
  """The terminal's view of a description."""
  kind = description["kind"]
  if kind == "shards":
    return _shard_tables(description)
  if kind == "cmu_processed":
    return [_cmu_table(description)]
  if kind == "word vectors":
    return [_rows("word vectors", description.items(), ("", ""))]
  rows = [
    (name or "/", *_cells(entry))
    for name, entry in description["columns"].items()
  ]
  title = kind
  if "rows" in description:
    title += f", {description['rows']} rows"
  return [_rows(title, rows, ("column", "shape", "dtype", "values"))]


def _cells(entry: dict[str, Any]) -> tuple[str, str, str]:
  shape = " x ".join(map(str, entry.get("shape", ())))
  if entry.get("min") is not None:
    text = f"{entry['min']:.4g} to {entry['max']:.4g}"
  elif "first" in entry:
    text = f"{entry['distinct']}, e.g. {entry['first'][:40]!r}"
  elif "values" in entry:
    values = list(entry["values"].items())
    text = ", ".join(f"{value[:30]!r} {n}" for value, n in values[:12])
    text += ", ..." if len(values) > 12 else ""
  else:
    text = entry.get("note", "")
  if entry.get("nonfinite"):
    text += f"; {entry['nonfinite']} not finite"
  return shape, entry.get("dtype", ""), text


def _rows(title: str, rows: Any, headers: Sequence[str]) -> rich.table.Table:
  table = rich.table.Table(title=title, title_justify="left")
  for header in headers:
    table.add_column(header, overflow="fold")
  for row in rows:
    table.add_row(*(rich.markup.escape(str(cell)) for cell in row))
  return table


def _cmu_table(description: dict[str, Any]) -> rich.table.Table:
  rows = []
  for name, split in description["splits"].items():
    for modality, entry in split["modalities"].items():
      rows.append(
        (
          name,
          modality,
          " x ".join(map(str, entry["shape"])),
          f"{entry['present']} of {split['utterances']}",
          entry["real_frames"],
          entry["nonfinite"],
        )
      )
    rows += [(name, m, "no file", "0", "", "") for m in split["without"]]
    labels = split["labels"]
    rows.append(
      (
        name,
        "labels",
        " x ".join(map(str, labels["shape"])),
        f"{labels['min']:g} to {labels['max']:g}",
        "",
        "",
      )
    )
  headers = ("split", "stream", "shape", "present", "real frames", "not finite")
  title = f"CMU processed data, labels {description['label_files']}"
  return _rows(title, rows, headers)


def _shard_tables(description: dict[str, Any]) -> list[rich.table.Table]:
  counts = description["counts"]
  vectors = description["emotion_vectors"]
  damaged = description["damaged"]
  facts = [
    ("source", f"{description['source']}: {description['layout']}"),
    ("converter", description["converter"]["version"]),
    ("utterances", f"{counts['examples']}, {counts['labelled']} labelled"),
    ("speakers, sessions", f"{counts['speakers']}, {counts['sessions']}"),
    ("label type", description["label_type"]),
    (
      "emotion vectors",
      f"{vectors['dim']}-d" if vectors else "none: converted without",
    ),
    ("nonfinite policy", description["nonfinite"]["policy"]),
    (
      "shards",
      f"{len(description['shards'])} {description['file_format']},"
      f" {sum(shard['bytes'] for shard in description['shards'])} bytes,"
      f" {'DAMAGED' if damaged else 'checksums agree'}",
    ),
    ("fingerprint", description["fingerprint"]),
  ]
  if description["text"]:
    text_facts = description["text"]
    facts.append(
      (
        "words",
        f"{text_facts['tokens']}, {text_facts['oov_tokens']} without a vector"
        f" ({text_facts['oov_types']} types), policy"
        f" {text_facts['oov_policy']}",
      )
    )
  modalities = [
    (
      name,
      entry["dim"],
      entry["max_length"],
      entry["padding"],
      f"{counts['present'][name]} of {counts['examples']}",
      ", ".join(
        f"{column} {count}"
        for column, count in description["nonfinite"]["counts"]
        .get(name, {})
        .items()
      )
      or "0",
      f"{entry['columns'][0]} to {entry['columns'][-1]}",
    )
    for name, entry in description["modalities"].items()
  ]
  splits = list(counts["by_split"])
  words = vectors["words"] if vectors else [""] * len(description["emotions"])
  emotions = [
    (
      name,
      word,
      counts["by_emotion"][name],
      *(counts["by_split_emotion"][split][name] for split in splits),
    )
    for name, word in zip(description["emotions"], words, strict=True)
  ]
  emotions.append(
    (
      "utterances",
      "",
      counts["examples"],
      *(counts["by_split"][split] for split in splits),
    )
  )
  return [
    _rows(description["name"], facts, ("", "")),
    _rows(
      "modalities",
      modalities,
      (
        "modality",
        "dim",
        "longest",
        "padding",
        "present",
        "not finite",
        "columns",
      ),
    ),
    _rows(
      "emotions",
      emotions,
      ("emotion", "word", "all", *(split or "no split" for split in splits)),
    ),
  ]


def main(argv: Sequence[str]) -> None:
  """Describes one path; damaged shards end it with an error."""
  del argv
  values = flags.FLAGS
  if len(values.path) != 1:
    raise UserError(
      f"expected one path, got {len(values.path)}; see --help for an example"
    )
  description = describe(pathlib.Path(values.path[0]))
  if values.json:
    sys.stdout.write(json.dumps(description, indent=1) + "\n")
  else:
    console = rich.console.Console()
    for table in tables_of(description):
      console.print(table)
  if description.get("damaged"):
    raise UserError(
      f"{values.path[0]} is damaged: {'; '.join(description['damaged'])};"
      " convert the corpus again"
    )


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_multi_string(
    "path", [], "The file or folder; the flag's name may be left out."
  )
  flags.DEFINE_bool("json", False, "JSON on standard output.")


if __name__ == "__main__":
  # The path comes without a flag's name.
  sys.argv[1:] = [
    argument if argument.startswith("-") else f"--path={argument}"
    for argument in sys.argv[1:]
  ]
  define_flags()
  errors.run(main)
