"""Padding, batches and statistics."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmer_jax.base import errors
from mmer_jax.data import batches as batches_lib
from mmer_jax.data import normalise, schema, tables

RNG = np.random.default_rng(7)


def manifest(padding="none", longest=6):
  return {
    "modalities": {
      "lexical": {"dim": 3, "max_length": longest, "padding": "none"},
      "visual": {"dim": 2, "max_length": longest, "padding": padding},
    }
  }


def table(n=9):
  streams = {}
  for modality, width in (("lexical", 3), ("visual", 2)):
    mask = np.arange(6)[None, :] < RNG.integers(0, 7, size=n)[:, None]
    features = RNG.normal(5.0, 3.0, size=(n, 6, width)) * mask[..., None]
    streams[modality] = schema.Stream(features.astype(np.float32), mask)
  return schema.Batch(
    streams=streams,
    present={m: s.mask.any(axis=1) for m, s in streams.items()},
    labels=RNG.integers(2, size=(n, 4)).astype(np.float32),
    labelled=RNG.random(n) < 0.8,
    example_mask=np.ones(n, bool),
    role=np.zeros(n, np.int32),
  )


def test_padding_masks_cuts_and_counts():
  pad = tables.Padding(
    manifest(), ("lexical",), {"lexical": 4, "acoustic": 0, "visual": 0}
  )
  frames = RNG.normal(size=(6, 3)).astype(np.float32)
  stream = pad(
    [
      {"lexical": frames[:2]},
      {"lexical": frames},
      {"lexical": frames[:0]},
    ]
  )["lexical"]
  assert stream.features.shape == (3, 4, 3)
  assert stream.mask.sum(axis=1).tolist() == [2, 4, 0]
  np.testing.assert_array_equal(stream.features[0, :2], frames[:2])
  np.testing.assert_array_equal(stream.features[0, 2:], 0)
  np.testing.assert_array_equal(stream.features[1], frames[:4])
  assert pad.truncated == {"lexical": 1}


def test_zero_rows_are_padding_only_where_the_manifest_says_so():
  frames = np.array([[0, 0], [1, 0], [0, 0], [0, 2]], np.float32)
  lengths = {"lexical": 0, "acoustic": 0, "visual": 0}
  plain = tables.Padding(manifest(), ("visual",), lengths)
  zeros = tables.Padding(manifest("zero_rows"), ("visual",), lengths)
  assert plain([{"visual": frames}])["visual"].mask[0].tolist() == (
    [True] * 4 + [False] * 2
  )
  assert zeros([{"visual": frames}])["visual"].mask[0].tolist() == (
    [False, True, False, True, False, False]
  )


def test_a_length_of_zero_is_the_longest_of_the_corpus():
  pad = tables.Padding(
    manifest(longest=6), ("visual",), {"visual": 0, "lexical": 0}
  )
  assert pad.lengths == {"visual": 6}
  with pytest.raises(errors.UserError, match="max_length.visual is -1"):
    tables.Padding(manifest(), ("visual",), {"visual": -1})


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


@settings(deadline=None, max_examples=50)
@given(
  n=st.integers(1, 70),
  size=st.integers(1, 16),
  seed=st.integers(0, 1000),
  epoch=st.integers(0, 5),
)
def test_an_epoch_holds_every_row_once(n, size, seed, epoch):
  rows = np.arange(100, 100 + n)
  batches = batches_lib.epoch_rows(rows, size, seed=seed, stage=0, epoch=epoch)
  real = batches[batches != schema.PAD_ROW]
  assert sorted(real.tolist()) == rows.tolist()
  assert batches.shape == (-(-n // size), size)
  # Only the last batch is filled, and at its end.
  assert (batches[:-1] != schema.PAD_ROW).all()


def test_the_order_depends_on_seed_epoch_and_stage_alone():
  def order(seed=0, stage=0, epoch=0):
    return batches_lib.epoch_rows(
      np.arange(50), 8, seed=seed, stage=stage, epoch=epoch
    ).tolist()

  assert order() == order()
  others = [order(seed=1), order(stage=1), order(epoch=1)]
  assert len({str(x) for x in [order(), *others]}) == 4


def test_statistics_equal_numpy_over_real_frames(monkeypatch):
  monkeypatch.setattr(tables, "PASS_ROWS", 4)
  whole = table(23)
  rows = np.array([1, 2, 5, 7, 8, 11, 19, 22])
  mean, std = normalise.statistics(tables.ResidentTable(whole), rows, "visual")
  stream = whole.streams["visual"]
  frames = stream.features[rows][stream.mask[rows]].astype(np.float64)
  np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(std, frames.std(axis=0), rtol=1e-12)


def test_statistics_of_an_absent_modality_change_nothing():
  whole = table(5)
  stream = whole.streams["visual"]
  absent = whole.replace(
    streams={
      "visual": schema.Stream(
        np.zeros_like(stream.features), np.zeros_like(stream.mask)
      )
    }
  )
  mean, std = normalise.statistics(
    tables.ResidentTable(absent), np.arange(5), "visual"
  )
  assert mean.tolist() == [0, 0]
  assert normalise.inverse_deviation(mean, std).tolist() == [1, 1]


def test_a_constant_column_keeps_its_scale():
  mean = np.array([3.0, 1000.0, 0.0])
  std = np.array([0.0, 1e-5, 2.0])
  np.testing.assert_array_equal(
    normalise.inverse_deviation(mean, std), [1.0, 1.0, 0.5]
  )


def test_normalised_frames_are_standard_and_padding_stays_zero():
  whole = table(40)
  mean, std = normalise.statistics(
    tables.ResidentTable(whole), np.arange(40), "lexical"
  )
  batch = normalise.normalise(
    whole,
    {"lexical": mean.astype(np.float32)},
    {"lexical": normalise.inverse_deviation(mean, std).astype(np.float32)},
  )
  stream = batch.streams["lexical"]
  features = np.asarray(stream.features)
  frames = features[np.asarray(stream.mask)]
  np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-5)
  np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-5)
  assert not features[~np.asarray(stream.mask)].any()
  np.testing.assert_array_equal(
    batch.streams["visual"].features, whole.streams["visual"].features
  )


def test_streaming_makes_the_batches_of_resident():
  whole = table(12)
  lengths = {m: s.mask.sum(axis=1) for m, s in whole.streams.items()}
  pad = tables.Padding(
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


def test_keeping_modalities_makes_the_others_absent():
  whole = table()
  kept = normalise.keep_modalities(whole, {"lexical": True, "visual": False})
  assert not np.asarray(kept.streams["visual"].mask).any()
  assert not np.asarray(kept.streams["visual"].features).any()
  assert not np.asarray(kept.present["visual"]).any()
  np.testing.assert_array_equal(
    kept.streams["lexical"].features, whole.streams["lexical"].features
  )


def test_prefetch_keeps_the_order_and_passes_errors_on():
  assert list(batches_lib.prefetch(iter(range(7)), lambda x: x * x)) == [
    x * x for x in range(7)
  ]
  assert list(batches_lib.prefetch(iter([]), lambda x: x)) == []

  def fail(x):
    raise errors.UserError(f"record {x}")

  with pytest.raises(errors.UserError, match="record 0"):
    list(batches_lib.prefetch(iter([0, 1]), fail))


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


def test_the_words_of_frames_are_cut_padded_and_gathered():
  entry = {"dim": 2, "max_length": 9, "padding": "none"}
  pad = tables.Padding(
    {"modalities": {"acoustic": entry}}, ("acoustic",), {"acoustic": 4}
  )
  examples = [
    {"acoustic": np.ones((len(word), 2)), "acoustic_word": np.array(word)}
    for word in ([0, 0, -1, 1, 1], [-1, 3], [])
  ]
  words = pad.words(examples)
  np.testing.assert_array_equal(
    words, [[0, 0, -1, 1], [-1, 3, -1, -1], [-1] * 4]
  )
  bare = [{"acoustic": np.ones((1, 2))}]
  assert pad.words(bare) is None
  lacking = tables.Padding(
    {"modalities": {"acoustic": entry}},
    ("acoustic", "lexical"),
    {"acoustic": 4},
    {"lexical": (3, 5)},
  )
  np.testing.assert_array_equal(lacking.words(bare), [[-1] * 4])
  absent = lacking(bare)["lexical"]
  assert absent.features.shape == (1, 3, 5) and not absent.mask.any()
  whole = table(3).replace(acoustic_word=words)
  rows = np.array([[1, schema.PAD_ROW], [0, 4]])
  for taken in (
    tables.take(whole, rows),
    jax.jit(tables.take)(whole, rows),
  ):
    np.testing.assert_array_equal(
      taken.acoustic_word, words[[1, 2, 0, 1]].reshape(2, 2, 4)
    )


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
