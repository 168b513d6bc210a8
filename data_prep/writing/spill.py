"""Keeps examples in files, for processes on other machines."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from data_prep.corpus import corpus as corpus_lib

# The attributes of `Example` that are arrays, beside `streams`.
_ARRAYS = ("labels", "acoustic_word", "ratings")


def save(path: pathlib.Path, examples: Sequence[corpus_lib.Example]) -> None:
  """Writes examples into a file."""
  arrays: dict[str, np.ndarray] = {}
  rest = []
  for number, example in enumerate(examples):
    for name, frames in example.streams.items():
      arrays[f"{number}/streams/{name}"] = frames
    for name in _ARRAYS:
      value = getattr(example, name)
      if value is not None:
        arrays[f"{number}/{name}"] = value
    rest.append(
      {
        field.name: getattr(example, field.name)
        for field in dataclasses.fields(example)
        if field.name not in (*_ARRAYS, "streams", "stream_where")
      }
      | {"stream_where": dict(example.stream_where)}
    )
  text = json.dumps(rest).encode()
  np.savez(path, rest=np.frombuffer(text, np.uint8), **arrays)


def load(path: pathlib.Path) -> list[corpus_lib.Example]:
  """Reads the examples of a file."""
  with np.load(path, allow_pickle=False) as file:
    examples = [
      corpus_lib.Example(streams={}, **dict.fromkeys(_ARRAYS), **fields)
      for fields in json.loads(file["rest"].tobytes())
    ]
    for name in file.files:
      number, _, attribute = name.partition("/")
      if not number.isdecimal():
        continue
      example = examples[int(number)]
      attribute, _, stream = attribute.partition("/")
      if stream:
        example.streams[stream] = file[name]
      else:
        setattr(example, attribute, file[name])
  return examples
