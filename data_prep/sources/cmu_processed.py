"""The HDF5 layout of CMU's processed data, as Dai et al. 2020 use it.

A folder with, per split (`train`, `valid`, `test`), `text_SPLIT_emb.h5`,
`audio_SPLIT.h5`, `video_SPLIT.h5` of shape (n, t, d), aligned word by word, and
labels, each under the key `d1` or `data`:

- `ey_SPLIT.h5` (n, k): emotions, present where above 0; six are anger, disgust,
  fear, happy, sad, surprise;
- `y_SPLIT.h5` (n, 3): sentiment, one-hot. The files do not name the classes;
  negative, neutral, positive is our reading, `--emotions` another's;
- `y_SPLIT.h5` (n,) or (n, 1): a score of sentiment, cut into three classes by
  `--sentiment_bins`;
- either, (n, k, 2): no and yes per emotion, the larger counts.

The layout has no ids, speakers or sessions: an utterance is `train/000012`. A
missing file of features is an absent modality; all-zero rows are padding, an
all-zero stream an absent modality. Features of 74 acoustic columns are COVAREP
and of 35 visual columns FACET 4.2, by name; other columns have numbers.
"""

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np

from data_prep.corpus import columns, corpus
from data_prep.corpus import text as text_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from mmer_jax.data import word_vectors as word_vectors_lib

LABEL_FILES = ("auto", "ey", "y")
# The layout's name of a split to ours.
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
FILES = {
  "lexical": "text_{}_emb.h5",
  "acoustic": "audio_{}.h5",
  "visual": "video_{}.h5",
}
EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
SENTIMENTS = ("negative", "neutral", "positive")
_KEYS = ("d1", "data")
_KNOWN = {
  ("acoustic", 74): columns.COVAREP_74,
  ("visual", 35): columns.FACET_35,
}
_BLOCK = 64


class Array(NamedTuple):
  """A data set in an HDF5 file.

  Attributes:
    path: The file.
    key: Of the data set.
    shape: As stored.
  """

  path: pathlib.Path
  key: str
  shape: tuple[int, ...]

  def read(self, start: int, stop: int) -> np.ndarray:
    """Some rows."""
    try:
      with h5py.File(self.path, "r") as file:
        return file[self.key][start:stop]
    except (OSError, RuntimeError) as error:
      raise UserError(
        f"{self.path}: rows {start} to {stop - 1} of {self.key!r} cannot be"
        f" read: {error}"
      ) from error

  def blocks(self) -> Iterator[np.ndarray]:
    """All rows, one by one, a block of them in memory."""
    for start in range(0, self.shape[0], _BLOCK):
      yield from self.read(start, min(start + _BLOCK, self.shape[0]))


def open_array(path: pathlib.Path) -> Array:
  """The data set of a file of this layout."""
  try:
    with h5py.File(path, "r") as file:
      for key in _KEYS:
        if isinstance(file.get(key), h5py.Dataset):
          array = Array(path, key, file[key].shape)
          kind = file[key].dtype.kind
          break
      else:
        raise UserError(
          f"{path}: no data set {' or '.join(map(repr, _KEYS))}; it has"
          f" {', '.join(file) or 'nothing'}"
        )
  except (OSError, RuntimeError) as error:
    raise UserError(
      f"{path} is not a readable HDF5 file: {error}; is it truncated?"
    ) from error
  if kind not in "fiub":
    raise UserError(f"{path}: data set {array.key!r} does not hold numbers")
  return array


class Split(NamedTuple):
  """The files of one split.

  Attributes:
    name: As the layout has it.
    features: Modality to its array.
    labels: Their array.
  """

  name: str
  features: dict[str, Array]
  labels: Array


def build(
  folder: pathlib.Path,
  *,
  word_vectors: pathlib.Path | None,
  label_file: str,
  label_type: str,
  emotions: tuple[str, ...],
  sentiment_bins: str | None,
) -> corpus.Corpus:
  """The corpus in a folder of this layout.

  Args:
    folder: With the files.
    word_vectors: For the emotions' vectors, or None.
    label_file: One of `LABEL_FILES`.
    label_type: `"single"`, `"multi"` or `"auto"`.
    emotions: Names of the label columns; () where the layout fixes them.
    sentiment_bins: `"LOW,HIGH"`, or None.
  """
  prefix, splits = find(folder, label_file)
  dims = _dims(splits)
  labels = _Labels(prefix, splits, label_type, emotions, sentiment_bins)
  modalities = {
    name: corpus.Modality(
      _KNOWN.get((name, dims[name]), corpus.numbered(name, dims[name])),
      corpus.ZERO_ROWS,
    )
    for name in schema.MODALITIES
    if name in dims
  }

  def examples() -> Iterator[corpus.Example]:
    for split in splits:
      yield from _examples(split, labels)

  vectors = None
  if word_vectors is not None:
    words = {
      name: text_lib.EMOTION_WORDS.get(name, (name,)) for name in labels.names
    }
    wanted = set().union(*words.values())
    vectors = text_lib.emotion_vectors(
      labels.names, words, word_vectors_lib.read(word_vectors, wanted)
    )
  keys = sorted({a.key for s in splits for a in s.features.values()})
  return corpus.Corpus(
    name=corpus_name(folder),
    source="cmu_processed",
    layout=f"CMU processed HDF5, {labels.layout}, key {', '.join(keys)}",
    emotions=labels.names,
    label_type=labels.label_type,
    modalities=modalities,
    examples=examples,
    total=sum(split.labels.shape[0] for split in splits),
    options={
      "labels": prefix,
      "label_type": labels.label_type,
      "emotions": list(labels.names),
      "sentiment_bins": labels.bins,
      "word_vectors": word_vectors.name if word_vectors else None,
    },
    vectors=vectors,
  )


def corpus_name(folder: pathlib.Path) -> str:
  """The folder's name, as the name of a corpus may be."""
  name = "".join(
    c if c.isascii() and c.isalnum() else "_"
    for c in folder.resolve().name.lower()
  ).strip("_")
  return name if name[:1].isalpha() else f"cmu_{name}".rstrip("_")


def find(folder: pathlib.Path, label_file: str) -> tuple[str, list[Split]]:
  """The label files' prefix and the splits of a folder.

  Raises:
    UserError: Nothing of the layout is there, a split is incomplete, files of
      one split disagree.
  """
  if not folder.is_dir():
    raise UserError(f"{folder} is not a folder; cmu_processed reads a folder")
  prefix = label_file
  if label_file == "auto":
    found = any((folder / f"ey_{name}.h5").is_file() for name in SPLITS)
    prefix = "ey" if found else "y"
  splits = []
  for name in SPLITS:
    features = {
      modality: open_array(folder / pattern.format(name))
      for modality, pattern in FILES.items()
      if (folder / pattern.format(name)).is_file()
    }
    path = folder / f"{prefix}_{name}.h5"
    if not features and not path.is_file():
      continue
    if not features:
      raise UserError(
        f"{path} has labels, but no"
        f" {', '.join(p.format(name) for p in FILES.values())} is there"
      )
    if not path.is_file():
      raise UserError(
        f"{path} is missing; the {name} split has features and no labels"
      )
    split = Split(name, features, open_array(path))
    _check_split(split)
    splits.append(split)
  if not splits:
    raise UserError(
      f"{folder} has none of {prefix}_SPLIT.h5, text_SPLIT_emb.h5,"
      " audio_SPLIT.h5, video_SPLIT.h5 with SPLIT train, valid or test"
    )
  return prefix, splits


def _check_split(split: Split) -> None:
  length = None
  for array in split.features.values():
    if len(array.shape) != 3 or 0 in array.shape[1:]:
      raise UserError(
        f"{array.path}: shape {array.shape}, expected (utterances, frames,"
        " features)"
      )
    if array.shape[0] != split.labels.shape[0]:
      raise UserError(
        f"{array.path} has {array.shape[0]} rows and {split.labels.path.name}"
        f" {split.labels.shape[0]}; a split's files need one row per utterance"
      )
    if length is not None and array.shape[1] != length:
      raise UserError(
        f"{array.path} has {array.shape[1]} frames and another file of the"
        f" {split.name} split {length}; the layout is aligned word by word"
      )
    length = array.shape[1]


def _dims(splits: list[Split]) -> dict[str, int]:
  dims: dict[str, tuple[int, pathlib.Path]] = {}
  for split in splits:
    for name, array in split.features.items():
      dim = array.shape[2]
      known, path = dims.setdefault(name, (dim, array.path))
      if dim != known:
        raise UserError(
          f"{array.path} has {dim} features and {path.name} {known}; every"
          " split needs the same"
        )
  return {name: dim for name, (dim, _) in dims.items()}


class _Labels:
  """What the label arrays mean."""

  def __init__(
    self,
    prefix: str,
    splits: list[Split],
    label_type: str,
    emotions: tuple[str, ...],
    sentiment_bins: str | None,
  ) -> None:
    shapes = {split.labels.shape[1:] for split in splits}
    first = splits[0].labels
    if len(shapes) > 1:
      raise UserError(
        f"{first.path.parent}: the splits' labels have shapes"
        f" {', '.join(str(s.labels.shape) for s in splits)}, expected one kind"
      )
    (shape,) = shapes
    self.pairs = len(shape) == 2 and shape[1] == 2
    if len(shape) > 1 and not self.pairs:
      raise UserError(
        f"{first.path}: labels of shape {first.shape}, expected (n,), (n, k) or"
        " (n, k, 2)"
      )
    self.scores = not self.pairs and shape in ((), (1,))
    self.bins: list[float] | None = None
    if self.scores:
      self.bins = _bins(splits, sentiment_bins)
    elif sentiment_bins is not None:
      raise UserError(
        f"--sentiment_bins cuts scores; {first.path} holds classes of shape"
        f" {first.shape}"
      )
    count = 3 if self.scores else shape[0]
    self.names = _names(prefix, count, emotions, first)
    auto = "single" if prefix == "y" else "multi"
    self.label_type = auto if label_type == "auto" else label_type
    kind = "sentiment scores" if self.scores else f"{count} classes"
    self.layout = f"labels {prefix}_*.h5 ({kind})"

  def __call__(self, row: np.ndarray, where: str) -> np.ndarray:
    """The labels of one row."""
    if not np.isfinite(row).all():
      raise UserError(f"{where}: label {np.ravel(row)} is not finite")
    if self.pairs:
      return (row[:, 1] > row[:, 0]).astype(np.float32)
    if not self.scores:
      return (row > 0).astype(np.float32)
    low, high = self.bins
    score = float(np.ravel(row)[0])
    return np.eye(3, dtype=np.float32)[(score >= low) + (score > high)]


def _bins(splits: list[Split], text: str | None) -> list[float]:
  if text is not None:
    try:
      low, high = (float(part) for part in text.split(","))
    except ValueError as error:
      raise UserError(
        f"--sentiment_bins={text!r}, expected LOW,HIGH such as 2.5,3.5"
      ) from error
    if not low <= high:
      raise UserError(f"--sentiment_bins={text!r}: LOW must not exceed HIGH")
    return [low, high]
  for split in splits:
    scores = split.labels.read(0, split.labels.shape[0])
    if np.nanmin(scores) < 1 or np.nanmax(scores) > 5:
      raise UserError(
        f"{split.labels.path} holds scores from {np.nanmin(scores):g} to"
        f" {np.nanmax(scores):g}; give --sentiment_bins=LOW,HIGH (the default"
        " 2.5,3.5 is for scores from 1 to 5)"
      )
  return [2.5, 3.5]


def _names(
  prefix: str, count: int, emotions: tuple[str, ...], first: Array
) -> tuple[str, ...]:
  if emotions:
    if len(emotions) != count or len(set(emotions)) != count:
      raise UserError(
        f"--emotions names {len(set(emotions))}, {first.path} has {count} label"
        " columns"
      )
    return emotions
  fixed = {("ey", 6): EMOTIONS, ("y", 3): SENTIMENTS}
  if (prefix, count) not in fixed:
    raise UserError(
      f"{first.path} has {count} label columns, which the layout does not name;"
      " give --emotions=A,B,..."
    )
  return fixed[prefix, count]


def _examples(split: Split, labels: _Labels) -> Iterator[corpus.Example]:
  readers: dict[str, Any] = {
    name: array.blocks() for name, array in split.features.items()
  }
  for index, row in enumerate(split.labels.blocks()):
    where = f"{split.labels.path.name} row {index}"
    yield corpus.Example(
      id=f"{SPLITS[split.name]}/{index:06d}",
      where=where,
      streams={
        name: corpus.as_float32(next(reader))
        for name, reader in readers.items()
      },
      labels=labels(row, where),
      split=SPLITS[split.name],
      stream_where={
        name: f"{array.path.name} row {index}"
        for name, array in split.features.items()
      },
    )
