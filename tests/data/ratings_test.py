"""Ratings in the place of emotions."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import ratings, schema, tables
from tests import own_shards

NAN = float("nan")
ROWS = [[1.5, 2.0], [NAN, 4.0], [-3.0, NAN], [0.0, 5.0]]


def corpus(values=ROWS, names=("sentiment", "arousal")):
  count = len(values)
  mask = np.ones((count, 1), bool)
  stream = schema.Stream(np.ones((count, 1, 2), np.float32), mask)
  labels = np.eye(count, 3, dtype=np.float32)
  return corpus_lib.Corpus(
    manifest={"name": "drawn"},
    emotions=("a", "b", "c"),
    vectors=np.ones((3, 4), np.float32),
    columns={},
    labels=labels,
    labelled=np.arange(count) > 0,
    present={},
    shapes={},
    table=tables.ResidentTable(schema.make_batch({"acoustic": stream}, labels)),
    dataset={},
    rating_names=names,
    rating_ranges=((-3.0, 3.0), (1.0, 5.0))[: len(names)],
    ratings=np.asarray(values, np.float32) if names else None,
  )


def test_rows_with_all_of_the_ratings_are_labelled():
  made = ratings.as_targets(corpus(), ())
  assert made.emotions == made.rating_names == ("sentiment", "arousal")
  # Whether an utterance has an emotion does not matter.
  np.testing.assert_array_equal(made.labelled, [True, False, False, True])
  np.testing.assert_array_equal(
    made.labels, [[1.5, 2.0], [0, 0], [0, 0], [0.0, 5.0]]
  )
  assert made.vectors.shape == (2, 0)
  batch = made.table.take(np.array([3, 1, -1]))
  np.testing.assert_array_equal(batch.labels, [[0, 5], [0, 0], [0, 0]])
  np.testing.assert_array_equal(batch.labelled, [True, False, False])


def test_one_rating_is_picked_with_its_range():
  made = ratings.as_targets(corpus(), ("arousal",))
  assert made.emotions == ("arousal",) and made.rating_ranges == ((1.0, 5.0),)
  np.testing.assert_array_equal(made.labelled, [True, True, False, True])
  np.testing.assert_array_equal(made.labels[:, 0], [2, 4, 0, 5])
  # The middle of 1 to 5 is 3.
  np.testing.assert_array_equal(
    ratings.levels(made)[:, 0], [False, True, False, True]
  )


@pytest.mark.parametrize(
  ("made", "names", "message"),
  [
    (corpus(names=()), (), "drawn has no ratings.*softmax"),
    (corpus(), ("valence",), "expected different ones of sentiment, arousal"),
    (corpus(), ("arousal", "arousal"), "expected different ones"),
    (corpus([[NAN, 1.0], [2.0, NAN]]), (), "sentiment and arousal, expected"),
  ],
)
def test_ratings_that_are_not_there_are_refused(made, names, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    ratings.as_targets(made, names)
  assert "\n" not in str(caught.value)


def test_features_that_stream_have_the_ratings_too(tmp_path):
  own_shards.convert(
    tmp_path,
    frames={"acoustic": 2},
    labels=[["a"]] * 4,
    scales=(("sentiment", -3.0, 3.0), ("arousal", 1.0, 5.0)),
    ratings=list(np.asarray(ROWS, np.float32)),
  )
  taken = []
  for resident in (True, False):
    read = corpus_lib.load_corpus(
      str(tmp_path),
      modalities=("acoustic",),
      emotions=(),
      max_length={"acoustic": 0},
      resident=resident,
      decision="regression",
      without_emotion="negative",
    )
    made = ratings.as_targets(read, ("arousal",))
    order = np.argsort(made.columns["id"])
    taken.append(made.table.take(order))
  for batch in taken:
    np.testing.assert_array_equal(batch.labels[:, 0], [2, 4, 0, 5])
    np.testing.assert_array_equal(batch.labelled, [True, True, False, True])
  np.testing.assert_array_equal(
    taken[0].streams["acoustic"].features, taken[1].streams["acoustic"].features
  )
