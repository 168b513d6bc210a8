"""Metrics against scikit-learn, by hand, and on empty classes."""

import pathlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mmer_jax.base import errors
from mmer_jax.core import metrics


def problem(seed, n=200, k=4, softmax=False, ties=False):
  """Imbalanced labels, scores that know something, and masked rows."""
  rng = np.random.default_rng(seed)
  share = np.array([0.5, 0.25, 0.15, 0.1])[:k]
  if softmax:
    labels = np.eye(k)[rng.choice(k, size=n, p=share / share.sum())]
  else:
    labels = (rng.random((n, k)) < share[None, :]).astype(float)
  raw = 1.5 * labels + rng.normal(size=(n, k))
  if softmax:
    probs = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
  else:
    probs = 1 / (1 + np.exp(-raw))
  if ties:
    probs = np.round(probs, 1)
  return probs, labels, rng.random(n) < 0.8


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics_equal_scikit_learn(seed, ties):
  probs, labels, mask = problem(seed, ties=ties)
  threshold = np.array([0.5, 0.4, 0.3, 0.7])
  got = metrics.per_emotion("binary", probs, labels, mask, threshold)
  for k in range(4):
    truth, score = labels[mask, k], probs[mask, k]
    guess = (score > threshold[k]).astype(float)
    expected = {
      "accuracy": sk.accuracy_score(truth, guess),
      "weighted_accuracy": sk.balanced_accuracy_score(truth, guess),
      "unweighted_accuracy": sk.recall_score(
        truth, guess, average="macro", zero_division=0
      ),
      "f1": sk.f1_score(truth, guess, zero_division=0),
      "weighted_f1": sk.f1_score(
        truth, guess, average="weighted", zero_division=0
      ),
      "auc": sk.roc_auc_score(truth, score),
      "weighted_average_precision": sk.precision_score(
        truth, guess, average="weighted", zero_division=0
      ),
      "mean_accuracy": sk.accuracy_score(truth, guess),
      "support": truth.sum(),
    }
    for name, value in expected.items():
      np.testing.assert_allclose(got[name][k], value, rtol=1e-12, err_msg=name)
  overall = metrics.compute("binary", probs, labels, mask, threshold)
  assert set(overall) == set(metrics.NAMES)
  for name in metrics.NAMES:
    np.testing.assert_allclose(overall[name], np.mean(got[name]), rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_softmax_metrics_equal_scikit_learn(seed):
  probs, labels, mask = problem(seed, softmax=True)
  truth, guess = labels[mask].argmax(1), probs[mask].argmax(1)
  got = metrics.compute("softmax", probs, labels, mask, 0.5)
  one = labels[mask]
  chosen = np.eye(4)[guess]
  expected = {
    "accuracy": sk.accuracy_score(truth, guess),
    "unweighted_accuracy": sk.balanced_accuracy_score(truth, guess),
    "f1": sk.f1_score(truth, guess, average="macro", zero_division=0),
    "weighted_f1": sk.f1_score(
      truth, guess, average="weighted", zero_division=0
    ),
    "auc": np.mean(
      [sk.roc_auc_score(one[:, k], probs[mask][:, k]) for k in range(4)]
    ),
    "weighted_average_precision": sk.precision_score(
      truth, guess, average="weighted", zero_division=0
    ),
    "weighted_accuracy": np.mean(
      [sk.balanced_accuracy_score(one[:, k], chosen[:, k]) for k in range(4)]
    ),
    "mean_accuracy": np.mean(
      [sk.accuracy_score(one[:, k], chosen[:, k]) for k in range(4)]
    ),
  }
  assert set(expected) == set(metrics.NAMES)
  for name, value in expected.items():
    np.testing.assert_allclose(got[name], value, rtol=1e-12, err_msg=name)
  np.testing.assert_array_equal(
    metrics.confusion(probs, labels, mask),
    sk.confusion_matrix(truth, guess, labels=range(4)),
  )


def test_answers_are_counted_against_scikit_learn():
  rng = np.random.default_rng(0)
  probs, labels = rng.random((50, 3)), rng.integers(0, 2, (50, 3))
  threshold = np.array([0.2, 0.5, 0.8])
  np.testing.assert_array_equal(
    metrics.decisions(probs, labels, threshold),
    sk.multilabel_confusion_matrix(labels, probs > threshold),
  )


@pytest.mark.parametrize("decision", metrics.DECISIONS)
def test_in_the_graph_and_mapped_over_runs_they_are_the_same(decision):
  problems = [
    problem(seed, softmax=decision == "softmax", ties=seed == 1)
    for seed in range(3)
  ]
  stacked = [
    jnp.asarray(np.stack(part).astype(np.float32 if i < 2 else bool))
    for i, part in enumerate(zip(*problems, strict=True))
  ]
  got = jax.jit(
    jax.vmap(lambda p, y, m: metrics.compute(decision, p, y, m, 0.5))
  )(*stacked)
  for run, (probs, labels, mask) in enumerate(problems):
    # The host's float64 sees the same float32 scores.
    probs = probs.astype(np.float32).astype(np.float64)
    expected = metrics.compute(decision, probs, labels, mask, 0.5)
    for name, value in expected.items():
      np.testing.assert_allclose(got[name][run], value, rtol=1e-6, err_msg=name)


def test_by_hand():
  """Emotion 0: TP 2, FN 1, FP 1, TN 1."""
  probs = np.array([[0.9], [0.8], [0.2], [0.7], [0.1]])
  labels = np.array([[1.0], [1.0], [1.0], [0.0], [0.0]])
  got = metrics.compute("binary", probs, labels, np.ones(5, bool), 0.5)
  assert got["accuracy"] == 3 / 5
  # Tong et al.: (TP N / P + TN) / (2 N) = (2 * 2 / 3 + 1) / 4.
  np.testing.assert_allclose(got["weighted_accuracy"], (2 * 2 / 3 + 1) / 4)
  np.testing.assert_allclose(got["f1"], 2 * 2 / (2 * 2 + 1 + 1))
  # F1 of the negatives: 2 TN / (2 TN + FN + FP) = 2 / 4.
  np.testing.assert_allclose(got["weighted_f1"], 3 / 5 * 2 / 3 + 2 / 5 * 0.5)
  # Pairs (positive above negative): 0.9 and 0.8 beat both, 0.2 beats 0.1.
  np.testing.assert_allclose(got["auc"], 5 / 6)
  # Precision 2/3 of three fifths, and TN / (TN + FN) = 1/2 of two fifths.
  np.testing.assert_allclose(
    got["weighted_average_precision"], 3 / 5 * 2 / 3 + 2 / 5 * 1 / 2
  )


def test_auc_counts_pairs_and_half_of_the_ties():
  rng = np.random.default_rng(7)
  for n in (2, 3, 5, 17, 40):
    scores = rng.integers(4, size=n) / 3
    truth, mask = rng.random(n) < 0.5, rng.random(n) < 0.8
    truth[:2], mask[:2] = (True, False), True
    above = scores[truth & mask][:, None] - scores[~truth & mask][None, :]
    expected = np.mean((above > 0) + 0.5 * (above == 0))
    np.testing.assert_allclose(metrics.auc(scores, truth, mask), expected)


def test_predicting_nothing_divides_by_nothing():
  """Precision and F1 are 0, as scikit-learn's zero_division=0."""
  labels = np.array([[1.0, 1], [0, 1], [0, 1], [0, 1]])
  probs = np.zeros((4, 2))
  got = metrics.per_emotion("binary", probs, labels, np.ones(4, bool), 0.5)
  # Emotion 0: TN 3, FN 1. Emotion 1 is always there: FN 4.
  np.testing.assert_allclose(got["accuracy"], [3 / 4, 0])
  np.testing.assert_allclose(got["f1"], [0, 0])
  # F1 of the negatives of emotion 0: 2 * 3 / (2 * 3 + 1).
  np.testing.assert_allclose(got["weighted_f1"], [3 / 4 * 6 / 7, 0])
  np.testing.assert_allclose(
    got["weighted_average_precision"], [3 / 4 * 3 / 4, 0]
  )
  np.testing.assert_allclose(got["weighted_accuracy"], [0.5, np.nan])
  np.testing.assert_allclose(got["auc"], [0.5, np.nan])


def test_a_class_that_is_chosen_but_never_true():
  """Truth 0 0 0 1 1, choice 0 0 2 1 0; class 2 has no recall."""
  labels = np.eye(3)[[0, 0, 0, 1, 1]]
  probs = np.eye(3)[[0, 0, 2, 1, 0]]
  got = metrics.compute("softmax", probs, labels, np.ones(5, bool), 0.5)
  assert got["accuracy"] == 3 / 5
  np.testing.assert_allclose(got["unweighted_accuracy"], (2 / 3 + 1 / 2) / 2)
  # F1: class 0 TP 2, FP 1, FN 1; class 1 TP 1, FN 1.
  np.testing.assert_allclose(got["f1"], (2 / 3 + 2 / 3) / 2)
  np.testing.assert_allclose(got["weighted_f1"], 3 / 5 * 2 / 3 + 2 / 5 * 2 / 3)
  np.testing.assert_allclose(
    got["weighted_average_precision"], 3 / 5 * 2 / 3 + 2 / 5 * 1
  )
  np.testing.assert_allclose(got["mean_accuracy"], (3 / 5 + 4 / 5 + 4 / 5) / 3)
  each = metrics.per_emotion("softmax", probs, labels, np.ones(5, bool), 0.5)
  np.testing.assert_allclose(
    each["unweighted_accuracy"], [2 / 3, 1 / 2, np.nan]
  )
  assert metrics.confusion(probs, labels, np.ones(5, bool)).tolist() == [
    [2, 0, 1],
    [1, 1, 0],
    [0, 0, 0],
  ]


def test_the_protocol_page_has_every_metric():
  page = (pathlib.Path(__file__).parents[2] / "docs/protocol.md").read_text()
  for name in (*metrics.NAMES, *metrics.DECISIONS):
    assert f"`{name}`" in page, name


def test_at_the_threshold_is_not_positive():
  probs = np.array([[0.5], [0.5000001]])
  assert metrics.decide("binary", probs, 0.5).tolist() == [[False], [True]]


def test_an_emotion_without_positives_is_left_out_of_the_means():
  probs, labels, mask = problem(0)
  labels[:, 2] = 0
  each = metrics.per_emotion("binary", probs, labels, mask, 0.5)
  assert np.isnan(each["auc"][2])
  assert np.isnan(each["weighted_accuracy"][2])
  rest = [0, 1, 3]
  got = metrics.compute("binary", probs, labels, mask, 0.5)
  kept = metrics.compute("binary", probs[:, rest], labels[:, rest], mask, 0.5)
  for name in ("auc", "weighted_accuracy", "f1", "unweighted_accuracy"):
    np.testing.assert_allclose(got[name], kept[name])


@pytest.mark.parametrize("decision", metrics.DECISIONS)
@pytest.mark.parametrize("case", ["nothing", "all positive", "one class"])
def test_every_metric_is_finite_whatever_is_missing(decision, case):
  probs, labels, mask = problem(3, softmax=decision == "softmax")
  if case == "nothing":
    mask = np.zeros_like(mask)
  elif case == "all positive":
    labels = np.ones_like(labels)
  else:
    labels = np.zeros_like(labels)
    labels[:, 0] = 1
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    got = metrics.compute(decision, probs, labels, mask, 0.5)
  for name, value in got.items():
    assert np.isfinite(value), name
    assert -1e-12 <= value <= 1 + 1e-12, name


def test_auc_of_many_close_scores_stays_exact_in_float32():
  rng = np.random.default_rng(0)
  n = 20_000
  truth = rng.random(n) < 0.3
  scores = (rng.normal(size=n) + 0.2 * truth).astype(np.float32)
  got = metrics.auc(jnp.asarray(scores), jnp.asarray(truth), jnp.ones(n, bool))
  expected = sk.roc_auc_score(truth, scores)
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_masked_rows_change_no_metric():
  probs, labels, mask = problem(4)
  other = np.where(mask[:, None], probs, 1 - probs)
  flipped = np.where(mask[:, None], labels, 1 - labels)
  a = metrics.compute("binary", probs, labels, mask, 0.5)
  b = metrics.compute("binary", other, flipped, mask, 0.5)
  assert a == b


def test_the_majority_baseline_predicts_what_training_has_most():
  train = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
  test = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]])
  got = metrics.majority_baseline(train, test, "softmax")
  assert got["accuracy"] == 1 / 4
  np.testing.assert_allclose(got["unweighted_accuracy"], 1 / 3)
  assert got["auc"] == 0.5
  # Per emotion: 0 is the majority's yes, 1 and 2 its no.
  got = metrics.majority_baseline(train, test, "binary")
  np.testing.assert_allclose(got["accuracy"], np.mean([1 / 4, 2 / 4, 3 / 4]))
  assert got["weighted_accuracy"] == 0.5


def test_selection_takes_validation_metrics_only():
  for name in ("loss", *metrics.NAMES):
    metrics.check_selectable("training.select", name)
  with pytest.raises(errors.UserError, match="selection sees validation only"):
    metrics.check_selectable("training.select", "test_accuracy")
  with pytest.raises(
    errors.UserError, match="config.few_shot.select is 'acc', expected one of"
  ):
    metrics.check_selectable("few_shot.select", "acc")


def spoiled(decision, value):
  """Problems whose row 3 has one score that is not finite."""
  probs, labels, mask = problem(0, softmax=decision == "softmax")
  probs[3, 1] = value
  mask[3] = True
  return probs, labels, mask


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("decision", metrics.DECISIONS)
def test_scores_that_are_not_finite_are_not_ranked_on_the_host(decision, value):
  probs, labels, mask = spoiled(decision, value)
  for call in (
    lambda mask: metrics.compute(decision, probs, labels, mask, 0.5),
    lambda mask: metrics.per_emotion(decision, probs, labels, mask, 0.5),
    lambda mask: metrics.confusion(probs, labels, mask),
    lambda mask: metrics.auc(probs[:, 1], labels[:, 1] > 0, mask),
  ):
    with pytest.raises(errors.UserError, match="a score is not finite"):
      call(mask)
    # A row that does not count may hold anything.
    call(mask & (np.arange(len(mask)) != 3))
  with pytest.raises(errors.UserError, match="a score is not finite"):
    metrics.decisions(probs, labels, 0.5)
  with pytest.raises(errors.UserError, match="a score is not finite"):
    metrics.score(decision, probs, labels, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("decision", metrics.DECISIONS)
def test_scores_that_are_not_finite_are_chance_in_the_graph(decision, value):
  probs, labels, mask = spoiled(decision, value)
  compute = jax.jit(
    lambda mask: metrics.compute(
      decision, jnp.asarray(probs), jnp.asarray(labels), mask, 0.5
    )
  )
  for name, got in compute(jnp.asarray(mask)).items():
    assert got == {"auc": 0.5, "weighted_accuracy": 0.5}.get(name, 0.0), name
  rest = mask & (np.arange(len(mask)) != 3)
  finite = np.where(np.isfinite(probs), probs, 0.3)
  expected = metrics.compute(decision, finite, labels, rest, 0.5)
  for name, got in compute(jnp.asarray(rest)).items():
    np.testing.assert_allclose(got, expected[name], rtol=1e-5, err_msg=name)
