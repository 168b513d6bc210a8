"""Statistics of columns, normalised features, hidden modalities."""

import numpy as np

from mmer_jax.data import normalise, schema, tables
from tests.data.toy_table import table


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


def test_keeping_modalities_makes_the_others_absent():
  whole = table()
  kept = normalise.keep_modalities(whole, {"lexical": True, "visual": False})
  assert not np.asarray(kept.streams["visual"].mask).any()
  assert not np.asarray(kept.streams["visual"].features).any()
  assert not np.asarray(kept.present["visual"]).any()
  np.testing.assert_array_equal(
    kept.streams["lexical"].features, whole.streams["lexical"].features
  )
