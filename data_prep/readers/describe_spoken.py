"""Describes folders of MELD, and of corpora whose file names are labels."""

import pathlib
from collections import Counter
from typing import Any

from data_prep.sources import recipes
from data_prep.sources.meld import media, tables


def is_meld(folder: pathlib.Path) -> bool:
  """Tells whether a folder has a table of MELD, as `convert` looks for it."""
  return any(tables.below(folder, split) for split in tables.SPLITS)


def describe_meld(folder: pathlib.Path) -> dict[str, Any]:
  """Describes what `convert --source=meld` will find in a folder."""
  columns: dict[str, Any] = {}
  lines = []
  for split in tables.SPLITS:
    path = tables.below(folder, split)
    if path is None:
      columns[split] = {"note": "no table"}
      continue
    lines += tables.read(split, path, "emotion")
    columns[f"{split}, sentiment"] = _counted(
      Counter(line.label for line in tables.read(split, path, "sentiment"))
    )
    columns[f"{split}, emotion"] = _counted(
      Counter(line.label for line in lines if line.key.split == split)
    )
  for what, count in tables.tally(lines).items():
    columns[f"rows {what.partition(' in ')[0]}"] = {
      "shape": [count],
      "note": what.partition(" in ")[2],
    }
  columns["speaker"] = _counted(Counter(line.speaker for line in lines))
  keys = [line.key for line in lines]
  files = media.look(folder, set(keys))
  if files.found:
    used, without = media.usable(files, keys, keep_badly_cut=False)
    columns["media"] = {
      "shape": [len(files.found)],
      "note": "; ".join(
        [
          f"{len(used)} used",
          *(f"{count} {what}" for what, count in without.items()),
          *media.notes(files),
        ]
      ),
    }
  return {"kind": "meld", "rows": len(lines), "columns": columns}


def recipe_of(folder: pathlib.Path) -> str | None:
  """Finds the recipe that most .wav files below a folder fit."""
  counts = {
    name: len(recipes.names(recipe, folder).fitting)
    for name, recipe in recipes.RECIPES.items()
  }
  best = max(counts, key=counts.get)
  return best if counts[best] else None


def describe_recordings(folder: pathlib.Path, name: str) -> dict[str, Any]:
  """Describes what `convert --source=recordings --recipe` will find."""
  recipe = recipes.RECIPES[name]
  found = recipes.names(recipe, folder)
  fields = [match.groupdict() for _, match in found.fitting]
  columns: dict[str, Any] = {}
  if recipe.rated:
    columns["label"] = {"note": "in a file of ratings; --ratings"}
  else:
    columns["label"] = _counted(
      Counter(recipe.labels[each["label"]] for each in fields)
    )
  for field in ("speaker", "session"):
    if field in recipe.name.groupindex:
      columns[field] = _counted(Counter(each[field] for each in fields))
  if recipe.texts:
    columns["text"] = _counted(
      Counter(recipe.texts[each["text"]] for each in fields)
    )
  columns["files"] = {
    "shape": [len(found.fitting)],
    "note": "; ".join(recipes.remarks(recipe, name, found)),
  }
  return {
    "kind": f"recordings, --recipe={name}",
    "rows": len(found.fitting),
    "columns": columns,
  }


def _counted(counts: dict[str, int]) -> dict[str, Any]:
  return {"shape": [sum(counts.values())], "values": dict(counts)}
