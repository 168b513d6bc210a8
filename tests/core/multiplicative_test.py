"""The multiplicative losses against NumPy loops, and what they are worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import multiplicative

NAMES = ("acoustic", "lexical", "visual")
forms = pytest.mark.parametrize("form", ["boost", "suppress"])
decisions = pytest.mark.parametrize("decision", ["binary", "softmax"])
detached = pytest.mark.parametrize("detach", [False, True])


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def draw(decision, rows=5, emotions=4):
  rng = np.random.default_rng(0)
  logits = {name: rng.normal(0, 2, size=(rows, emotions)) for name in NAMES}
  labels = (
    np.eye(emotions)[rng.integers(emotions, size=rows)]
    if decision == "softmax"
    else (rng.random((rows, emotions)) < 0.4) * 1.0
  )
  present = {name: np.ones(rows, bool) for name in NAMES}
  present["visual"][1] = False
  present["visual"][2] = present["lexical"][2] = False
  for name in NAMES:
    present[name][3] = False
  return logits, labels, present


def numpy_losses(decision, form, logits, labels, present, beta):
  """Eq. 2 and 3, one sample, decision and modality at a time."""
  rows, emotions = labels.shape
  values = np.zeros((rows, emotions if decision == "binary" else 1))
  for row in range(rows):
    there = [name for name in NAMES if present[name][row]]
    exponent = beta / (len(there) - 1) if len(there) > 1 else 0.0
    for column in range(values.shape[1]):
      p = {}
      for name in there:
        z = logits[name][row]
        if decision == "softmax":
          p[name] = np.exp(z[labels[row] == 1][0]) / np.exp(z).sum()
        else:
          p[name] = 1 / (1 + np.exp(-z[column]))
          if not labels[row, column]:
            p[name] = 1 - p[name]
      for i in there:
        weight = p[i] ** exponent
        if form == "suppress":
          weight = np.prod([1 - p[j] for j in there if j != i]) ** exponent
        values[row, column] -= weight * np.log(p[i])
  return values if decision == "binary" else values[:, 0]


def ours(decision, form, logits, labels, present, beta, detach=False):
  make = (
    multiplicative.binary_log_probs
    if decision == "binary"
    else multiplicative.softmax_log_probs
  )
  pairs = {
    name: make(
      jnp.asarray(logits[name]), jnp.asarray(labels, logits[name].dtype)
    )
    for name in NAMES
  }
  return multiplicative.multiplicative(
    {name: pair[0] for name, pair in pairs.items()},
    {name: pair[1] for name, pair in pairs.items()},
    {name: jnp.asarray(flags) for name, flags in present.items()},
    beta=beta,
    form=form,
    detach_weight=detach,
  )


@decisions
@forms
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_losses_equal_a_loop_and_gradients_its_differences(
  float64, decision, form, beta
):
  logits, labels, present = draw(decision)
  got = ours(decision, form, logits, labels, present, beta)
  expected = numpy_losses(decision, form, logits, labels, present, beta)
  np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
  grads = jax.grad(
    lambda logits: ours(decision, form, logits, labels, present, beta).sum()
  )({name: jnp.asarray(each) for name, each in logits.items()})
  rng = np.random.default_rng(1)
  for _ in range(3):
    way = {name: rng.normal(size=each.shape) for name, each in logits.items()}
    moved = [
      numpy_losses(
        decision,
        form,
        {name: logits[name] + sign * 1e-5 * way[name] for name in NAMES},
        labels,
        present,
        beta,
      ).sum()
      for sign in (1, -1)
    ]
    along = sum((np.asarray(grads[name]) * way[name]).sum() for name in NAMES)
    np.testing.assert_allclose(along, (moved[0] - moved[1]) / 2e-5, rtol=1e-6)


@decisions
def test_a_detached_weight_is_a_constant(float64, decision):
  logits, labels, present = draw(decision)
  args = decision, "boost"
  value = ours(*args, logits, labels, present, 0.7, detach=True)
  np.testing.assert_array_equal(
    value, ours(*args, logits, labels, present, 0.7)
  )
  make = (
    multiplicative.binary_log_probs
    if decision == "binary"
    else multiplicative.softmax_log_probs
  )
  # The gradient of -log p times p^a, a per row.
  count = sum(flags.astype(float) for flags in present.values())
  exponent = np.where(count > 1, 0.7 / np.maximum(count - 1, 1), 0)
  grads = jax.grad(
    lambda logits: ours(*args, logits, labels, present, 0.7, detach=True).sum()
  )({name: jnp.asarray(each) for name, each in logits.items()})
  for name in NAMES:

    def plain(each):
      return -make(each, jnp.asarray(labels))[0].sum()

    log_p = make(jnp.asarray(logits[name]), jnp.asarray(labels))[0]
    by = np.exp(exponent.reshape(-1, *(1,) * (log_p.ndim - 1)) * log_p)
    by = by if by.ndim == 2 else by[:, None]
    expected = np.asarray(jax.grad(plain)(jnp.asarray(logits[name])))
    expected = np.where(present[name][:, None], by * expected, 0)
    np.testing.assert_allclose(grads[name], expected, rtol=1e-10, atol=1e-12)


@decisions
@forms
@detached
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_gradients_are_finite_where_a_probability_is_0_or_1(
  decision, form, detach, beta
):
  _, labels, present = draw(decision)
  sign = 1 - 2 * labels
  for size in (300.0, -300.0, 1e20):
    logits = {name: jnp.asarray(size * sign, jnp.float32) for name in NAMES}
    value, grads = jax.value_and_grad(
      lambda logits: ours(
        decision, form, logits, labels, present, beta, detach
      ).sum()
    )(logits)
    assert np.isfinite(value), size
    for name in NAMES:
      assert np.isfinite(grads[name]).all(), size


def test_equation_3_falls_with_the_true_class_below_the_bound():
  """-p^a log p turns at p = exp(-1 / a), and beta_bound keeps 1 / K above."""
  for modalities, classes in ((3, 6), (2, 4), (3, 2)):
    bound = multiplicative.beta_bound(modalities, classes)
    for beta, sign in ((0.99 * bound, -1), (1.01 * bound, 1)):

      def loss(log_p, beta=beta, modalities=modalities):
        each = {name: log_p for name in NAMES[:modalities]}
        there = {name: jnp.ones(1, bool) for name in each}
        return multiplicative.multiplicative(
          each, each, there, beta=beta, form="boost", detach_weight=False
        ).sum()

      slope = jax.grad(loss)(jnp.log(jnp.full(1, 1 / classes)))
      assert np.sign(slope[0]) == sign
  np.testing.assert_allclose(multiplicative.beta_bound(3, 6), 1.1162, atol=1e-4)
  assert multiplicative.beta_bound(1, 6) == np.inf


def test_equation_3_ends_in_certainty_of_the_majority_unless_detached(float64):
  """Of five utterances one has the emotion, and nothing tells which."""
  labels = np.array([[1.0], [0], [0], [0], [0]])
  present = {name: np.ones(5, bool) for name in NAMES}

  def loss(logit, detach):
    logits = {name: jnp.full((5, 1), logit) for name in NAMES}
    values = ours("binary", "boost", logits, labels, present, 0.5, detach)
    return values.mean()

  probs = np.array([0.2, 0.05, 0.01, 1e-3, 1e-6])
  odds = np.log(probs / (1 - probs))
  values = np.array([loss(x, detach=False) for x in odds])
  # Of one modality, with a = 0.25: 0.2 p^a (-log p) + 0.8 (1-p)^a (-log(1-p)).
  np.testing.assert_allclose(values[0] / 3, 0.3841, atol=1e-4)
  assert (np.diff(values) < 0).all()
  np.testing.assert_allclose(values[-1] / 3, 0.0874, atol=1e-4)
  # Detached it rests where (p / (1 - p))^(1 - a) is the odds of the labels.
  slope = jax.grad(lambda logit: loss(logit, True))
  rest = odds[0] / 0.75
  np.testing.assert_allclose(slope(rest), 0, atol=1e-12)
  assert slope(rest - 0.1) < 0 < slope(rest + 0.1)


def test_weights_by_hand():
  confidence = {
    "acoustic": jnp.log(jnp.array([0.9, 0.9, 0.9])),
    "lexical": jnp.log(jnp.array([0.4, 0.4, 0.4])),
    "visual": jnp.log(jnp.array([0.1, 0.1, 0.1])),
  }
  present = {
    "acoustic": jnp.array([True, True, False]),
    "lexical": jnp.array([True, True, False]),
    "visual": jnp.array([True, False, False]),
  }
  got = multiplicative.modality_weights(confidence, present, beta=1.0)
  roots = np.sqrt([0.9, 0.4, 0.1])
  first = roots / roots.sum()
  np.testing.assert_allclose(
    got["acoustic"], [first[0], 0.9 / 1.3, 0], rtol=1e-6
  )
  np.testing.assert_allclose(
    got["lexical"], [first[1], 0.4 / 1.3, 0], rtol=1e-6
  )
  np.testing.assert_allclose(got["visual"], [first[2], 0, 0], rtol=1e-6)
  vectors = {
    name: jnp.full((3, 2), value)
    for name, value in zip(NAMES, (2.0, 3.0, 5.0), strict=True)
  }
  made = multiplicative.weighted_sum(vectors, got)
  np.testing.assert_allclose(made[1], 2 * 0.9 / 1.3 + 3 * 0.4 / 1.3, rtol=1e-6)
  np.testing.assert_array_equal(made[2], 0)
  np.testing.assert_allclose(
    multiplicative.product(vectors, present), [[30, 30], [6, 6], [0, 0]]
  )


def test_confidence_by_hand():
  probs = np.array([[0.7, 0.2, 0.1]])
  logits = jnp.log(jnp.array(probs))
  odds = jnp.log(jnp.array([[0.8 / 0.2, 0.1 / 0.9]]))
  entropy = np.array([0.8 * np.log(0.8) + 0.2 * np.log(0.2), 0.1 * np.log(0.1)])
  entropy[1] += 0.9 * np.log(0.9)
  for measure, softmax, binary in (
    ("likeliest", np.log(0.7), np.mean(np.log([0.8, 0.9]))),
    ("entropy", (probs * np.log(probs)).sum(), entropy.mean()),
  ):
    for given, decision, expected in (
      (logits, "softmax", softmax),
      (odds, "binary", binary),
    ):
      got = multiplicative.log_confidence(given, decision, measure)
      np.testing.assert_allclose(got, expected, rtol=1e-5)
  # As sure as can be, without a NaN.
  sure = jnp.array([[1e4, -1e4]])
  for decision in ("softmax", "binary"):
    found = multiplicative.log_confidence(sure, decision, "entropy")
    np.testing.assert_array_equal(found, 0)


def test_telling_rare_positives_apart_is_confidence_by_entropy_alone():
  """One in five: a guess at 0.2, or 0.05 and 0.35, which are as calibrated."""
  guess = jnp.log(jnp.array([[0.2 / 0.8]]))
  told = jnp.log(jnp.array([[0.05 / 0.95], [0.35 / 0.65]]))

  def gained(measure):
    means = [
      float(multiplicative.log_confidence(x, "binary", measure).mean())
      for x in (guess, told)
    ]
    return means[1] - means[0]

  assert gained("likeliest") < -0.01
  assert gained("entropy") > 0.05
