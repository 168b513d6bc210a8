"""Shards to batches: what is resident, what streams, and in which order.

Which rows make up which batch is decided here, on the host, from (seed,
stage, epoch) alone: an index per row, -1 where a row only fills the batch. The
resident path gathers those rows inside the compiled program, the streaming
path reads them from the shards; both see the same batches.

Row i in role s is number i + s n, of n utterances: one utterance can take part
with the labels of the source emotions and, drawn into a sample, with that of
a new one.
"""

import concurrent.futures
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Bool

from mmer_jax import errors
from mmer_jax.data import schema, shards

FILLER = -1

# Rows that one pass over the corpus holds at a time.
_PASS_ROWS = 4096


class Lacking(NamedTuple):
  """What shards may lack, because other shards had it in training.

  Attributes:
    shapes: Modality name to (frames, columns). One that the shards do not hold
      is absent from every utterance. Where they do not say which word a frame
      is in, it is in none.
    vectors: Of the emotions, (k, e), where the shards hold none.
  """

  shapes: dict[str, tuple[int, int]]
  vectors: np.ndarray


class Padding:
  """Pads, truncates and masks the streams of decoded examples."""

  def __init__(
    self,
    manifest: dict[str, Any],
    modalities: Sequence[str],
    max_length: dict[str, int],
    absent: dict[str, tuple[int, int]] | None = None,
  ):
    """Lengths come from the config, at most the corpus's longest.

    Args:
      manifest: Of the shards.
      modalities: To pad.
      max_length: Modality name to a length, 0 for the longest.
      absent: Modality name to (frames, columns), of those that no example has;
        None where none may be lacking, the words of frames included.
    """
    self._wordless = absent is not None
    absent = absent or {}
    self.dims, self.lengths, self._zero_rows = {}, {}, {}
    self.truncated = dict.fromkeys(modalities, 0)
    for modality in modalities:
      if modality in absent:
        self.lengths[modality], self.dims[modality] = absent[modality]
        self._zero_rows[modality] = False
        continue
      entry = manifest["modalities"][modality]
      longest = max(int(entry["max_length"]), 1)
      wanted = max_length[modality]
      if wanted < 0:
        raise errors.UserError(
          f"config.data.max_length.{modality} is {wanted}, expected a length"
          " of at least 1, or 0 for the corpus's longest"
        )
      self.lengths[modality] = min(wanted, longest) if wanted else longest
      self.dims[modality] = int(entry["dim"])
      self._zero_rows[modality] = entry["padding"] == "zero_rows"

  def __call__(
    self, examples: Sequence[dict[str, np.ndarray]]
  ) -> dict[str, schema.Stream]:
    """Returns one stream per modality; what is too long loses its tail."""
    streams = {}
    for modality, length in self.lengths.items():
      shape = (len(examples), length, self.dims[modality])
      features = np.zeros(shape, np.float32)
      mask = np.zeros(shape[:2], bool)
      for row, example in enumerate(examples):
        if modality not in example:
          continue
        frames = example[modality]
        if len(frames) > length:
          self.truncated[modality] += 1
          frames = frames[:length]
        features[row, : len(frames)] = frames
        mask[row, : len(frames)] = (
          np.any(frames != 0, axis=-1) if self._zero_rows[modality] else True
        )
      streams[modality] = schema.Stream(features, mask)
    return streams

  def words(
    self, examples: Sequence[dict[str, np.ndarray]]
  ) -> np.ndarray | None:
    """The word of every acoustic frame, -1 for none; None where not known."""
    length = self.lengths.get("acoustic")
    if length is None:
      return None
    found = np.full((len(examples), length), -1, np.int32)
    if "acoustic_word" not in examples[0]:
      # A frame by itself is features of the whole utterance.
      return found if self._wordless and length > 1 else None
    for row, example in enumerate(examples):
      word = example["acoustic_word"][:length]
      found[row, : len(word)] = word
    return found


class ResidentTable:
  """Features in memory, as one batch of every utterance."""

  def __init__(self, batch: schema.Batch):
    """Takes NumPy arrays; `device.put` of `batch` is the caller's."""
    self.batch = batch

  def take(self, rows: np.ndarray) -> schema.Batch:
    """Returns the rows as a batch of NumPy arrays."""
    return take(self.batch, rows)


class StreamingTable:
  """Features read from the shards at every `take`, checksums verified."""

  def __init__(
    self,
    read: Callable[[int], dict[str, np.ndarray]],
    pad: Padding,
    labels: np.ndarray,
    labelled: np.ndarray,
  ):
    """Takes a reader of one record by row number."""
    self._read = read
    self._pad = pad
    self._labels = labels
    self._labelled = labelled

  def take(self, rows: np.ndarray) -> schema.Batch:
    """Returns the rows as a batch of NumPy arrays."""
    real, count = rows != FILLER, len(self._labels)
    wanted, inverse = np.unique(
      np.where(real, rows % count, 0), return_inverse=True
    )
    examples = [self._read(int(row)) for row in wanted]
    compact = _as_batch(
      self._pad(examples),
      self._pad.words(examples),
      self._labels[wanted],
      self._labelled[wanted],
    )
    inverse = inverse.reshape(rows.shape)
    compact = compact.replace(row=wanted.astype(np.int32))
    batch = take(compact, np.where(real, inverse, FILLER))
    return batch.replace(role=np.where(real, rows // count, 0).astype(np.int32))


class JoinedTable:
  """The rows of one table and, behind them, those of another.

  Labels are the first's; a row of the second has none. Sequences of either
  are padded to the longer.
  """

  def __init__(self, first: "Table", second: "Table", counts: tuple[int, int]):
    """Takes how many rows each has."""
    self._tables = (first, second)
    self._counts = counts

  def take(self, rows: np.ndarray) -> schema.Batch:
    """Returns the rows as a batch of NumPy arrays."""
    real, (count, more) = rows != FILLER, self._counts
    index, role = rows % (count + more), rows // (count + more)
    behind = real & (index >= count)
    own = self._tables[0].take(
      np.where(real & ~behind, index + role * count, FILLER)
    )
    other = self._tables[1].take(np.where(behind, index - count, FILLER))
    streams = {}
    for modality, stream in own.streams.items():
      ours, theirs = _as_long(stream, other.streams[modality])
      # Where one has a row, the other has a filler: zeros, all masked.
      streams[modality] = schema.Stream(
        ours.features + theirs.features, ours.mask | theirs.mask
      )
    return own.replace(
      streams=streams,
      present={m: stream.mask.any(axis=-1) for m, stream in streams.items()},
      example_mask=real,
      acoustic_word=_join_words(
        streams, own.acoustic_word, other.acoustic_word
      ),
      row=np.where(real, index, 0).astype(np.int32),
    )


Table = ResidentTable | StreamingTable | JoinedTable


def _as_long(*streams: schema.Stream) -> list[schema.Stream]:
  """Pads the shorter at its end."""
  length = max(stream.mask.shape[-1] for stream in streams)

  def pad(leaf: np.ndarray, axis: int) -> np.ndarray:
    pads = [(0, 0)] * leaf.ndim
    pads[axis] = (0, length - leaf.shape[axis])
    return np.pad(leaf, pads)

  return [
    schema.Stream(pad(stream.features, -2), pad(stream.mask, -1))
    for stream in streams
  ]


def _join_words(
  streams: dict[str, schema.Stream], *words: np.ndarray | None
) -> np.ndarray | None:
  """Those of each row; where one corpus knows none, -1 for its rows."""
  known = [word for word in words if word is not None]
  if not known:
    return None
  length = streams["acoustic"].mask.shape[-1]
  # Where one has a row, the other has a filler: -1.
  return np.max(
    [
      np.pad(
        word,
        [(0, 0)] * (word.ndim - 1) + [(0, length - word.shape[-1])],
        constant_values=-1,
      )
      for word in known
    ],
    axis=0,
  )


class Corpus(NamedTuple):
  """A shard folder, read for one config.

  Attributes:
    manifest: As `data_prep.convert` wrote it.
    emotions: Names, in the order of the columns of `labels`.
    vectors: One word vector per emotion; (k, 0) where the shards hold none.
    columns: `id speaker session dialogue split`, each (n,) text.
    labels: (n, k) float32, 1 where present.
    labelled: (n,) bool.
    present: Modality name to (n,) bool.
    shapes: Modality name to (frames, columns) of the padded features.
    table: The features.
    dataset: Name and fingerprint of the shards, for results; and, as
      `unlabelled`, those of shards of unlabelled rows behind them.
  """

  manifest: dict[str, Any]
  emotions: tuple[str, ...]
  vectors: np.ndarray
  columns: dict[str, np.ndarray]
  labels: np.ndarray
  labelled: np.ndarray
  present: dict[str, np.ndarray]
  shapes: dict[str, tuple[int, int]]
  table: Table
  dataset: dict[str, Any]


def load(
  directory: str,
  *,
  modalities: Sequence[str],
  emotions: Sequence[str],
  max_length: dict[str, int],
  resident: bool,
  decision: str,
  without_emotion: str,
  lacking: Lacking | None = None,
) -> Corpus:
  """Reads a shard folder; every record's checksum is verified.

  Args:
    directory: The shard folder.
    modalities: The streams to read.
    emotions: The label columns to use, in this order; empty for all.
    max_length: Modality name to the longest sequence; 0 for the corpus's.
    resident: Whether features are kept in memory. If not, one pass verifies
      the shards and reads what is not a feature; features stream afterwards.
    decision: `"softmax"` makes rows without any of `emotions` unlabelled.
    without_emotion: Under `"binary"`, what such a row is: `"negative"` of them
      all, or `"unlabelled"`.
    lacking: What is made up where the shards do not have it.

  Returns:
    The corpus.

  Raises:
    UserError: The folder, an emotion or a modality is not as the config says.
  """
  manifest = shards.load_manifest(pathlib.Path(directory))
  absent: dict[str, tuple[int, int]] = {}
  for modality in modalities:
    if modality in manifest["modalities"]:
      continue
    if lacking is None or modality not in lacking.shapes:
      raise errors.UserError(
        f"config.data.modalities names {modality!r}, but {directory} holds"
        f" {', '.join(manifest['modalities'])}; set config.data.modalities"
      )
    logging.info("%s holds no %s: no utterance has it", directory, modality)
    absent[modality] = lacking.shapes[modality]
  if not modalities:
    raise errors.UserError(
      "config.data.modalities is empty, expected at least one of"
      f" {', '.join(manifest['modalities'])}"
    )
  names = tuple(emotions) or tuple(manifest["emotions"])
  for emotion in names:
    if emotion not in manifest["emotions"]:
      raise errors.UserError(
        f"config.data.emotions names {emotion!r}, but {directory} holds"
        f" {', '.join(manifest['emotions'])}"
      )
  columns = [manifest["emotions"].index(emotion) for emotion in names]

  pad = Padding(
    manifest, modalities, max_length, absent if lacking is not None else None
  )
  text: dict[str, list[str]] = {
    key: [] for key in ("id", "speaker", "session", "dialogue", "split")
  }
  labels, labelled, locations = [], [], []
  streams: list[dict[str, schema.Stream]] = []
  words: list[np.ndarray] = []
  present: dict[str, list[bool]] = {modality: [] for modality in modalities}
  pending: list[dict[str, np.ndarray]] = []
  for location, example in shards.read_examples(pathlib.Path(directory)):
    for key, values in text.items():
      values.append(str(example[key]))
    labels.append(example["labels"][columns])
    labelled.append(bool(example["labelled"]))
    locations.append(location)
    kept = (*modalities, "acoustic_word")
    pending.append({key: example[key] for key in kept if key in example})
    if len(pending) == _PASS_ROWS:
      _flush(pad, pending, present, (streams, words) if resident else None)
  _flush(pad, pending, present, (streams, words) if resident else None)
  if not labels:
    raise errors.UserError(f"{directory} holds no example; convert it again")
  for modality, count in pad.truncated.items():
    if count:
      logging.info(
        "%s: %d of %d utterances are longer than %d frames; the rest is cut",
        modality,
        count,
        len(labels),
        pad.lengths[modality],
      )

  label_array = np.asarray(labels, np.float32)
  labelled_array = np.asarray(labelled, bool)
  if decision == "softmax":
    several = labelled_array & (label_array.sum(axis=1) > 1)
    if several.any():
      raise errors.UserError(
        f"{directory} has {several.sum()} utterances with several emotions,"
        ' but config.protocol.decision is "softmax", which expects one; use'
        ' "binary"'
      )
  if decision == "softmax" or without_emotion == "unlabelled":
    labelled_array = labelled_array & label_array.any(axis=1)
  if resident:
    table = ResidentTable(
      _as_batch(
        {
          modality: schema.Stream(
            np.concatenate([part[modality].features for part in streams]),
            np.concatenate([part[modality].mask for part in streams]),
          )
          for modality in modalities
        },
        np.concatenate(words) if words else None,
        label_array,
        labelled_array,
      )
    )
  else:
    reader = shards.RecordReader(pathlib.Path(directory))
    table = StreamingTable(
      lambda row: reader.read(locations[row]), pad, label_array, labelled_array
    )
  return Corpus(
    manifest=manifest,
    emotions=names,
    vectors=_vectors(directory, names, lacking),
    columns={key: np.asarray(values) for key, values in text.items()},
    labels=label_array,
    labelled=labelled_array,
    present={m: np.asarray(flags) for m, flags in present.items()},
    shapes={m: (pad.lengths[m], pad.dims[m]) for m in modalities},
    table=table,
    dataset={key: manifest[key] for key in ("name", "fingerprint")},
  )


def take(table: schema.Batch, rows: np.ndarray | jax.Array) -> schema.Batch:
  """Gathers rows of a batch of every utterance; `FILLER` gives a masked row.

  Works on NumPy arrays and on traced ones, so that the streaming and the
  resident path share one definition of a batch.

  Args:
    table: Every utterance.
    rows: Row numbers, with their roles, of any shape, in place of the batch
      axis.

  Returns:
    A batch whose leading axes are those of `rows`.
  """
  xp = jnp if not isinstance(rows, np.ndarray) else np
  count = table.labels.shape[0]
  real = rows != FILLER
  index = xp.where(real, rows % count, 0)
  streams = {}
  for modality, stream in table.streams.items():
    mask = xp.take(stream.mask, index, axis=0) & real[..., None]
    features = xp.take(stream.features, index, axis=0)
    streams[modality] = schema.Stream(
      xp.where(mask[..., None], features, xp.zeros_like(features)), mask
    )
  word = table.acoustic_word
  if word is not None:
    word = xp.where(real[..., None], xp.take(word, index, axis=0), -1)
  return schema.Batch(
    streams=streams,
    present={m: stream.mask.any(axis=-1) for m, stream in streams.items()},
    labels=xp.take(table.labels, index, axis=0)
    * real[..., None].astype(table.labels.dtype),
    labelled=xp.take(table.labelled, index, axis=0) & real,
    example_mask=real,
    role=xp.where(real, rows // count, 0).astype(np.int32),
    acoustic_word=word,
    row=(
      index if table.row is None else xp.take(table.row, index, axis=0)
    ).astype(np.int32),
  )


def normalise(
  batch: schema.Batch, mean: dict[str, Any], scale: dict[str, Any]
) -> schema.Batch:
  """Subtracts the mean and divides by the deviation; padding stays zero."""
  streams = dict(batch.streams)
  for modality in mean:
    stream = streams[modality]
    centred = (stream.features - mean[modality][None, None, :]) * scale[
      modality
    ][None, None, :]
    streams[modality] = stream.replace(
      features=jnp.where(stream.mask[..., None], centred, 0.0)
    )
  return batch.replace(streams=streams)


def keep_modalities(
  batch: schema.Batch, keep: dict[str, bool | Bool[Array, ""]]
) -> schema.Batch:
  """Makes the modalities absent that are not to be kept.

  Args:
    batch: Utterances.
    keep: Modality name to whether; one that is not named is kept.
  """
  streams, present = dict(batch.streams), dict(batch.present)
  for modality, kept in keep.items():
    stream = streams[modality]
    streams[modality] = schema.Stream(
      jnp.where(kept, stream.features, 0.0), stream.mask & kept
    )
    present[modality] = present[modality] & kept
  return batch.replace(streams=streams, present=present)


def epoch_rows(
  rows: np.ndarray, batch_size: int, *, seed: int, stage: int, epoch: int
) -> np.ndarray:
  """Shuffles the training rows of one run into the batches of one epoch.

  Args:
    rows: Row numbers of the training split.
    batch_size: Rows per batch.
    seed: The run's.
    stage: Number of the stage, from 0.
    epoch: Number of the epoch, from 0.

  Returns:
    (steps, batch) row numbers; the last batch is filled with `FILLER`.
  """
  stream = zlib.crc32(b"order")
  order = np.random.default_rng([seed, stream, stage, epoch]).permutation(rows)
  return in_batches(order, batch_size)


def in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
  """Cuts rows into (steps, batch), filling the last batch."""
  steps = max(-(-len(rows) // batch_size), 1)
  batches = np.full(steps * batch_size, FILLER, np.int32)
  batches[: len(rows)] = rows
  return batches.reshape(steps, batch_size)


def stack_runs(batches: Sequence[np.ndarray], steps: int = 0) -> np.ndarray:
  """Stacks the runs' batches to (r, steps, batch), the short ones filled.

  Args:
    batches: (steps, batch) of each run; the steps may differ.
    steps: At least so many, where the caller wants whole chunks.
  """
  steps = max(steps, *(len(rows) for rows in batches))
  width = batches[0].shape[1]
  stacked = np.full((len(batches), steps, width), FILLER, np.int32)
  for run, rows in enumerate(batches):
    stacked[run, : len(rows)] = rows
  return stacked


def statistics(
  table: Table, rows: np.ndarray, modality: str
) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of every column over the real frames.

  Two passes in float64, a few thousand utterances at a time.

  Args:
    table: The features.
    rows: The training rows.
    modality: Whose columns.

  Returns:
    Mean and population standard deviation, (d,) float64. Zeros and ones
    where no row has the modality.
  """

  def total(fn: Callable[[np.ndarray], Any]) -> Any:
    parts = []
    for start in range(0, len(rows), _PASS_ROWS):
      stream = table.take(rows[start : start + _PASS_ROWS]).streams[modality]
      frames = np.asarray(stream.features, np.float64)[stream.mask]
      parts.append(fn(frames))
    return np.sum(parts, axis=0)

  count = total(len)
  dim = table.take(rows[:1]).streams[modality].features.shape[-1]
  if count == 0:
    return np.zeros(dim), np.ones(dim)
  mean = total(lambda frames: frames.sum(axis=0)) / count
  variance = total(lambda frames: np.square(frames - mean).sum(axis=0)) / count
  return mean, np.sqrt(variance)


def inverse_deviation(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
  """1 / std, and 1 where a column is constant to float32's rounding."""
  constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
  return np.where(constant, 1.0, 1.0 / np.where(constant, 1.0, std))


def prefetch(items: Iterator[Any], make: Callable[[Any], Any]) -> Iterator[Any]:
  """Makes the next item in a thread while the caller uses this one."""
  with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
    waiting = None
    for item in items:
      following = pool.submit(make, item)
      if waiting is not None:
        yield waiting.result()
      waiting = following
    if waiting is not None:
      yield waiting.result()


def _flush(
  pad: Padding,
  pending: list[dict[str, np.ndarray]],
  present: dict[str, list[bool]],
  kept: tuple[list[dict[str, schema.Stream]], list[np.ndarray]] | None,
) -> None:
  if not pending:
    return
  padded = pad(pending)
  for modality, flags in present.items():
    flags.extend(padded[modality].mask.any(axis=1).tolist())
  if kept is not None:
    streams, words = kept
    streams.append(padded)
    word = pad.words(pending)
    if word is not None:
      words.append(word)
  pending.clear()


def _as_batch(
  streams: dict[str, schema.Stream],
  words: np.ndarray | None,
  labels: np.ndarray,
  labelled: np.ndarray,
) -> schema.Batch:
  return schema.Batch(
    streams=streams,
    present={m: stream.mask.any(axis=1) for m, stream in streams.items()},
    labels=labels,
    labelled=labelled,
    example_mask=np.ones(len(labels), bool),
    role=np.zeros(len(labels), np.int32),
    acoustic_word=words,
  )


def _vectors(
  directory: str, names: Sequence[str], lacking: Lacking | None
) -> np.ndarray:
  vectors = shards.load_emotion_vectors(pathlib.Path(directory))
  if vectors is None and lacking is not None:
    if len(lacking.vectors) == len(names):
      return lacking.vectors
  if vectors is None:
    return np.zeros((len(names), 0), np.float32)
  rows = [vectors.names.index(name) for name in names]
  return np.asarray(vectors.vectors[rows], np.float32)
