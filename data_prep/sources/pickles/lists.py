"""Reads the lists of MISA, MMIM and BBFN: one sample an utterance.

A sample is ((word ids, visual, acoustic[, words[, visual length, acoustic
length]]), label (1, 1) or (1, 7), id), as in declare-lab/MISA,
src/create_dataset.py. Word ids count into a table that is in another file; the
words themselves are embedded by `--word_vectors`, one row each, so that they
stay beside the frames of sound and vision.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources.pickles import family as family_lib
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import members, padding, splits
from data_prep.sources.pickles import ratings as ratings_lib
from mmer_jax.base.errors import UserError

_SAMPLE = "((word ids, visual, acoustic, words), label, id)"
_FEATURES = {"visual": 1, "acoustic": 2}
_WORDS = 3
_LENGTHS = {"visual": 4, "acoustic": 5}


class _Sample(NamedTuple):
  """Holds a sample; `where` is the file and its place in the list."""

  where: str
  split: str
  streams: dict[str, np.ndarray]
  label: np.ndarray
  id: str
  words: list[str] | None


def matches(content: Any) -> bool:
  """Whether a pickle is a list of samples, or of lists of them by split."""
  if isinstance(content, dict):
    return (
      bool(content)
      and all(key in family_lib.SPLITS for key in content)
      and any(matches(part) for part in content.values())
      and all(isinstance(part, list) for part in content.values())
    )
  return (
    isinstance(content, list)
    and bool(content)
    and isinstance(content[0], (tuple, list))
    and len(content[0]) == 3
    and isinstance(content[0][0], (tuple, list))
    and len(content[0][0]) > max(_FEATURES.values())
  )


def read(
  content: Mapping[str, Any], path: str, choice: labels_lib.Choice
) -> family_lib.Family:
  """Reads lists of samples.

  Args:
    content: The list of each split, by a name of `family.SPLITS` or `""`.
    path: The file or folder, for messages.
    choice: What the command line says of labels.

  Raises:
    UserError: A sample is not like the others.
  """
  cut: family_lib.Tally = {}
  samples = [
    _sample(sample, f"{path} {key or 'list'} row {row}", key, cut)
    for key, part in content.items()
    for row, sample in enumerate(part)
  ]
  shapes = {sample.label.shape for sample in samples}
  if len(shapes) > 1:
    raise UserError(
      f"{path} has labels of shapes {', '.join(map(str, sorted(shapes)))},"
      " expected one"
    )
  arrays = [np.stack([sample.label for sample in samples])]
  labels = labels_lib.of_arrays(arrays, choice, path)
  rated = ratings_lib.find(arrays)
  dims = _dims(samples)
  with_words = sum(sample.words is not None for sample in samples)
  if with_words not in (0, len(samples)):
    raise UserError(
      f"{path}: {with_words} of {len(samples)} samples have words; expected all"
      " or none"
    )
  aligned = all(_is_aligned(sample) for sample in samples)
  named = ", ".join(key for key in content if key) or "one split, not named"
  return family_lib.Family(
    layout=(
      f"MISA lists, {'aligned' if aligned else 'unaligned'}, {named};"
      f" {labels.layout}"
    ),
    streams={name: family_lib.padded(dim) for name, dim in dims.items()},
    labels=labels,
    utterances=functools.partial(_utterances, samples, cut, rated),
    total=len(samples),
    has_words=bool(with_words),
    aligned=aligned,
    notes=[*_notes(bool(with_words), content), *rated.notes],
    ratings=rated.ratings,
  )


def _notes(with_words: bool, content: Mapping[str, Any]) -> list[str]:
  notes = []
  if not with_words:
    notes.append(
      "the lists hold word ids and no words; what the ids mean is in another"
      " file, so that there is no text"
    )
  if "" in content:
    notes.append(
      "the file's name says no split (train, dev, test): its utterances have"
      " none"
    )
  return notes


def _sample(
  sample: Any, where: str, key: str, cut: family_lib.Tally
) -> _Sample:
  """Reads a sample; counts what its lengths cut off."""
  if not isinstance(sample, (tuple, list)) or len(sample) != 3:
    raise UserError(f"{where} is {members.kind_of(sample)}, expected {_SAMPLE}")
  inputs, label, name = sample
  if not isinstance(inputs, (tuple, list)) or len(inputs) <= max(
    _FEATURES.values()
  ):
    raise UserError(f"{where}: {members.kind_of(inputs)}, expected {_SAMPLE}")
  words = None
  if len(inputs) > _WORDS:
    words = _words(inputs[_WORDS], f"{where}: words")
  streams = {}
  for modality, place in _FEATURES.items():
    at = f"{where}: {modality}"
    frames = members.numbers(inputs[place], at, "(words, features)")
    if frames.ndim != 2:
      raise UserError(
        f"{at} has shape {frames.shape}, expected (words, features)"
      )
    if len(inputs) > _LENGTHS[modality]:
      length = members.numbers(inputs[_LENGTHS[modality]], at, "one length")
      if length.size != 1:
        raise UserError(f"{at} has {length.size} lengths, expected one")
      frames = padding.by_length(
        modality, frames, float(length.item()), at, cut
      )
    streams[modality] = frames
  return _Sample(
    where=where,
    split=family_lib.SPLITS.get(key, ""),
    streams=family_lib.in_order(streams),
    label=members.numbers(label, f"{where}: label", "shape (1, 1) or (1, 7)"),
    id=members.text(name, f"{where}: id"),
    words=words,
  )


def _words(value: Any, where: str) -> list[str]:
  """Reads the words of a sample."""
  return members.texts(value, members.length(value, where), where)


def _dims(samples: Sequence[_Sample]) -> dict[str, int]:
  """Finds the features of each modality, the same in every sample."""
  dims: dict[str, int] = {}
  for sample in samples:
    for name, frames in sample.streams.items():
      known = dims.setdefault(name, frames.shape[1])
      if frames.shape[1] != known:
        raise UserError(
          f"{sample.where} has {frames.shape[1]} {name} features, the first"
          f" sample {known}; every sample needs the same"
        )
  return {name: dim for name, dim in dims.items() if dim}


def _is_aligned(sample: _Sample) -> bool:
  """Whether sound and vision have a row for each word."""
  lengths = {len(frames) for frames in sample.streams.values()}
  if sample.words is not None:
    lengths.add(len(sample.words))
  return len(lengths) == 1


def _utterances(
  samples: Sequence[_Sample],
  cut: family_lib.Tally,
  rated: ratings_lib.Ratings,
  tally: family_lib.Tally,
) -> Iterator[family_lib.Utterance]:
  """Goes through the samples; rows of zeros are masked, and counted."""
  for what, rows in cut.items():
    family_lib.count(tally, what, rows)
  for number, sample in enumerate(samples):
    streams = {}
    for name, frames in sample.streams.items():
      if not frames.any():
        continue
      streams[name] = corpus_lib.as_float32(frames)
      zeros = len(frames) - int(np.count_nonzero(frames.any(axis=1)))
      family_lib.count(tally, padding.MASKED.format(name), zeros)
    yield family_lib.Utterance(
      id=sample.id,
      where=sample.where,
      streams=streams,
      label=sample.label,
      split=sample.split,
      dialogue=splits.video_of(sample.id),
      words=sample.words,
      ratings=rated.of(number),
    )
