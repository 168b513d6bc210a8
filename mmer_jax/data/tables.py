"""Gathers rows of a corpus as batches, from memory or from the shards."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax.data import padding, schema

# Rows that one pass over the corpus holds at a time.
PASS_ROWS = 4096


class ResidentTable:
  """Holds the features in memory, as one batch of every utterance."""

  def __init__(self, batch: schema.Batch):
    """Takes NumPy arrays; `device.put` of `batch` is the caller's."""
    self.batch = batch

  def take(self, rows: np.ndarray) -> schema.Batch:
    """Returns the rows as a batch of NumPy arrays."""
    return take(self.batch, rows)

  def with_labels(
    self, labels: np.ndarray, labelled: np.ndarray
  ) -> "ResidentTable":
    """Returns the same features with other labels."""
    return ResidentTable(self.batch.replace(labels=labels, labelled=labelled))


class StreamingTable:
  """Reads the features from the shards at every `take`, checksums verified."""

  def __init__(
    self,
    read: Callable[[int], dict[str, np.ndarray]],
    pad: padding.Padding,
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
    real, count = rows != schema.PAD_ROW, len(self._labels)
    wanted, inverse = np.unique(
      np.where(real, rows % count, 0), return_inverse=True
    )
    examples = [self._read(int(row)) for row in wanted]
    compact = schema.make_batch(
      self._pad(examples),
      self._labels[wanted],
      labelled=self._labelled[wanted],
      acoustic_word=self._pad.words(examples),
      row=wanted.astype(np.int32),
    )
    inverse = inverse.reshape(rows.shape)
    batch = take(compact, np.where(real, inverse, schema.PAD_ROW))
    return batch.replace(role=np.where(real, rows // count, 0).astype(np.int32))

  def with_labels(
    self, labels: np.ndarray, labelled: np.ndarray
  ) -> "StreamingTable":
    """Returns the same features with other labels."""
    return StreamingTable(self._read, self._pad, labels, labelled)


class JoinedTable:
  """Joins the rows of one table and, behind them, those of another.

  Labels are the first's; a row of the second has none. Sequences of either
  are padded to the longer.
  """

  def __init__(self, first: "Table", second: "Table", counts: tuple[int, int]):
    """Takes how many rows each has."""
    self._tables = (first, second)
    self._counts = counts

  def take(self, rows: np.ndarray) -> schema.Batch:
    """Returns the rows as a batch of NumPy arrays."""
    real, (count, more) = rows != schema.PAD_ROW, self._counts
    index, role = rows % (count + more), rows // (count + more)
    behind = real & (index >= count)
    own = self._tables[0].take(
      np.where(real & ~behind, index + role * count, schema.PAD_ROW)
    )
    other = self._tables[1].take(
      np.where(behind, index - count, schema.PAD_ROW)
    )
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
  """Pads the shorter streams at their end to the length of the longest."""
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
  """Joins the words of frames; -1 for rows of a corpus that knows none."""
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


def take(table: schema.Batch, rows: np.ndarray | jax.Array) -> schema.Batch:
  """Gathers rows of a batch of every utterance; `PAD_ROW` is all masked.

  Works on NumPy arrays and on traced ones, so that the streaming and the
  resident path share one definition of a batch.

  Args:
    table: Every utterance of the corpus.
    rows: Row numbers, with their roles, of any shape, in place of the batch
      axis.

  Returns:
    A batch whose leading axes are those of `rows`.
  """
  xp = jnp if not isinstance(rows, np.ndarray) else np
  count = table.labels.shape[0]
  real = rows != schema.PAD_ROW
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
  return schema.make_batch(
    streams,
    xp.take(table.labels, index, axis=0)
    * real[..., None].astype(table.labels.dtype),
    labelled=xp.take(table.labelled, index, axis=0) & real,
    example_mask=real,
    role=xp.where(real, rows // count, 0).astype(np.int32),
    acoustic_word=word,
    row=(
      index if table.row is None else xp.take(table.row, index, axis=0)
    ).astype(np.int32),
  )
