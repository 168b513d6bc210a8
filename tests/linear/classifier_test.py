"""Linear baselines of a fold, against scikit-learn on plain arrays."""

import numpy as np
import pytest
from sklearn import linear_model, preprocessing
from sklearn.feature_extraction import text

from mmer_jax.base import errors
from mmer_jax.core import metrics
from mmer_jax.data import partition
from mmer_jax.linear import classifier

FOLD = partition.Fold(
  1, "1", np.arange(0, 60), np.arange(60, 80), np.arange(80, 100)
)
HOW = {
  "decision": "softmax",
  "balanced": True,
  "select": "unweighted_accuracy",
  "threshold": 0.5,
}


def settings(*features, c=(1.0,), ngrams=2, min_count=2):
  return classifier.Settings(features, c, ngrams, min_count)


@pytest.fixture(name="inputs", scope="module")
def fixture_inputs():
  """Words and columns that tell three emotions apart, most of the time."""
  rng = np.random.default_rng(0)
  emotion = rng.integers(3, size=100)
  nouns = np.array(["rain", "sun", "wind", "yes", "no", "maybe"])
  words = [
    tuple(rng.choice(nouns[[own, own, 3, 4, 5]], size=rng.integers(1, 6)))
    for own in emotion
  ]
  values = rng.normal(100, 7, size=(100, 4))
  values[:, 0] += 5 * emotion
  present = rng.random(100) < 0.9
  values[~present] = 0
  return classifier.Inputs(
    words, {"acoustic": (values, present)}, np.eye(3)[emotion]
  )


def test_tfidf_is_scikit_learns_of_the_training_rows(inputs):
  _, got = classifier.fit(inputs, FOLD, settings("tfidf"), **HOW)
  joined = [" ".join(words) for words in inputs.words]
  vectors = text.TfidfVectorizer(
    ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+"
  )
  train = vectors.fit_transform(joined[:60])
  model = linear_model.LogisticRegression(
    class_weight="balanced", max_iter=5000, tol=1e-8
  ).fit(train, inputs.labels[:60].argmax(1))
  expected = model.predict_proba(vectors.transform(joined))
  probs = classifier._probabilities("softmax", got)
  np.testing.assert_allclose(probs, expected, atol=2e-3)


def test_functionals_are_standardised_by_the_training_rows_that_have_them(
  inputs,
):
  _, got = classifier.fit(inputs, FOLD, settings("functionals"), **HOW)
  values, present = inputs.functionals["acoustic"]
  scaler = preprocessing.StandardScaler().fit(values[:60][present[:60]])
  matrix = np.where(present[:, None], scaler.transform(values), 0)
  matrix = np.concatenate([matrix, ~present[:, None]], axis=1)
  matrix /= np.sqrt((matrix[:60] ** 2).sum(1).mean())
  model = linear_model.LogisticRegression(
    class_weight="balanced", max_iter=5000, tol=1e-8
  ).fit(matrix[:60], inputs.labels[:60].argmax(1))
  probs = classifier._probabilities("softmax", got)
  np.testing.assert_allclose(probs, model.predict_proba(matrix), atol=2e-3)


@pytest.mark.parametrize("decision", ["softmax", "binary"])
def test_held_out_rows_change_no_fit(inputs, decision):
  """Test rows of other words and values: the other rows' logits stay."""
  how = {**HOW, "decision": decision}
  both = settings("tfidf", "functionals")
  _, before = classifier.fit(inputs, FOLD, both, **how)
  words = [*inputs.words[:80], *[("sun",)] * 20]
  values, present = inputs.functionals["acoustic"]
  values = np.concatenate([values[:80], values[80:] * 1000])
  changed = inputs._replace(
    words=words, functionals={"acoustic": (values, present)}
  )
  _, after = classifier.fit(changed, FOLD, both, **how)
  np.testing.assert_allclose(before[:80], after[:80], rtol=1e-9)
  assert np.abs(before[80:] - after[80:]).max() > 0.1


def test_validation_chooses_the_penalty_and_a_tie_takes_the_strongest(inputs):
  grid = (100.0, 1e-4, 1.0)
  tried = {
    c: classifier.fit(inputs, FOLD, settings("tfidf", c=(c,)), **HOW)[1]
    for c in grid
  }
  values = {
    c: metrics.score(
      "softmax",
      classifier._probabilities("softmax", logits[60:80]),
      inputs.labels[60:80],
      0.5,
    )["unweighted_accuracy"]
    for c, logits in tried.items()
  }
  best = max(sorted(grid), key=values.get)
  got, logits = classifier.fit(inputs, FOLD, settings("tfidf", c=grid), **HOW)
  assert got == best
  np.testing.assert_array_equal(logits, tried[best])
  blind = inputs._replace(labels=np.tile([1.0, 0, 0], (100, 1)))
  blind.labels[:60] = inputs.labels[:60]
  # Every answer is right, or every one wrong, whatever the penalty.
  constant, _ = classifier.fit(
    blind._replace(words=[("sun",)] * 100),
    FOLD,
    settings("tfidf", c=grid, ngrams=1),
    **HOW,
  )
  assert constant == 1e-4


@pytest.mark.parametrize("decision", ["softmax", "binary"])
def test_no_features_are_the_majority(inputs, decision):
  labels = inputs.labels
  if decision == "binary":
    labels = np.stack([labels[:, 0], 1 - labels[:, 1]], axis=1)
  _, logits = classifier.fit(
    inputs._replace(labels=labels),
    FOLD,
    settings(),
    **{**HOW, "decision": decision},
  )
  probs = classifier._probabilities(decision, logits[80:])
  assert metrics.score(
    decision, probs, labels[80:], 0.5
  ) == metrics.majority_baseline(labels[:60], labels[80:], decision)


def test_an_emotion_without_examples_is_never_chosen(inputs):
  """And of two classes scikit-learn gives one score, not two."""
  labels = inputs.labels.copy()
  labels[labels[:, 2] > 0] = [1, 0, 0]
  two = inputs._replace(labels=labels)
  _, logits = classifier.fit(two, FOLD, settings("tfidf"), **HOW)
  assert logits.shape == (100, 3)
  assert (logits.argmax(axis=1) < 2).all()
  agree = (logits[:60].argmax(1) == labels[:60].argmax(1)).mean()
  assert agree > 0.8
  how = {**HOW, "decision": "binary"}
  _, logits = classifier.fit(two, FOLD, settings("tfidf"), **how)
  assert (logits[:, 2] < -10).all()


def test_words_of_which_none_is_frequent_are_one_line(inputs):
  with pytest.raises(errors.UserError, match="no n-gram in 61 training"):
    classifier.fit(inputs, FOLD, settings("tfidf", min_count=61), **HOW)
