"""Rows of a corpus as batches, from memory and from the shards."""

import jax
import numpy as np

from mmer_jax.data import padding, schema, tables
from tests.data.toy_table import manifest, table


def test_take_gathers_rows_and_masks_fillers():
  whole = table()
  rows = np.array([[4, -1], [0, 4]])
  batch = tables.take(whole, rows)
  for modality, stream in batch.streams.items():
    source = whole.streams[modality]
    np.testing.assert_array_equal(stream.features[0, 0], source.features[4])
    np.testing.assert_array_equal(stream.features[1, 1], source.features[4])
    assert not stream.mask[0, 1].any()
    assert not stream.features[0, 1].any()
    assert not batch.present[modality][0, 1]
  np.testing.assert_array_equal(batch.labels[1, 0], whole.labels[0])
  assert batch.example_mask.tolist() == [[True, False], [True, True]]
  assert not batch.labelled[0, 1]


def test_streaming_makes_the_batches_of_resident():
  whole = table(12)
  lengths = {m: s.mask.sum(axis=1) for m, s in whole.streams.items()}
  pad = padding.Padding(
    manifest(), ("lexical", "visual"), {"lexical": 0, "visual": 0}
  )
  reads = []

  def read(row):
    reads.append(row)
    return {
      m: s.features[row, : lengths[m][row]] for m, s in whole.streams.items()
    }

  streaming = tables.StreamingTable(read, pad, whole.labels, whole.labelled)
  # Of 12 rows: row 3 twice, once in role 1; row 5 in role 2.
  rows = np.array([[[3, 3 + 12, 11], [-1, 0, 5 + 24]]])
  a, b = streaming.take(rows), tables.ResidentTable(whole).take(rows)
  for modality in whole.streams:
    np.testing.assert_array_equal(
      a.streams[modality].features, b.streams[modality].features
    )
    np.testing.assert_array_equal(
      a.streams[modality].mask, b.streams[modality].mask
    )
    np.testing.assert_array_equal(a.present[modality], b.present[modality])
  np.testing.assert_array_equal(a.labels, b.labels)
  np.testing.assert_array_equal(a.labelled, b.labelled)
  np.testing.assert_array_equal(a.example_mask, b.example_mask)
  np.testing.assert_array_equal(a.role, b.role)
  assert sorted(reads) == [0, 3, 5, 11], "a row is read once per chunk"


def test_a_row_says_also_as_what_it_takes_part():
  """Row i of n in role s is i + s n, in NumPy and traced alike."""
  everything = table(9)
  rows = np.array([[3, 3 + 9, 8 + 18], [schema.PAD_ROW, 0, 4 + 9]], np.int32)
  batch = tables.take(everything, rows)
  assert batch.role.tolist() == [[0, 1, 2], [0, 0, 1]]
  plain = tables.take(everything, np.array([[3, 3, 8], [-1, 0, 4]], np.int32))
  jax.tree.map(
    np.testing.assert_array_equal, batch.replace(role=plain.role), plain
  )
  traced = jax.jit(tables.take)(everything, rows)
  jax.tree.map(np.testing.assert_array_equal, traced, batch)


def test_the_words_of_joined_tables_are_those_of_each_row():
  def made(words, length, n):
    mask = np.ones((n, length), bool)
    stream = schema.Stream(np.ones((n, length, 2), np.float32), mask)
    return tables.ResidentTable(
      table(n).replace(streams={"acoustic": stream}, acoustic_word=words)
    )

  ours = made(np.array([[0, 1], [-1, 3]], np.int32), 2, 2)
  theirs = made(np.array([[4, -1, 5]], np.int32), 3, 1)
  rows = np.array([2, 0, schema.PAD_ROW, 1])
  joined = tables.JoinedTable(ours, theirs, (2, 1)).take(rows)
  np.testing.assert_array_equal(
    joined.acoustic_word, [[4, -1, 5], [0, 1, -1], [-1] * 3, [-1, 3, -1]]
  )
  unaligned = made(None, 3, 1)
  joined = tables.JoinedTable(ours, unaligned, (2, 1)).take(rows)
  assert joined.acoustic_word[0].tolist() == [-1] * 3
  both = tables.JoinedTable(unaligned, unaligned, (1, 1)).take(rows[2:])
  assert both.acoustic_word is None


def test_the_words_of_frames_are_gathered():
  words = np.array([[0, 0, -1, 1], [-1, 3, -1, -1], [-1] * 4], np.int32)
  whole = table(3).replace(acoustic_word=words)
  rows = np.array([[1, schema.PAD_ROW], [0, 4]])
  for taken in (
    tables.take(whole, rows),
    jax.jit(tables.take)(whole, rows),
  ):
    np.testing.assert_array_equal(
      taken.acoustic_word, words[[1, 2, 0, 1]].reshape(2, 2, 4)
    )


def test_a_batch_takes_presence_from_its_masks_in_numpy_and_jax():
  whole = table(4)
  for array in (np.asarray, jax.numpy.asarray):
    made = schema.make_batch(
      jax.tree.map(array, whole.streams), array(whole.labels)
    )
    assert made.labelled.all() and made.example_mask.all()
    assert not made.role.any() and made.row is None
    for modality, stream in whole.streams.items():
      np.testing.assert_array_equal(
        made.present[modality], stream.mask.any(axis=1)
      )
    assert isinstance(made.role, type(array(whole.labels)))
