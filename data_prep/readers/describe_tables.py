"""Shows a description of a file or folder as tables on the terminal."""

from collections.abc import Sequence
from typing import Any

import rich.markup
import rich.table


def tables_of(description: dict[str, Any]) -> list[rich.table.Table]:
  """Makes the tables that show a description."""
  kind = description["kind"]
  if kind == "shards":
    return _shard_tables(description)
  if kind == "cmu_processed":
    return [_cmu_table(description)]
  if kind == "word vectors":
    return [_rows("word vectors", description.items(), ("", ""))]
  if kind == "pickle":
    return [_pickle_table(description)]
  rows = [
    (name or "/", *_cells(entry))
    for name, entry in description["columns"].items()
  ]
  title = ", ".join(filter(None, (kind, description.get("layout"))))
  if "rows" in description:
    title += f", {description['rows']} rows"
  return [_rows(title, rows, ("column", "shape", "dtype", "values"))]


def _cells(entry: dict[str, Any]) -> tuple[str, str, str]:
  shape = " x ".join(
    "{} to {}".format(*entry["lengths"]) if size is None else str(size)
    for size in entry.get("shape", ())
  )
  if "arrays" in entry:
    shape = f"{entry['arrays']} arrays, {shape}"
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
  if entry.get("masked"):
    text += f"; {entry['masked']} frames without a face"
  return shape, entry.get("dtype", ""), text


def _pickle_table(description: dict[str, Any]) -> rich.table.Table:
  """Makes a line of each member, of which many are nested."""
  rows = []
  for name, entry in description["columns"].items():
    shape, dtype, values = _cells(entry)
    if "holds" in entry:
      what = f"{entry['holds']} {dtype}".strip()
    else:
      what = f"{dtype} {shape}".strip()
    place = " ".join(filter(None, (name or "/", entry.get("note"))))
    rows.append((place, what, values))
  layout = description["layout"] or "no known layout"
  return _rows(f"pickle, {layout}", rows, ("member", "what", "values"))


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
  headers = ("modality", "dim", "longest", "padding", "present")
  splits = [split or "no split" for split in description["counts"]["by_split"]]
  shared = [
    (what, sides, f"{count} of {total}", f"{100 * count / total:.1f} %")
    for what, pairs in description["duplicates"].items()
    for sides, (count, total) in pairs.items()
  ]
  title = "the same on two sides" if shared else "nothing on two sides"
  ratings = []
  if description.get("ratings"):
    headers_of_ratings = ("rating", "scale", "rated", "mean", "values")
    ratings = [_rows("ratings", _rating_rows(description), headers_of_ratings)]
  return [
    _rows(description["name"], _shard_facts(description), ("", "")),
    _rows(
      "modalities",
      [
        _modality_cells(description, name) for name in description["modalities"]
      ],
      (*headers, "not finite", "columns"),
    ),
    _rows(
      "emotions",
      _emotion_rows(description),
      ("emotion", "word", "all", *splits),
    ),
    *ratings,
    _rows(title, shared, ("what", "sides", "utterances", "share")),
  ]


def _shard_facts(description: dict[str, Any]) -> list[tuple[str, str]]:
  """Lists what holds of a shard folder as a whole."""
  counts = description["counts"]
  vectors = description["emotion_vectors"]
  shards = description["shards"]
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
      f"{len(shards)} {description['file_format']},"
      f" {sum(shard['bytes'] for shard in shards)} bytes,"
      f" {'DAMAGED' if description['damaged'] else 'checksums agree'}",
    ),
    ("fingerprint", description["fingerprint"]),
  ]
  if description["text"]:
    text = description["text"]
    facts.append(
      (
        "words",
        f"{text['tokens']}, {text['oov_tokens']} without a vector"
        f" ({text['oov_types']} types), policy {text['oov_policy']}",
      )
    )
  return facts


def _modality_cells(description: dict[str, Any], name: str) -> tuple[Any, ...]:
  """Lists what is shown of a modality of shards."""
  entry, counts = description["modalities"][name], description["counts"]
  nonfinite = description["nonfinite"]["counts"].get(name, {})
  return (
    name,
    entry["dim"],
    entry["max_length"],
    entry["padding"],
    f"{counts['present'][name]} of {counts['examples']}",
    ", ".join(f"{column} {count}" for column, count in nonfinite.items())
    or "0",
    f"{entry['columns'][0]} to {entry['columns'][-1]}",
  )


def _emotion_rows(description: dict[str, Any]) -> list[tuple[Any, ...]]:
  """Counts the utterances of each emotion, by split, and all of them."""
  counts, vectors = description["counts"], description["emotion_vectors"]
  splits = list(counts["by_split"])
  words = vectors["words"] if vectors else [""] * len(description["emotions"])
  rows = [
    (
      name,
      word,
      counts["by_emotion"][name],
      *(counts["by_split_emotion"][split][name] for split in splits),
    )
    for name, word in zip(description["emotions"], words, strict=True)
  ]
  by_split = (counts["by_split"][split] for split in splits)
  return [*rows, ("utterances", "", counts["examples"], *by_split)]


def _rating_rows(description: dict[str, Any]) -> list[tuple[Any, ...]]:
  """Describes the values of each rating beside its scale."""
  rows = []
  for rating in description["ratings"]:
    counts = description["counts"]["ratings"][rating["name"]]
    values = ("", "")
    if counts["count"]:
      values = (
        f"{counts['mean']:.4g}",
        f"{counts['min']:.4g} to {counts['max']:.4g}",
      )
    scale = f"{rating['low']:g} to {rating['high']:g}"
    rated = f"{counts['count']} of {description['counts']['examples']}"
    rows.append((rating["name"], scale, rated, *values))
  return rows
