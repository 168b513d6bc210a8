"""Reads CMU's processed data in HDF5, as Dai et al. 2020 use it.

A folder with, per split (`train`, `valid`, `test`), `text_SPLIT_emb.h5`,
`audio_SPLIT.h5`, `video_SPLIT.h5` of shape (n, t, d), aligned word by word, and
labels, each under the key `d1` or `data`:

- `ey_SPLIT.h5` (n, k): emotions, present where above 0 (or where above
  `--positive_above`, for scores that are never 0); six are anger, disgust,
  fear, happy, sad, surprise;
- `y_SPLIT.h5` (n, 3): sentiment, one-hot. The files do not name the classes;
  negative, neutral, positive is our reading, `--emotions` another's;
- `y_SPLIT.h5` (n,) or (n, 1): a score of sentiment, cut into three classes by
  `--sentiment_bins`;
- either, (n, k, 2): no and yes per emotion, the larger counts.

The layout has no ids, speakers or sessions: an utterance is `train/000012`. A
missing file of features is an absent modality; all-zero rows are padding, an
all-zero stream an absent modality. Features of 74 acoustic columns are COVAREP,
by name; other columns have numbers, unless names are asked for: FACET 4.2's 35
(`facet_42`). OpenFace has 35 visual columns too, so that the number tells
nothing.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from data_prep.corpus import columns, corpus
from data_prep.corpus import text as text_lib
from data_prep.readers import hdf5_arrays
from data_prep.sources import cmu_labels
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from mmer_jax.data import word_vectors as word_vectors_lib

LABEL_FILES = ("auto", "ey", "y")
# The layout's name of a split to the converter's.
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
FILES = {
  "lexical": "text_{}_emb.h5",
  "acoustic": "audio_{}.h5",
  "visual": "video_{}.h5",
}


class Split(NamedTuple):
  """Names the files of one split.

  Attributes:
    name: The split, as the layout names it.
    features: Modality to its array.
    labels: The array of the labels.
  """

  name: str
  features: dict[str, hdf5_arrays.Array]
  labels: hdf5_arrays.Array


def build(
  folder: pathlib.Path,
  *,
  word_vectors: pathlib.Path | None,
  label_file: str,
  label_type: str,
  emotions: tuple[str, ...],
  sentiment_bins: str | None,
  positive_above: float | None = None,
  name_columns: Sequence[str] = (),
) -> corpus.Corpus:
  """Builds the corpus in a folder of this layout.

  Args:
    folder: The folder that holds the files.
    word_vectors: A file with the vectors of the emotions, or None.
    label_file: One of `LABEL_FILES`.
    label_type: `"single"`, `"multi"` or `"auto"`.
    emotions: Names of the label columns; () where the layout fixes them.
    sentiment_bins: `"LOW,HIGH"`, or None.
    positive_above: An emotion is present above it; None for 0.
    name_columns: Keys of `columns.NAMED`, for features that those are.
  """
  prefix, splits = find(folder, label_file)
  labels = cmu_labels.Labels(
    prefix,
    [split.labels for split in splits],
    label_type,
    emotions,
    sentiment_bins,
    positive_above,
  )

  def examples() -> Iterator[corpus.Example]:
    for split in splits:
      yield from _examples(split, labels)

  keys = sorted({a.key for s in splits for a in s.features.values()})
  return corpus.Corpus(
    name=corpus_name(folder),
    source="cmu_processed",
    layout=f"CMU processed HDF5, {labels.layout}, key {', '.join(keys)}",
    emotions=labels.names,
    label_type=labels.label_type,
    modalities=_modalities(splits, name_columns),
    examples=examples,
    total=sum(split.labels.shape[0] for split in splits),
    options={
      "labels": prefix,
      "label_type": labels.label_type,
      "emotions": list(labels.names),
      "sentiment_bins": labels.bins,
      "positive_above": labels.positive_above,
      "word_vectors": word_vectors.name if word_vectors else None,
    },
    vectors=_vectors(labels.names, word_vectors),
    notes=labels.notes,
    ratings=labels.ratings,
  )


def _modalities(
  splits: list[Split], name_columns: Sequence[str]
) -> dict[str, corpus.Modality]:
  """Describes the modalities that any split has."""
  dims = _dims(splits)
  return {
    name: corpus.Modality(
      columns.named(name, dims[name], name_columns)
      or corpus.numbered(name, dims[name]),
      corpus.ZERO_ROWS,
    )
    for name in schema.MODALITIES
    if name in dims
  }


def _vectors(
  emotions: Sequence[str], word_vectors: pathlib.Path | None
) -> schema.EmotionVectors | None:
  """Reads the emotions' word vectors, where a file of them is given."""
  if word_vectors is None:
    return None
  words = {name: text_lib.EMOTION_WORDS.get(name, (name,)) for name in emotions}
  wanted = set().union(*map(text_lib.composed, words.values()))
  vectors = word_vectors_lib.read(word_vectors, wanted)
  return text_lib.emotion_vectors(emotions, words, vectors)


def corpus_name(folder: pathlib.Path) -> str:
  """Makes the name of a corpus from the name of its folder."""
  name = "".join(
    c if c.isascii() and c.isalnum() else "_"
    for c in folder.resolve().name.lower()
  ).strip("_")
  return name if name[:1].isalpha() else f"cmu_{name}".rstrip("_")


def find(folder: pathlib.Path, label_file: str) -> tuple[str, list[Split]]:
  """Finds the label files' prefix and the splits of a folder.

  Raises:
    UserError: Nothing of the layout is there, a split is incomplete, files of
      one split disagree.
  """
  if not folder.is_dir():
    raise UserError(f"{folder} is not a folder; cmu_processed reads a folder")
  if label_file not in LABEL_FILES:
    raise UserError(
      f"--labels={label_file} does nothing with --source=cmu_processed,"
      f" expected {', '.join(LABEL_FILES)}"
    )
  prefix = label_file
  if label_file == "auto":
    any_emotions = any((folder / f"ey_{name}.h5").is_file() for name in SPLITS)
    prefix = "ey" if any_emotions else "y"
  splits = []
  for name in SPLITS:
    split = _find_split(folder, prefix, name)
    if split is not None:
      _check_split(split)
      splits.append(split)
  if not splits:
    raise UserError(
      f"{folder} has none of {prefix}_SPLIT.h5, text_SPLIT_emb.h5,"
      " audio_SPLIT.h5, video_SPLIT.h5 with SPLIT train, valid or test"
    )
  return prefix, splits


def _find_split(folder: pathlib.Path, prefix: str, name: str) -> Split | None:
  """Opens the files of one split; None where there are none."""
  features = {
    modality: hdf5_arrays.open_array(folder / pattern.format(name))
    for modality, pattern in FILES.items()
    if (folder / pattern.format(name)).is_file()
  }
  path = folder / f"{prefix}_{name}.h5"
  if not features and not path.is_file():
    return None
  if not features:
    raise UserError(
      f"{path} has labels, but no"
      f" {', '.join(p.format(name) for p in FILES.values())} is there"
    )
  if not path.is_file():
    raise UserError(
      f"{path} is missing; the {name} split has features and no labels"
    )
  return Split(name, features, hdf5_arrays.open_array(path))


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


def _examples(
  split: Split, labels: cmu_labels.Labels
) -> Iterator[corpus.Example]:
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
      ratings=labels.rating(row),
      split=SPLITS[split.name],
      stream_where={
        name: f"{array.path.name} row {index}"
        for name, array in split.features.items()
      },
    )
