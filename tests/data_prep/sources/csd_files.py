"""Draws .csd files, and aligns them by a plain loop."""

import h5py
import numpy as np
from absl import flags

from data_prep import convert as convert_lib
from data_prep.sources import registry

EPSILON = 1e-5


def write_csd(path, root, entries):
  """Writes `{name: (features, intervals)}` as the SDK lays it out."""
  with h5py.File(path, "w") as file:
    data = file.create_group(f"{root}/data")
    for name, (features, intervals) in entries.items():
      features = np.asarray(features)
      if features.dtype.kind == "U":
        features = np.char.encode(features, "utf-8")
      group = data.create_group(name)
      group.create_dataset("features", data=features)
      group.create_dataset("intervals", data=np.asarray(intervals, np.float64))
    file[root].create_group("metadata")["root name"] = [b"b'junk\""]
  return path


def words_of(*words):
  """Words of half a second each, from 0 on."""
  times = np.arange(len(words)) / 2
  return np.array(words)[:, None], np.stack([times, times + 0.5], axis=1)


def frames_of(count, width, rate_hz=10, first=0.0):
  """Frames whose first value is their number."""
  times = first + np.arange(count) / rate_hz
  features = np.arange(count)[:, None] + np.arange(width) * 100.0
  return features, np.stack([times, times + 1 / rate_hz], axis=1)


def values_of(*arguments):
  """The flags of a command line."""
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(["convert", "--source=csd", *map(str, arguments)])
  return values


def build(*arguments):
  """The corpus of a command line, as `convert` builds it."""
  values = values_of(*arguments)
  registry.refuse_foreign(values)
  return registry.build(values)


def by_loop(sequences, reference, collapse):
  """Aligns `{sequence: {entry: (features, intervals)}}`, frame by frame."""
  aligned = {name: {} for name in sequences}
  for key, (features, intervals) in sequences[reference].items():
    for number, (begin, end) in enumerate(intervals):
      if not end - begin >= EPSILON:
        continue
      aligned[reference][f"{key}[{number}]"] = (
        features[number : number + 1],
        intervals[number : number + 1],
      )
      for name in sequences:
        if name == reference:
          continue
        found = _frames(sequences[name], key.split("[")[0], begin, end)
        if found:
          aligned[name][f"{key}[{number}]"] = _collapsed(found, collapse)
  return aligned


def _frames(entries, recording, begin, end):
  """(features, begin, end) of the frames that share time, by their begin."""
  frames = []
  for name, (features, intervals) in entries.items():
    if name.split("[")[0] == recording:
      frames += zip(features, intervals[:, 0], intervals[:, 1], strict=True)
  found = []
  for row, first, last in sorted(frames, key=lambda frame: frame[1]):
    cut = max(first, begin), min(last, end)
    near = begin < last + EPSILON and end > first - EPSILON
    if near and cut[1] - cut[0] > EPSILON:
      found.append((row, *cut))
  return found


def _collapsed(found, collapse):
  rows = np.array([row for row, _, _ in found])
  times = np.array([[first, last] for _, first, last in found])
  if collapse == "none":
    return rows, times
  weights = np.ones(len(rows))
  if collapse == "overlap":
    weights = times[:, 1] - times[:, 0]
  with np.errstate(invalid="ignore"):
    mean = sum(w * row for w, row in zip(weights, rows, strict=True))
    mean = mean / weights.sum()
  return mean[None], np.array([[times[:, 0].min(), times[:, 1].max()]])
