"""The check and the proxies, on modalities that are one thing seen twice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.data import normalise, schema, tables
from mmer_jax.experiment import input_repair
from mmer_jax.robustness import check as check_lib
from mmer_jax.robustness import fit, noise, proxies, repair
from mmer_jax.robustness import settings as settings_lib

STEPS = {"acoustic": 4, "lexical": 4, "visual": 1}
WIDTHS = {"acoustic": 5, "lexical": 6, "visual": 4}
COUNT, TRAIN = 360, 240
SETTINGS = settings_lib.RepairSettings(
  training="check",
  inference="proxy",
  score="likelihood",
  tau_from="validation",
  tau=0.0,
  proxy="knn",
  components=12,
  ridge=1e-3,
  neighbours=8,
)
QUIET = noise.Noise("none", 0.01, 0.75)
LOUD = noise.Noise("gaussian", 0.01, 0.75)


def table():
  """All modalities are maps of the same eight numbers; some are absent."""
  rng = np.random.default_rng(0)
  shared = rng.normal(size=(COUNT, 8))
  streams, present = {}, {}
  for name, steps in STEPS.items():
    width = WIDTHS[name]
    features = shared @ rng.normal(size=(8, steps * width))
    features += 0.2 * rng.normal(size=features.shape)
    features = features.reshape(COUNT, steps, width)
    mask = np.ones((COUNT, steps), bool)
    if name == "acoustic":
      mask[::5, 3:] = False
    if name == "visual":
      mask[1::20] = False
    streams[name] = schema.Stream(
      np.where(mask[..., None], features, 0).astype(np.float32), mask
    )
    present[name] = mask.any(axis=1)
  return schema.Batch(
    streams=streams,
    present=present,
    labels=np.zeros((COUNT, 2), np.float32),
    labelled=np.ones(COUNT, bool),
    example_mask=np.ones(COUNT, bool),
    role=np.zeros(COUNT, np.int32),
  )


def fit_to(rows, **changes):
  return fit.fit(
    SETTINGS._replace(**changes),
    tables.ResidentTable(rows),
    train=np.arange(TRAIN),
    validation=np.arange(TRAIN, 300),
    width=TRAIN + 3,
    mean={},
    scale={},
    keep={},
    noise=QUIET,
    seed=np.uint32(1),
  )


@functools.cache
def fitted(score="likelihood", tau_from="validation"):
  return fit_to(table(), score=score, tau_from=tau_from, tau=0.3)


def held_out():
  return tables.take(table(), np.arange(300, COUNT))


@functools.cache
def repaired(proxy, method="proxy"):
  settings = SETTINGS._replace(proxy=proxy)
  everything = table()

  @jax.jit
  def run(fitted, batch):
    return repair.apply(
      settings,
      method,
      fitted,
      batch,
      lambda rows: tables.take(everything, rows.reshape(-1)),
    )

  return lambda batch: jax.tree.map(np.asarray, run(fitted(), batch))


def spoiled(batch, modality):
  """White noise at a hundred times the power, on every row."""
  stream = batch.streams[modality]
  rng = np.random.default_rng(5)
  power = np.square(stream.features).mean()
  loud = rng.normal(0, 10 * np.sqrt(power), size=stream.features.shape)
  features = np.where(stream.mask[..., None], stream.features + loud, 0)
  streams = {
    **batch.streams,
    modality: stream.replace(features=features.astype(np.float32)),
  }
  return batch.replace(streams=streams)


@pytest.mark.parametrize("modality", sorted(WIDTHS))
def test_the_check_takes_away_what_is_noise_and_nothing_else(modality):
  batch = held_out()
  out = repaired("linear", "check")(spoiled(batch, modality))
  for name in WIDTHS:
    there = batch.present[name]
    kept = out.effective[name][there].mean()
    assert kept < 0.05 if name == modality else kept > 0.9, name
    np.testing.assert_array_equal(out.effective[name], out.batch.present[name])
    gone = ~out.effective[name]
    assert not out.batch.streams[name].mask[gone].any()
    assert not out.batch.streams[name].features[gone].any()
    assert not out.proxied[name].any()


@pytest.mark.parametrize("proxy", settings_lib.PROXIES)
@pytest.mark.parametrize("modality", sorted(WIDTHS))
def test_a_proxy_is_near_what_it_stands_for(proxy, modality):
  batch = held_out()
  out = repaired(proxy)(spoiled(batch, modality))
  made = out.proxied[modality] & batch.present[modality]
  assert made.mean() > 0.8
  mask = batch.streams[modality].mask
  np.testing.assert_array_equal(
    out.batch.streams[modality].mask[made], mask[made]
  )
  original = np.where(mask[..., None], batch.streams[modality].features, 0)
  away = out.batch.streams[modality].features - original
  ratio = np.linalg.norm(away[made].reshape(made.sum(), -1), axis=1)
  ratio /= np.linalg.norm(original[made].reshape(made.sum(), -1), axis=1)
  # The mean of the training rows is at 1; a frame tells little of the rest.
  assert np.median(ratio) < (0.6 if proxy == "knn" else 0.95)


@pytest.mark.parametrize("proxy", settings_lib.PROXIES)
def test_what_is_absent_is_made_with_the_mask_of_the_others(proxy):
  batch = normalise.keep_modalities(held_out(), {"lexical": False})
  out = repaired(proxy)(jax.tree.map(np.asarray, batch))
  acoustic = out.effective["acoustic"] & ~out.effective["visual"]
  mask = out.batch.streams["lexical"].mask
  assert acoustic.any()
  np.testing.assert_array_equal(
    mask[acoustic], batch.streams["acoustic"].mask[acoustic]
  )
  # One frame of vision is at the same place as all others.
  both = out.effective["acoustic"] & out.effective["visual"]
  assert mask[both].all() and both.any()
  assert not out.effective["lexical"].any()


def test_where_nothing_fits_everything_is_zero_and_flagged():
  batch = held_out()
  for name in WIDTHS:
    batch = spoiled(batch, name)
  out = repaired("linear")(batch)
  flagged = out.none_effective
  assert flagged.mean() > 0.9
  for name in WIDTHS:
    assert not out.batch.present[name][flagged].any()
    assert not out.batch.streams[name].features[flagged].any()
    assert not out.proxied[name][flagged].any()


def test_several_effective_modalities_are_averaged():
  parts = [jnp.full((3, 2, 1), value) for value in (1.0, 5.0)]
  there = [jnp.array([True, True, False]), jnp.array([False, True, False])]
  got = proxies.average_proxies(parts, there)
  np.testing.assert_array_equal(got[:, :, 0], [[1, 1], [3, 3], [0, 0]])


def test_the_linear_map_is_that_of_least_squares():
  """From frames and their mean to the frame at the same place, by a loop."""
  rows, x, y = table(), [], []
  source, target = rows.streams["acoustic"], rows.streams["lexical"]
  for row in range(TRAIN):
    frames = source.features[row][source.mask[row]]
    for step in range(STEPS["lexical"]):
      here = source.features[row, step]
      x.append(np.concatenate([here, frames.mean(axis=0), [1.0]]))
      y.append(target.features[row, step])
  x, y = np.array(x, np.float64), np.array(y, np.float64)
  gram = x.T @ x
  gram += SETTINGS.ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
  expected = np.linalg.solve(gram, x.T @ y)
  got = fitted().linear["acoustic|lexical"]
  np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("source", ["acoustic", "visual"])
def test_without_a_ridge_the_linear_map_is_least_squares_of_any_rank(source):
  """A modality of one frame: the frame, the mean, which is the frame, and 1."""
  rows = table()
  target = rows.streams["lexical"]
  got = fit_to(rows, ridge=0.0).linear[f"{source}|lexical"]
  stream, x, y = rows.streams[source], [], []
  for row in range(TRAIN):
    frames = stream.features[row][stream.mask[row]]
    for step in range(STEPS["lexical"] if len(frames) else 0):
      here = stream.features[row, min(step, STEPS[source] - 1)]
      x.append(np.concatenate([here, frames.mean(axis=0), [1.0]]))
      y.append(target.features[row, step])
  x, y = np.array(x, np.float64), np.array(y, np.float64)
  expected, _, rank, _ = np.linalg.lstsq(x, y, rcond=1e-6)
  assert (rank < x.shape[1]) == (source == "visual")
  np.testing.assert_allclose(x @ got, x @ expected, atol=1e-3)
  np.testing.assert_allclose(got, expected, atol=2e-3)


def absent_in_training(name):
  """No training and no validation row has the modality."""
  rows = table()
  features, mask = rows.streams[name].features, rows.streams[name].mask
  gone = np.arange(COUNT) < 300
  streams = {
    **rows.streams,
    name: schema.Stream(
      np.where(gone[:, None, None], 0, features), mask & ~gone[:, None]
    ),
  }
  present = {**rows.present, name: rows.present[name] & ~gone}
  return rows.replace(streams=streams, present=present)


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("proxy", settings_lib.PROXIES)
def test_a_modality_of_no_training_row_is_fitted_to_nothing(proxy, ridge):
  rows = absent_in_training("visual")
  settings = SETTINGS._replace(proxy=proxy, ridge=ridge)
  learnt = fit_to(rows, proxy=proxy, ridge=ridge)
  for path, leaf in jax.tree_util.tree_leaves_with_path(learnt):
    name = jax.tree_util.keystr(path)
    assert np.isfinite(leaf).all() or name == ".tau", name
  np.testing.assert_array_equal(learnt.linear["visual|lexical"], 0)
  np.testing.assert_array_equal(learnt.correlations["acoustic|visual"], 0)
  batch = tables.take(rows, np.arange(280, 320))
  out = jax.jit(
    lambda learnt, batch: repair.apply(
      settings,
      "proxy",
      learnt,
      batch,
      lambda index: tables.take(rows, index.reshape(-1)),
    )
  )(learnt, batch)
  for stream in out.batch.streams.values():
    assert np.isfinite(stream.features).all()


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_features_of_any_size_are_fitted_scored_and_replaced(size):
  rows = table()
  streams = {
    name: stream.replace(features=stream.features * np.float32(size))
    for name, stream in rows.streams.items()
  }
  rows = rows.replace(streams=streams)
  learnt = fit_to(rows, proxy="linear")
  for path, leaf in jax.tree_util.tree_leaves_with_path(learnt):
    assert np.isfinite(leaf).all(), path
  np.testing.assert_allclose(
    learnt.correlations["acoustic|lexical"],
    fitted().correlations["acoustic|lexical"],
    atol=1e-3,
  )
  batch = tables.take(rows, np.arange(300, COUNT))
  settings = SETTINGS._replace(proxy="linear")
  loud = noise.corrupt(LOUD, np.uint32(1), batch)
  out = jax.jit(lambda f, b: repair.apply(settings, "proxy", f, b))(
    learnt, loud
  )
  for name, stream in out.batch.streams.items():
    assert np.isfinite(loud.streams[name].features).all()
    assert np.isfinite(stream.features).all()


def test_a_batch_is_repaired_as_its_rows_alone():
  batch = spoiled(held_out(), "acoustic")
  whole = repaired("knn")(batch)
  order = np.random.default_rng(0).permutation(60)
  mixed = repaired("knn")(tables.take(batch, order))
  for name in WIDTHS:
    np.testing.assert_allclose(
      mixed.batch.streams[name].features,
      whole.batch.streams[name].features[order],
      rtol=1e-4,
      atol=1e-4,
    )


def count(jaxpr, name):
  """How often a primitive is called, through all that is nested."""
  inner = [
    getattr(value, "jaxpr", value)
    for equation in jaxpr.eqns
    for value in equation.params.values()
    if hasattr(getattr(value, "jaxpr", value), "eqns")
  ]
  here = sum(equation.primitive.name == name for equation in jaxpr.eqns)
  return here + sum(count(each, name) for each in inner)


def test_neighbours_take_one_eigendecomposition():
  """Two at once wait for each other's threads on a CPU of two cores."""
  everything = table()
  traced = jax.make_jaxpr(
    lambda fitted, batch: repair.apply(
      SETTINGS._replace(proxy="knn"),
      "proxy",
      fitted,
      batch,
      lambda rows: tables.take(everything, rows.reshape(-1)),
    )
  )(fitted(), held_out())
  assert count(traced.jaxpr, "eigh") == 1


def test_neighbours_are_of_the_training_rows_that_have_both():
  banked = fitted()
  assert set(banked.bank[:TRAIN]) == set(range(TRAIN))
  assert (banked.bank[TRAIN:] == schema.PAD_ROW).all()
  for name in WIDTHS:
    assert not banked.there[name][TRAIN:].any()
    np.testing.assert_array_equal(
      banked.there[name][:TRAIN], table().present[name][:TRAIN]
    )


def test_tau_by_hand():
  # Failing: -3 and 1; intact: 0, 2, 3, 4. At 0 one of two is caught and
  # nothing lost; at 2 both, and one of four lost.
  best = np.array([0.0, 2.0, -3.0, 3.0, 1.0, 4.0])
  fails = np.array([False, False, True, False, True, False])
  assert check_lib.threshold(best, fails) == 2.0
  fails[4] = False
  assert check_lib.threshold(best, fails) == 0.0
  assert check_lib.threshold(best, np.zeros(6, bool)) == -np.inf
  # Equal scores are never divided.
  same = np.array([1.0, 1.0, 1.0, 2.0])
  assert check_lib.threshold(same, np.array([True, False, True, False])) == 2.0


def test_tau_loses_no_more_of_what_is_intact_than_it_may():
  # As above: at 2 one of four intact ones is lost and both are caught, at 0
  # none is lost and one of two caught: 0.875 and 0.75.
  best = np.array([0.0, 2.0, -3.0, 3.0, 1.0, 4.0])
  fails = np.array([False, False, True, False, True, False])
  for bound, accuracy, expected in (
    (0.25, 0.0, 2.0),
    (0.24, 0.0, 0.0),
    (0.0, 0.74, 0.0),
    (0.0, 0.75, -np.inf),
    (1.0, 0.87, 2.0),
    (1.0, 0.875, -np.inf),
  ):
    got = check_lib.threshold(
      best, fails, max_false_alarm=bound, min_balanced_accuracy=accuracy
    )
    assert got == expected, (bound, accuracy)


def test_a_tau_within_the_bound_on_random_scores_is_the_best_such():
  rng = np.random.default_rng(0)
  fails = rng.random(300) < 0.4
  best = np.round(rng.normal(size=300) - fails, 1)
  tau = check_lib.threshold(best, fails, max_false_alarm=0.1)

  def outcome(at):
    return (best < at)[fails].mean(), (best < at)[~fails].mean()

  caught, lost = outcome(tau)
  assert lost <= 0.1
  rates = [outcome(at) for at in [-np.inf, *best, np.inf]]
  assert caught - lost == max(c - f for c, f in rates if f <= 0.1)
  free = check_lib.threshold(best, fails)
  assert outcome(free)[1] > 0.1


@pytest.mark.parametrize(
  "score", ["cosine", pytest.param("likelihood", marks=pytest.mark.long)]
)
def test_turning_a_canonical_pair_changes_nothing(score):
  """The signs of both maps of a pair of modalities, of every second one."""
  learnt = fitted(score)
  turn = np.where(np.arange(12) % 2, -1, 1).astype(np.float32)

  def turned(maps):
    return {pair: each * turn[: each.shape[1]] for pair, each in maps.items()}

  other = learnt.replace(
    first=turned(learnt.first), second=turned(learnt.second)
  )
  batch = noise.corrupt(LOUD, np.uint32(5), held_out())
  settings = SETTINGS._replace(score=score)
  check = jax.jit(
    lambda each, rows: repair.apply(settings, "check", each, rows).effective
  )
  before, after = check(learnt, batch), check(other, batch)
  flags = np.stack([before[name] for name in WIDTHS])
  assert 0.1 < flags.mean() < 0.95
  for name in WIDTHS:
    np.testing.assert_array_equal(after[name], before[name])


def test_a_check_that_tells_nothing_apart_discards_nothing_and_says_so():
  """White noise that nobody hears: no threshold is better than chance."""
  bounded = {"max_false_alarm": 0.05, "min_balanced_accuracy": 0.6}
  learnt = fit_to(table(), tau_snr=1e6, **bounded)
  assert learnt.tau == -np.inf
  noisy = noise.corrupt(LOUD, np.uint32(1), held_out())
  settings = SETTINGS._replace(**bounded)
  check = jax.jit(
    lambda each, rows: repair.apply(settings, "check", each, rows).effective
  )
  effective = check(learnt, noisy)
  for name in WIDTHS:
    np.testing.assert_array_equal(effective[name], noisy.present[name])
  (line,) = input_repair.remarks(settings, sorted(WIDTHS), learnt)
  assert "discards nothing in 1 of 1 runs" in line and "above 0.6" in line
  assert "\n" not in line
  loud = fit_to(table(), tau_snr=0.01, **bounded)
  assert np.isfinite(loud.tau)
  assert not input_repair.remarks(settings, sorted(WIDTHS), loud)
  # tau follows `tau_snr` and not the noise of the evaluation.
  assert settings._replace(tau_snr=0.1).tuning_noise(QUIET).snr == 0.1
  assert settings.tuning_noise(LOUD) == LOUD


@pytest.mark.parametrize(
  ("score", "match"),
  [("cosine", "discards both or neither"), ("likelihood", "unusually large")],
)
def test_two_modalities_are_compared_with_a_word_of_warning(score, match):
  settings = SETTINGS._replace(score=score)
  (line,) = input_repair.remarks(settings, ("visual", "acoustic"), fitted())
  assert "one pair, acoustic and visual" in line and match in line


def test_tau_is_of_validation_or_of_the_config():
  assert fitted(tau_from="config").tau == np.float32(0.3)
  for score in settings_lib.SCORES:
    chosen = fitted(score).tau
    batch = tables.take(table(), np.arange(TRAIN, 300))
    scored = check_lib.score_block(
      SETTINGS._replace(score=score),
      LOUD,
      fitted(score),
      batch,
      np.uint32(1),
    )
    values, fails, there = map(np.asarray, scored)
    values, fails = values[there], fails[there]

    def balanced(tau, values=values, fails=fails):
      return (values < tau)[fails].mean() + (values >= tau)[~fails].mean()

    best = max(balanced(tau) for tau in [*values, np.inf])
    # Rows are scored in batches of another size there, and rounded so.
    np.testing.assert_allclose(balanced(chosen), best, atol=0.05)
    assert best > (1.8 if score == "likelihood" else 1.3)


def test_runs_are_mapped_with_what_they_were_fitted_to():
  settings = SETTINGS._replace(proxy="linear")
  two = jax.tree.map(
    lambda a, b: jnp.stack([a, b]), fitted(), fitted(tau_from="config")
  )
  batch = jax.tree.map(jnp.asarray, held_out())

  def check(each):
    return repair.apply(settings, "check", each, batch).effective

  effective = jax.jit(jax.vmap(check))(two)
  for at in range(2):
    alone = jax.jit(check)(jax.tree.map(lambda x, at=at: x[at], two))
    for name in WIDTHS:
      np.testing.assert_array_equal(effective[name][at], alone[name])


def test_steps_that_share_a_part_of_the_sequence():
  np.testing.assert_array_equal(proxies.frame_overlap(1, 3), [[1, 1, 1]])
  np.testing.assert_array_equal(proxies.frame_overlap(3, 3), np.eye(3))
  np.testing.assert_array_equal(
    proxies.frame_overlap(2, 4), [[1, 1, 0, 0], [0, 0, 1, 1]]
  )
  np.testing.assert_array_equal(
    proxies.frame_overlap(4, 2), [[1, 0], [1, 0], [0, 1], [0, 1]]
  )
