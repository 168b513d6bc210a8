"""A corpus to a folder of shards: checked, converted, renamed into place.

Two passes over the source. The first checks ids, splits, shapes and labels and
counts non-finite values; it ends the conversion before anything is written. The
second writes through a TFDS builder and gathers counts and statistics.
Everything is written below a hidden folder beside the output, which is renamed
as the last act: a folder of the output's name is a finished conversion. The
hidden folder is locked while a conversion lives, so that the next one knows
what a killed one has left, and clears it away.

Memory is bounded by the corpus's ids and TFDS's shuffle buffer (1 GB, then
files), not by its features.
"""

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import google_crc32c
import numpy as np
import rich.console
import rich.progress
import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

import mmer_jax
from data_prep import corpus as corpus_lib
from data_prep import nonfinite
from mmer_jax.data import schema, shards
from mmer_jax.errors import UserError

FILE_FORMATS = ("tfrecord", "array_record")


@dataclasses.dataclass(frozen=True)
class Options:
  """How a corpus is written, whatever its source.

  Attributes:
    nonfinite: A policy of `nonfinite.POLICIES`.
    num_shards: 0 lets TFDS choose by size.
    file_format: One of `FILE_FORMATS`.
  """

  nonfinite: str
  num_shards: int
  file_format: str


def write(
  corpus: corpus_lib.Corpus,
  output: pathlib.Path,
  options: Options,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Converts a corpus into a folder of shards.

  Args:
    corpus: From a source.
    output: Must not exist, or be an empty folder.
    options: Policy, shards, format.
    console: For progress; nothing is drawn unless it is a terminal.

  Returns:
    The manifest.

  Raises:
    UserError: The output is taken, or the corpus is not sound.
  """
  refuse_existing(output)
  policy = nonfinite.Nonfinite(options.nonfinite, corpus.modalities)
  total = 0
  checker = _Checker(corpus)
  for example in _track(corpus, corpus.total, "checking", console):
    checker(example)
    policy.observe(example)
    total += 1
  if not total:
    raise UserError(f"{corpus.name} holds no utterances; nothing to convert")
  if options.num_shards > total:
    raise UserError(
      f"--num_shards={options.num_shards} for {total} utterances; at most one"
      " shard per utterance"
    )
  with _workspace(output) as folder:
    statistics = Statistics(corpus)

    def examples() -> Iterator[tuple[str, dict[str, Any]]]:
      for example in _track(corpus, total, "writing", console):
        ready = trim(corpus, policy.apply(example))
        record = encode(corpus, ready)
        statistics.add(ready, record)
        yield example.id, record

    _write_shards(corpus, examples, folder, options)
    if corpus.vectors is not None:
      _write_emotions(corpus.vectors, folder / shards.EMOTIONS)
    manifest = _manifest(corpus, options, policy, statistics, folder)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / shards.MANIFEST).write_text(text, encoding="utf-8")
    _rename(folder, output)
  return manifest


def refuse_existing(output: pathlib.Path) -> None:
  """Raises a `UserError` unless `output` is free to write."""
  if output.exists() and not output.is_dir():
    raise UserError(f"output {output} is a file; give --output a new folder")
  if output.is_dir() and any(output.iterdir()):
    raise UserError(
      f"output {output} exists and is not empty; remove it or give --output"
      " another folder"
    )


class _Checker:
  """What must hold of every example, whatever the source."""

  def __init__(self, corpus: corpus_lib.Corpus) -> None:
    self._corpus = corpus
    self._seen: dict[str, tuple[str, str]] = {}

  def __call__(self, example: corpus_lib.Example) -> None:
    corpus, where = self._corpus, example.where
    if not example.id:
      raise UserError(f"{where}: the id is empty; every utterance needs one")
    if example.id in self._seen:
      split, first = self._seen[example.id]
      if split != example.split:
        raise UserError(
          f"{where}: id {example.id!r} is in split {example.split!r} and, at"
          f" {first}, in split {split!r}; an utterance has one side"
        )
      raise UserError(
        f"{where}: id {example.id!r} is used at {first} already; ids must be"
        " unique"
      )
    self._seen[example.id] = (example.split, where)
    if example.split not in (*corpus_lib.SPLITS, ""):
      raise UserError(
        f"{where}: split {example.split!r}, expected one of"
        f" {', '.join(corpus_lib.SPLITS)}; map it in the spec's split_values"
      )
    for name, frames in example.streams.items():
      at = example.stream_where.get(name, where)
      corpus_lib.check_dim(corpus.modalities[name], name, frames, at)
    labels = example.labels
    if labels is None:
      return
    if labels.shape != (len(corpus.emotions),):
      raise UserError(
        f"{where}: labels of shape {labels.shape}, expected"
        f" {len(corpus.emotions)} emotions"
      )
    if corpus.label_type == "single" and labels.sum() != 1:
      raise UserError(
        f"{where}: {int(labels.sum())} emotions are present, expected exactly"
        " one in a single-label corpus; declare the corpus multi-label"
      )


def trim(
  corpus: corpus_lib.Corpus, example: corpus_lib.Example
) -> corpus_lib.Example:
  """Takes away what is only padding, alignment kept.

  Rows at the end that are padding in every padded modality go; a padded stream
  with no real row becomes absent. Streams without padding stay as they are.
  """
  padded = {
    name: frames
    for name, frames in example.streams.items()
    if corpus.modalities[name].padding == corpus_lib.ZERO_ROWS
  }
  real = {name: frames.any(axis=1) for name, frames in padded.items()}
  length = max(
    (int(rows.nonzero()[0][-1]) + 1 for rows in real.values() if rows.any()),
    default=0,
  )
  streams = dict(example.streams)
  for name, rows in real.items():
    streams[name] = padded[name][: length if rows.any() else 0]
  return dataclasses.replace(example, streams=streams)


def features(corpus: corpus_lib.Corpus) -> tfds.features.FeaturesDict:
  """What a record of the corpus holds."""
  spec = {
    name: tfds.features.Text()
    for name in ("id", "speaker", "session", "dialogue", "split")
  }
  for name, modality in corpus.modalities.items():
    spec[name] = tfds.features.Tensor(
      shape=(None, modality.dim), dtype=np.float32
    )
  if corpus.has_acoustic_word:
    spec["acoustic_word"] = tfds.features.Tensor(shape=(None,), dtype=np.int32)
  if corpus.has_words:
    spec["words"] = tfds.features.Tensor(shape=(None,), dtype=np.str_)
  spec["labels"] = tfds.features.Tensor(
    shape=(len(corpus.emotions),), dtype=np.float32
  )
  spec["labelled"] = np.bool_
  return tfds.features.FeaturesDict(spec)


def encode(
  corpus: corpus_lib.Corpus, example: corpus_lib.Example
) -> dict[str, Any]:
  """The record of an example; absent modalities have no rows."""
  record: dict[str, Any] = {
    "id": example.id,
    "speaker": example.speaker,
    "session": example.session,
    "dialogue": example.dialogue,
    "split": example.split,
  }
  for name, modality in corpus.modalities.items():
    frames = example.streams.get(name, np.zeros((0, modality.dim)))
    record[name] = np.ascontiguousarray(frames, np.float32)
  if corpus.has_acoustic_word:
    word = example.acoustic_word
    record["acoustic_word"] = np.asarray(
      () if word is None else word, dtype=np.int32
    )
    if len(record["acoustic_word"]) != len(record["acoustic"]):
      raise AssertionError(f"{example.where}: one word index per frame")
  if corpus.has_words:
    words = example.words or []
    record["words"] = np.array([word.encode() for word in words], object)
    if len(words) != len(record["lexical"]):
      raise AssertionError(f"{example.where}: one word per lexical row")
  labelled = example.labels is not None
  zeros = np.zeros(len(corpus.emotions), np.float32)
  record["labels"] = example.labels.astype(np.float32) if labelled else zeros
  record["labelled"] = labelled
  return record


class Moments:
  """Mean and variance of rows, merged batch by batch in float64.

  Source: Chan, Golub and LeVeque 1979, the pairwise update of Welford's
  recurrence.
  """

  def __init__(self, dim: int) -> None:
    self.count = 0
    self.mean = np.zeros(dim)
    self._squares = np.zeros(dim)

  def add(self, rows: np.ndarray) -> None:
    """Takes in some rows."""
    count = len(rows)
    if not count:
      return
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    delta = mean - self.mean
    total = self.count + count
    self.mean += delta * count / total
    self._squares += ((rows - mean) ** 2).sum(axis=0)
    self._squares += delta**2 * self.count * count / total
    self.count = total

  @property
  def std(self) -> np.ndarray:
    """Of the population; 0 where a column never changes."""
    return np.sqrt(self._squares / max(self.count, 1))


class Statistics:
  """What the manifest counts while the shards are written."""

  def __init__(self, corpus: corpus_lib.Corpus) -> None:
    self._corpus = corpus
    self._by_split: Counter[str] = Counter()
    self._labels: dict[str, np.ndarray] = {}
    self._labelled = 0
    self._present: Counter[str] = Counter()
    self._speakers: set[str] = set()
    self._sessions: set[str] = set()
    self.max_length = dict.fromkeys(corpus.modalities, 0)
    self._moments = {
      name: Moments(modality.dim)
      for name, modality in corpus.modalities.items()
    }

  def add(self, example: corpus_lib.Example, record: dict[str, Any]) -> None:
    """Takes account of one record."""
    split = example.split
    self._by_split[split] += 1
    self._labelled += record["labelled"]
    zeros = np.zeros(len(self._corpus.emotions), np.int64)
    self._labels.setdefault(split, zeros)
    if record["labelled"]:
      self._labels[split] = self._labels[split] + (record["labels"] > 0)
    self._speakers.update([example.speaker] if example.speaker else [])
    self._sessions.update([example.session] if example.session else [])
    for name, modality in self._corpus.modalities.items():
      frames = record[name]
      self._present[name] += len(frames) > 0
      self.max_length[name] = max(self.max_length[name], len(frames))
      if split == "train":
        if modality.padding == corpus_lib.ZERO_ROWS:
          frames = frames[frames.any(axis=1)]
        self._moments[name].add(frames)

  def counts(self) -> dict[str, Any]:
    """The manifest's `counts`."""
    emotions = self._corpus.emotions

    def named(values: np.ndarray) -> dict[str, int]:
      return dict(zip(emotions, map(int, values), strict=True))

    return {
      "examples": self._by_split.total(),
      "labelled": int(self._labelled),
      "by_split": dict(sorted(self._by_split.items())),
      "by_emotion": named(sum(self._labels.values())),
      "by_split_emotion": {
        split: named(values) for split, values in sorted(self._labels.items())
      },
      "present": {name: self._present[name] for name in self._moments},
      "speakers": len(self._speakers),
      "sessions": len(self._sessions),
    }

  def normalisation(self) -> dict[str, Any] | None:
    """The manifest's `normalisation`; None without a training split."""
    if not self._by_split["train"]:
      return None
    return {
      name: {
        "mean": moments.mean.tolist(),
        "std": moments.std.tolist(),
        "count": moments.count,
      }
      for name, moments in self._moments.items()
    }


class _OfflineInfo(tfds.core.DatasetInfo):
  """Without TFDS's look-up of a public data set of the same name."""

  def initialize_from_bucket(self) -> None:
    """Nothing: what is converted here is on no public server."""


class _DeterministicWriter(tfds_writer.ExampleWriter):
  """Protobuf's maps come in any order unless the writer asks for one."""

  def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
    def ordered() -> Iterator[tuple[Any, bytes]]:
      for key, data in examples:
        message = tf_example_pb2.Example.FromString(data)
        yield key, message.SerializeToString(deterministic=True)

    return super().write(path, ordered())


with tfds.core.registered.skip_registration():

  class _Builder(tfds.core.GeneratorBasedBuilder):
    """Writes any corpus; the features come from its description."""

    VERSION = tfds.core.Version("1.0.0")
    name = "corpus"

    def __init__(
      self, corpus: corpus_lib.Corpus, examples: Any, **kwargs: Any
    ) -> None:
      # The class attribute names the files; a corpus's name is known only now.
      self.name = corpus.name
      self._corpus = corpus
      self._examples = examples
      super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
      return _OfflineInfo(
        builder=self,
        description=f"{self._corpus.source}: {self._corpus.layout}",
        features=features(self._corpus),
      )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
      del dl_manager
      return {schema.TFDS_SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
      return self._examples()

    def _example_writer(self) -> tfds_writer.ExampleWriter:
      return _DeterministicWriter(self.info.file_format)


def _write_shards(
  corpus: corpus_lib.Corpus,
  examples: Any,
  folder: pathlib.Path,
  options: Options,
) -> None:
  tfds.disable_progress_bar()
  builder = _Builder(
    corpus, examples, data_dir=folder / "tfds", file_format=options.file_format
  )
  # TFDS prints where it "downloads" to, which is a folder about to be renamed.
  silent = contextlib.redirect_stdout(io.StringIO())
  try:
    with silent:
      builder.download_and_prepare(
        download_dir=folder / "downloads",
        download_config=tfds.download.DownloadConfig(
          try_download_gcs=False,
          num_shards=options.num_shards or None,
        ),
      )
  except ImportError as error:
    raise UserError(
      f"--file_format={options.file_format} needs a package that is not"
      f" installed ({error}); pip install 'mmer_jax[prep]'"
    ) from error
  for path in sorted(pathlib.Path(builder.data_path).iterdir()):
    path.rename(folder / path.name)
  for leftover in ("tfds", "downloads"):
    shutil.rmtree(folder / leftover, ignore_errors=True)


def _write_emotions(vectors: schema.EmotionVectors, path: pathlib.Path) -> None:
  np.savez(
    path,
    names=np.array(vectors.names, np.str_),
    words=np.array(vectors.words, np.str_),
    vectors=np.asarray(vectors.vectors, np.float32),
  )


def _manifest(
  corpus: corpus_lib.Corpus,
  options: Options,
  policy: nonfinite.Nonfinite,
  statistics: Statistics,
  folder: pathlib.Path,
) -> dict[str, Any]:
  # Part of what the fingerprint covers: a model reads them as its input.
  vectors = folder / shards.EMOTIONS
  manifest = {
    "format": schema.SHARD_FORMAT,
    "name": corpus.name,
    "source": corpus.source,
    "layout": corpus.layout,
    "converter": {
      "version": mmer_jax.__version__,
      "options": {
        **corpus.options,
        "nonfinite": options.nonfinite,
        "num_shards": options.num_shards,
        "file_format": options.file_format,
        "emotion_vectors_crc32c": checksum(vectors)
        if vectors.is_file()
        else None,
      },
    },
    "file_format": options.file_format,
    "emotions": list(corpus.emotions),
    "label_type": corpus.label_type,
    "modalities": {
      name: {
        "dim": modality.dim,
        "columns": list(modality.columns),
        "max_length": statistics.max_length[name],
        "padding": modality.padding,
      }
      for name, modality in corpus.modalities.items()
    },
    "counts": statistics.counts(),
    "nonfinite": {"policy": options.nonfinite, "counts": policy.counts()},
    "text": corpus.text,
    "normalisation": statistics.normalisation(),
    "shards": _shards(folder),
  }
  return {**manifest, "fingerprint": shards.fingerprint(manifest)}


def _shards(folder: pathlib.Path) -> list[dict[str, Any]]:
  info = json.loads((folder / "dataset_info.json").read_text())
  (split,) = info["splits"]
  lengths = [int(length) for length in split["shardLengths"]]
  paths = sorted(folder.glob(f"*-{schema.TFDS_SPLIT}.*-of-*"))
  return [
    {
      "file": path.name,
      "bytes": path.stat().st_size,
      "crc32c": checksum(path),
      "examples": length,
    }
    for path, length in zip(paths, lengths, strict=True)
  ]


def checksum(path: pathlib.Path) -> str:
  """CRC32C of a whole file, 8 hexadecimal digits."""
  crc = google_crc32c.Checksum()
  with path.open("rb") as file:
    while block := file.read(1 << 20):
      crc.update(block)
  return crc.hexdigest().decode()


@contextlib.contextmanager
def _workspace(output: pathlib.Path) -> Iterator[pathlib.Path]:
  """A hidden folder beside `output`, locked, empty, gone unless renamed."""
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.parent / f".{output.name}.incomplete"
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
  except OSError as error:
    raise UserError(f"cannot write beside {output}: {error}") from error
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f"another conversion is writing {output}; wait for it or give --output"
        " another folder"
      ) from error
    # What a killed conversion has left.
    for path in folder.iterdir():
      shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
      yield folder
    finally:
      # After the rename there is nothing here; after an error, everything.
      shutil.rmtree(folder, ignore_errors=True)
  finally:
    os.close(lock)


def _rename(folder: pathlib.Path, output: pathlib.Path) -> None:
  """The last act; on disk before it, so that a power cut cannot undo half."""
  for path in folder.iterdir():
    with path.open("rb") as file:
      os.fsync(file.fileno())
  # An empty folder of that name is replaced; one that filled up meanwhile not.
  refuse_existing(output)
  folder.rename(output)


def _track(
  corpus: corpus_lib.Corpus,
  total: int | None,
  description: str,
  console: rich.console.Console,
) -> Iterator[corpus_lib.Example]:
  yield from rich.progress.track(
    corpus.examples(),
    description=f"{description} {corpus.name}",
    total=total,
    console=console,
    transient=True,
    disable=not console.is_terminal,
  )
