"""Compares two shard folders or exports: what they have in common, what not."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import rich.markup
import rich.table

from mmer_jax.base.errors import UserError
from mmer_jax.data import identity as identity_lib
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import word_vectors

_SPEC = "feature_spec.json"


def compare(a: pathlib.Path, b: pathlib.Path) -> list[dict[str, Any]]:
  """Lists facts of two folders side by side.

  Args:
    a: A folder of shards, or an export.
    b: The other.

  Returns:
    For each fact `what`, its values as text `a` and `b`, "" where a folder
    does not say, and whether they are the `same`; None where one does not say.

  Raises:
    UserError: A folder is neither.
  """
  facts = [dict(_facts(folder)) for folder in (a, b)]
  return [
    {
      "what": what,
      "a": _short(*(each.get(what, "") for each in facts)),
      "b": _short(*(each.get(what, "") for each in reversed(facts))),
      "same": _same(*(each.get(what) for each in facts)),
    }
    for what in dict.fromkeys([*facts[0], *facts[1]])
  ]


def _same(a: Any, b: Any) -> bool | None:
  """Compares two values; samples of vectors by the words that both have."""
  if a is None or b is None:
    return True if a is b else None
  if isinstance(a, dict) and isinstance(b, dict):
    return not word_vectors.different_word(a, b)
  return a == b


def table_of(
  a: pathlib.Path, b: pathlib.Path, facts: list[dict[str, Any]]
) -> rich.table.Table:
  """Makes the table that shows two folders side by side."""
  different = sum(fact["same"] is False for fact in facts)
  marks = {True: "", False: "differs", None: "one only"}
  title = f"{different} of {len(facts)} facts differ"
  table = rich.table.Table(title=title, title_justify="left")
  for header in ("", str(a), str(b), ""):
    table.add_column(rich.markup.escape(header), overflow="fold")
  for fact in facts:
    cells = (fact["what"], fact["a"], fact["b"])
    table.add_row(*map(rich.markup.escape, cells), marks[fact["same"]])
  return table


def _facts(folder: pathlib.Path) -> Iterator[tuple[str, Any]]:
  if (folder / manifest_lib.MANIFEST).is_file():
    return _shard_facts(folder, manifest_lib.load_manifest(folder))
  if (folder / _SPEC).is_file():
    return _export_facts(_read_spec(folder / _SPEC))
  raise UserError(
    f"{folder} is neither a folder of shards nor an export: it has no"
    f" {manifest_lib.MANIFEST} and no {_SPEC}"
  )


def _read_spec(path: pathlib.Path) -> dict[str, Any]:
  try:
    spec = json.loads(path.read_text(encoding="utf-8"))
    spec["modalities"], spec["emotions"], spec["dataset"]["fingerprint"]
  except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
    raise UserError(
      f"{path} is not the feature_spec.json of an export"
      f" ({type(error).__name__}: {error}); export the model again"
    ) from None
  return spec


def _shard_facts(
  folder: pathlib.Path, manifest: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
  counts = manifest["counts"]
  yield "kind", "shards"
  yield "name", manifest["name"]
  yield "fingerprint", manifest["fingerprint"]
  yield "utterances", counts["examples"]
  yield "labelled", counts["labelled"]
  for split, count in counts["by_split"].items():
    yield f"utterances of {split or 'no split'}", count
  yield "emotions", list(manifest["emotions"])
  yield "label type", manifest["label_type"]
  for emotion, count in counts["by_emotion"].items():
    yield f"utterances of {emotion}", count
  for rating in manifest.get("ratings", []):
    name = rating["name"]
    yield f"{name} scale", f"{rating['low']:g} to {rating['high']:g}"
    yield f"{name} rated", counts["ratings"][name]["count"]
  yield from _modality_facts(manifest["modalities"])
  for name, count in counts["present"].items():
    yield f"{name} present", count
  yield from _identity_facts(identity_lib.of_shards(folder, manifest))
  yield "policy of values not finite", manifest["nonfinite"]["policy"]
  for name, columns in manifest["nonfinite"]["counts"].items():
    yield f"{name} values not finite", sum(columns.values())
  yield "converter", manifest["converter"]["version"]
  for key, value in manifest["converter"]["options"].items():
    if isinstance(value, dict):
      yield from ((f"option {key}.{name}", str(v)) for name, v in value.items())
    elif key != "emotion_vectors_crc32c":
      yield f"option {key}", value


def _export_facts(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
  yield "kind", "export"
  yield "name", spec["dataset"].get("name", "")
  yield "fingerprint", spec["dataset"]["fingerprint"]
  yield "system", spec.get("system", "")
  yield "emotions", [emotion["name"] for emotion in spec["emotions"]]
  yield from _modality_facts(spec["modalities"])
  yield from _identity_facts(spec.get("identity") or {})


def _modality_facts(
  modalities: dict[str, Any],
) -> Iterator[tuple[str, Any]]:
  for name, entry in modalities.items():
    yield f"{name} columns", list(entry["columns"])
    for key in ("padding", "max_length"):
      if key in entry:
        yield f"{name} {key}", entry[key]


def _identity_facts(identity: dict[str, Any]) -> Iterator[tuple[str, Any]]:
  """Lists what features have in common beside their columns."""
  words = ("tokeniser", "oov", "word_vectors_sha256", "text_encoder")
  for key in ("normalisation", *words):
    if key in identity:
      yield key, identity[key]
  for name, rate in identity.get("frame_rate_hz", {}).items():
    yield f"{name} frames per second", rate
  yield "vectors of words", identity.get("word_vectors_sample", {})


def _short(value: Any, other: Any) -> str:
  """Shows a value; of two long lists, where they differ first."""
  if isinstance(value, dict):
    shared = value.keys() & (other.keys() if isinstance(other, dict) else ())
    changed = sorted(word for word in shared if value[word] != other[word])
    text = f"{len(value)} words"
    return f"{text}, {changed[0]!r} {value[changed[0]]}" if changed else text
  if not isinstance(value, list):
    return "" if value is None else str(value)
  if len(value) <= 6:
    return ", ".join(map(str, value))
  text = f"{len(value)}: {value[0]} to {value[-1]}"
  others = other if isinstance(other, list) else []
  for place, name in enumerate(value):
    if place >= len(others) or others[place] != name:
      return f"{text}; column {place + 1} is {name}"
  return text
