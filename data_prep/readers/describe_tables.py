"""Describes a file of features or a folder of shards.

Reads .npz, .csv, .csv.gz, .jsonl, .h5, .pkl (arrays only), word vectors in
GloVe's text format, folders in the layout of CMU's processed data, and shards,
whose sizes and checksums it compares with the manifest.

Example:
  python -m data_prep.inspect shards/iemocap4
  python -m data_prep.inspect --json cmu-mosei
"""

from collections.abc import Sequence
from typing import Any

import rich.console
import rich.markup
import rich.table


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
