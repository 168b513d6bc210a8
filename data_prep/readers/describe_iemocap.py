"""Describes IEMOCAP's release folder: labels, votes, texts, sound."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from data_prep.sources.iemocap import account, labels
from data_prep.sources.iemocap import release as release_lib


def is_release(folder: pathlib.Path) -> bool:
  """Tells whether a folder has the sessions of IEMOCAP's release."""
  return bool(release_lib.sessions(folder))


def describe_iemocap(folder: pathlib.Path) -> dict[str, Any]:
  """Describes what `convert --source=iemocap` will find in a folder."""
  release = release_lib.read(folder)
  described = account.describe(release)
  rows = release.utterances
  names = [each.evaluation.name for each in rows]
  columns: dict[str, Any] = {
    "label": _counted(described["labels"]),
    "raters who chose the label": _counted(described["agreement"]),
  }
  vad = zip(*(each.evaluation.vad for each in rows), strict=True)
  for name, values in zip(described["ratings"], vad, strict=True):
    columns[name] = {
      "shape": [len(rows)],
      "min": min(values),
      "max": max(values),
    }
  columns |= {
    "speaker": _counted(Counter(name.speaker for name in names)),
    "session": _counted(Counter(f"{name.session}" for name in names)),
    "dialogue": _counted(Counter(name.dialogue for name in names)),
    "text": _files([each.text for each in rows]),
    "recording": _files([each.wav for each in rows]),
    "word alignment": _files([each.alignment for each in rows]),
    "lines": _lines(release.tally),
  }
  published = sum(labels.PUBLISHED.values())
  differ = account.differences(release)
  columns["published"] = {
    "shape": [published],
    "note": differ[0] if differ else "as many of every label",
  }
  return {"kind": "iemocap", "rows": len(rows), "columns": columns}


def _counted(counts: dict[str, int]) -> dict[str, Any]:
  return {"shape": [sum(counts.values())], "values": dict(counts)}


def _files(found: Sequence[Any]) -> dict[str, Any]:
  """Counts the utterances that have something, and those that do not."""
  count = sum(bool(each) for each in found)
  return {"shape": [count], "note": f"{len(found) - count} without"}


def _lines(tally: dict[str, int]) -> dict[str, Any]:
  """Says which lines of the release's files are left out, or blank."""
  found = {what: count for what, count in tally.items() if count}
  note = "; ".join(f"{count} {what}" for what, count in found.items())
  return {"shape": [sum(found.values())], "note": note}
