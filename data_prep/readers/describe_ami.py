"""Describes AMI's annotations in NXT's format: words, segments, people."""

import pathlib
from collections import Counter
from typing import Any

from data_prep.sources.ami import cuts, nxt, people


def is_corpus(folder: pathlib.Path) -> bool:
  """Tells whether a folder has words in NXT's format."""
  words = folder / "words"
  return words.is_dir() and any(
    nxt.WORDS.fullmatch(path.name) for path in words.iterdir()
  )


def describe_ami(folder: pathlib.Path) -> dict[str, Any]:
  """Describes what `convert --source=ami` will find in a folder."""
  files = cuts.find(folder)
  elements: Counter[str] = Counter()
  streams = [nxt.read_words(path, elements) for path in files]
  known = people.read(folder)
  agents = [(stream.meeting, stream.agent) for stream in streams]
  segments = [
    folder / "segments" / f"{meeting}.{agent}.segments.xml"
    for meeting, agent in agents
  ]
  names = [known[agent].name for agent in agents if agent in known]
  columns = {
    "elements": {
      "shape": [elements["words"]],
      "values": {k: v for k, v in elements.items() if v},
    },
    "meetings": {"shape": [len({meeting for meeting, _ in agents})]},
    "files of words": {"shape": [len(files)]},
    "files of segments": {"shape": [sum(path.is_file() for path in segments)]},
    "people": {
      "shape": [len(set(names))],
      "note": f"{len(agents) - len(names)} agents of meetings without a name",
    },
  }
  return {"kind": "ami", "columns": columns}
