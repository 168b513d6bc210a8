"""Ratings that published layouts hold beside their classes."""

import pickle

import h5py
import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.features import text_features
from data_prep.sources import cmu_processed
from data_prep.sources.csd import labels as csd_labels
from data_prep.sources.iemocap import labels as iemocap_labels
from data_prep.sources.iemocap import source as iemocap
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import csd_files, drawn_pickles, iemocap_files

SENTIMENT = corpus_lib.Rating("sentiment", -3.0, 3.0)
NAN = float("nan")


def ratings_of(corpus):
  return {
    example.id: None if example.ratings is None else example.ratings.tolist()
    for example in corpus.examples()
  }


# Sentiment, happy, sad, anger, surprise, disgust, fear.
MOSEI = [
  [1.5, 2, 0, 0, 0, 0, 0],
  [-3, 0, 1, 0, 0, 0, 0.3],
  [NAN, 0, 0, 3, 0, 0, 0],
]


@pytest.fixture
def csd(tmp_path):
  """A folder of one recording with some labels, half a second each."""

  def write(labels):
    times = np.arange(len(labels)) / 2
    times = np.stack([times, times + 0.5], axis=1)
    write_csd = csd_files.write_csd
    frames = csd_files.frames_of(10 * len(labels), 2)
    write_csd(tmp_path / "CMU_MOSEI_COVAREP.csd", "COVAREP", {"one": frames})
    entries = {"one": (np.array(labels, float), times)}
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", "All Labels", entries)
    return lambda *more: csd_files.build(
      f"--input={tmp_path}", "--align=labels", *more
    )

  return write


def test_the_sentiment_of_mosei_is_a_rating_beside_its_emotions(csd):
  corpus = csd(MOSEI)()
  assert corpus.ratings == (SENTIMENT,) and corpus.emotions == MOSEI_EMOTIONS
  assert ratings_of(corpus) == {"one[0]": [1.5], "one[1]": [-3], "one[2]": None}
  # Cut into classes, it is a rating all the same.
  classes = csd(MOSEI)("--emotions=sentiment")
  assert ratings_of(classes) == ratings_of(corpus)
  assert [e.labels.tolist() for e in list(classes.examples())[:2]] == [
    [0, 0, 1],
    [1, 0, 0],
  ]


MOSEI_EMOTIONS = csd_labels.MOSEI[1:]


def test_label_columns_are_ratings_where_the_user_says_so(csd):
  corpus = csd(MOSEI)("--rating_columns=joy=happy:0:3,fear:0:3")
  assert corpus.ratings == (("joy", 0.0, 3.0), ("fear", 0.0, 3.0))
  assert ratings_of(corpus)["one[1]"] == [0, np.float32(0.3)]
  assert corpus.options["off_scale"] == "error"
  without = csd(MOSEI)("--rating_columns=")
  assert without.ratings == () and set(ratings_of(without).values()) == {None}


def test_a_score_off_the_known_scale_is_said_and_not_read(csd):
  corpus = csd([[4.5, *MOSEI[0][1:]], MOSEI[1]])()
  assert corpus.ratings == ()
  assert corpus.notes[0] == (
    "sentiment goes from -3 to 4.5, and its scale from -3 to 3: it is not read"
    " as a rating; --rating_columns=sentiment:LOW:HIGH does"
  )
  named = "--rating_columns=sentiment:-3:3"
  with pytest.raises(
    UserError, match=r"one\[0\]: rating sentiment is 4.5, exp"
  ):
    list(csd([[4.5, *MOSEI[0][1:]], MOSEI[1]])(named).examples())
  corpus = csd([[4.5, *MOSEI[0][1:]], MOSEI[1]])(named, "--off_scale=unrated")
  assert ratings_of(corpus) == {"one[0]": None, "one[1]": [-3]}
  assert corpus.tally["whose sentiment is off its scale: unrated"] == 1


def test_all_columns_of_pom_are_ratings(csd):
  rows = np.tile(np.linspace(1, 7, 17), (2, 1))
  corpus = csd(rows)("--positive_above=4")
  assert [rating.name for rating in corpus.ratings] == list(csd_labels.POM)
  assert {(low, high) for _, low, high in corpus.ratings} == {(1, 7)}
  np.testing.assert_array_equal(
    ratings_of(corpus)["one[1]"], np.float32(rows[1])
  )


@pytest.mark.parametrize(
  ("named", "message"),
  [
    ("sentimental:-3:3", "'sentimental', the label columns .* 'sentiment'\\?"),
    ("sentiment", "--rating_columns has 'sentiment', expected NAME:LOW:HIGH"),
    ("sentiment:a:b", "--rating_columns has 'sentiment:a:b', expected"),
    (":1:5", "names no rating or no column"),
    ("fear:3:0", "has fear from 3 to 0, expected a lowest and a highest"),
    ("fear:0:inf", "has fear from 0 to inf"),
    ("fear:0:3,fear=sad:0:3", "names 'fear' twice"),
  ],
)
def test_a_scale_that_is_none_is_one_line(csd, named, message):
  with pytest.raises(UserError, match=message):
    csd(MOSEI)(f"--rating_columns={named}")


def test_off_scale_alone_does_nothing(csd):
  with pytest.raises(UserError, match="does nothing without --rating_columns"):
    csd(MOSEI)("--off_scale=unrated")


def _scores(content, member="labels"):
  return np.concatenate([np.ravel(p[member]) for p in content.values()])


def _values(corpus):
  return np.array([e.ratings for e in corpus.examples()])


def test_the_scores_of_mult_and_mmsa_are_ratings(tmp_path):
  for content, member in (
    (drawn_pickles.mult(), "labels"),
    (drawn_pickles.mmsa(), "regression_labels"),
  ):
    corpus = drawn_pickles.build(drawn_pickles.save(tmp_path, content))
    assert corpus.ratings == (SENTIMENT,)
    scores = _scores(content, member)
    np.testing.assert_array_equal(_values(corpus)[:, 0], np.float32(scores))
    # A second pass, and the classes as before.
    np.testing.assert_array_equal(_values(corpus)[:, 0], np.float32(scores))
    labels = [e.labels.argmax() for e in corpus.examples()]
    assert labels == [2 if score > 0 else 0 for score in scores]


def test_classes_and_pairs_are_no_ratings(tmp_path):
  content = drawn_pickles.mmsa()
  for part in content.values():
    del part["regression_labels"]
  path = drawn_pickles.save(tmp_path, content)
  assert drawn_pickles.build(path, emotions=("a", "b", "c")).ratings == ()
  path = drawn_pickles.save(tmp_path, drawn_pickles.mult_iemocap())
  assert drawn_pickles.build(path).ratings == ()


def _sims(scale=1.0):
  rng = np.random.default_rng(3)
  content = drawn_pickles.mmsa()
  for part in content.values():
    for member in (
      "regression_labels",
      *(f"regression_labels_{m}" for m in "TAV"),
    ):
      count = len(part["id"])
      part[member] = scale * rng.integers(-5, 6, count).astype(np.float32) / 5
  return content


def test_sims_has_a_score_for_each_modality(tmp_path):
  content = _sims()
  corpus = drawn_pickles.build(drawn_pickles.save(tmp_path, content))
  names = [
    f"sentiment{end}" for end in ("", "_lexical", "_acoustic", "_visual")
  ]
  assert corpus.ratings == tuple((name, -1.0, 1.0) for name in names)
  members = ["regression_labels", *(f"regression_labels_{m}" for m in "TAV")]
  expected = np.stack([_scores(content, member) for member in members], axis=1)
  np.testing.assert_array_equal(_values(corpus), expected)
  assert not any("regression_labels" in note for note in corpus.notes)


def test_scores_of_each_modality_may_be_on_the_scale_of_mosi(tmp_path):
  content = _sims(scale=3.0)
  del content["test"]["regression_labels_A"]
  corpus = drawn_pickles.build(drawn_pickles.save(tmp_path, content))
  assert {(low, high) for _, low, high in corpus.ratings} == {(-3, 3)}
  assert np.isnan(_values(corpus)).sum(axis=0).tolist() == [0, 0, 2, 0]
  content["train"]["regression_labels_V"] = np.zeros(9)
  path = drawn_pickles.save(tmp_path, content)
  with pytest.raises(UserError, match="train/regression_labels_V has 9 scores"):
    drawn_pickles.build(path)


def test_scores_off_the_scale_convert_by_bins_without_a_rating(tmp_path):
  content = drawn_pickles.mult()
  content["test"]["labels"][0] = 7.0
  path = drawn_pickles.save(tmp_path, content)
  corpus = drawn_pickles.build(path, sentiment_bins="-1,1")
  assert corpus.ratings == ()
  assert any("to 7, and its scale from -3 to 3" in n for n in corpus.notes)


@pytest.mark.parametrize("width", [1, 7])
def test_misas_first_label_is_the_sentiment(tmp_path, width):
  samples = drawn_pickles.misa(width=width)
  path = drawn_pickles.save(tmp_path, samples, "train.pkl")
  corpus = drawn_pickles.build(path)
  assert corpus.ratings == (SENTIMENT,)
  expected = [sample[1][0, 0] for sample in samples]
  np.testing.assert_array_equal(_values(corpus)[:, 0], np.float32(expected))
  assert len(corpus.emotions) == (6 if width == 7 else 3)


@pytest.mark.parametrize(
  ("scores", "bins", "scale"),
  [
    ([1.0, 3.5, 5.0, 2.0], None, (1, 5)),
    ([-2.4, 0.0, 3.0, 1.2], "0,0", (-3, 3)),
    ([1.0, 2.0, 3.0, 1.2], "0,0", (-3, 3)),
    ([-30.0, 0.0, 3.0, 1.2], "0,0", None),
  ],
)
def test_scores_of_processed_files_are_on_a_known_scale(
  tmp_path, scores, bins, scale
):
  for name, array in (
    ("y_train", np.array(scores)),
    ("audio_train", np.ones((4, 2, 3))),
  ):
    with h5py.File(tmp_path / f"{name}.h5", "w") as file:
      file["d1"] = array
  corpus = cmu_processed.build(
    tmp_path,
    word_vectors=None,
    label_file="auto",
    label_type="auto",
    emotions=(),
    sentiment_bins=bins,
  )
  if scale is None:
    assert corpus.ratings == () and "-30 to 3" in corpus.notes[0]
  else:
    assert corpus.ratings == (("sentiment", *scale),)
    np.testing.assert_array_equal(_values(corpus)[:, 0], np.float32(scores))


def test_iemocaps_ratings_are_the_means_of_its_raters(tmp_path, word_vectors):
  rows = [
    iemocap_files.utterance("Ses01F_impro01_F000", vad=(2.5, 3.0, 3.6667)),
    iemocap_files.utterance("Ses01F_impro01_M000", "xxx", vad=(5.5, 1.0, 0.5)),
    iemocap_files.utterance("Ses01F_impro01_M001", "xxx", vad=(0.5, 6, 0.5)),
  ]
  corpus = iemocap.build_corpus(
    iemocap_files.release(tmp_path / "release", rows),
    variant=iemocap_labels.variant("4"),
    acoustic="is10",
    choice=text_features.Choice(word_vectors),
  )
  assert corpus.ratings == tuple(
    (name, 1.0, 5.0) for name in ("valence", "activation", "dominance")
  )
  first, second, third = corpus.examples()
  assert first.ratings.tolist() == [2.5, 3.0, np.float32(3.6667)]
  # Unlabelled, and rated all the same.
  assert second.labels is None
  np.testing.assert_array_equal(second.ratings, [NAN, 1.0, NAN])
  assert third.ratings is None
  assert corpus.tally["whose valence is off its scale: unrated"] == 2
  assert corpus.tally["whose dominance is off its scale: unrated"] == 2
  # What other processes make examples by.
  made = pickle.loads(pickle.dumps(corpus.make))(1)
  np.testing.assert_array_equal(made.ratings, second.ratings)


def test_vectors_of_columns_are_told_from_names():
  (column,) = scales.parse(["valence=vad[0]:1:5"])
  assert column.split(["id", "vad"]) == ("vad", 0)
  assert column.split(["id", "vad[0]"]) == ("vad[0]", None)
  (column,) = scales.parse(["a:b=c:d:-1:1"])
  assert column == scales.Column(corpus_lib.Rating("a:b", -1, 1), "c:d")
