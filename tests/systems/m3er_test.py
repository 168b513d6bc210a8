"""M3ER and MFN against NumPy loops, and what their configs refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import logging

from configs import quickstart
from configs.m3er import ablation, comparison, noise, robust
from mmer_jax.base import errors
from mmer_jax.data import normalise, schema
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.systems import registry
from mmer_jax.systems.m3er import model
from tests.core import multiplicative_test
from tests.systems import conformance_test

HIDDEN, MEMORY = 3, 4
SIZES = {
  "hidden": HIDDEN,
  "memory": MEMORY,
  "attention": 5,
  "proposal": 6,
  "gate": 7,
  "dropout": 0.0,
}


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def layers(params, name, x):
  """Two linear layers with a ReLU between."""
  hidden, out = params[f"{name}_hidden"], params[f"{name}_out"]
  inner = np.maximum(x @ hidden["kernel"] + hidden["bias"], 0)
  return inner @ out["kernel"] + out["bias"]


def gate(params, name, x):
  inner = x @ params[f"{name}_hidden_kernel"] + params[f"{name}_hidden_bias"]
  out = np.maximum(inner, 0) @ params[f"{name}_out_kernel"]
  return sigmoid(out + params[f"{name}_out_bias"])


def attended(params, before, now):
  """Every cell times a softmax over all of them."""
  both = np.concatenate([*before, *now])
  scores = layers(params, "attention", both)
  return np.exp(scores) / np.exp(scores).sum() * both


def numpy_mfn(params, batch, look=attended):
  """Zadeh et al. 2018a, one utterance and one step at a time."""
  names = sorted(batch.streams)
  steps = max(stream.mask.shape[1] for stream in batch.streams.values())
  rows = len(batch.example_mask)
  states = {name: np.zeros((rows, HIDDEN)) for name in names}
  memories = np.zeros((rows, MEMORY))
  for row in range(rows):
    h = {name: np.zeros(HIDDEN) for name in names}
    c = {name: np.zeros(HIDDEN) for name in names}
    u = np.zeros(MEMORY)
    for t in range(steps):
      before = [c[name] for name in names]
      anything = False
      for name in names:
        stream = batch.streams[name]
        if t >= stream.mask.shape[1] or not stream.mask[row, t]:
          continue
        anything = True
        own = params[f"lstm_{name}"]
        z = np.asarray(stream.features[row, t], np.float64) @ own["w_x"]
        i, f, g, o = np.split(z + h[name] @ own["w_h"] + own["b"], 4)
        c[name] = sigmoid(f) * c[name] + sigmoid(i) * np.tanh(g)
        h[name] = sigmoid(o) * np.tanh(c[name])
      seen = look(params, before, [c[name] for name in names])
      new = np.tanh(layers(params, "proposal", seen))
      joined = np.concatenate([seen, u])
      if anything:
        u = gate(params, "retain", joined) * u
        u = u + gate(params, "update", joined) * new
    for name in names:
      states[name][row] = h[name]
    memories[row] = u
  return states, memories


def example():
  """Visual streams are shorter than the others."""
  batch = conformance_test.example()
  visual = batch.streams["visual"]
  short = schema.Stream(visual.features[:, :4], visual.mask[:, :4])
  batch = batch.replace(streams={**batch.streams, "visual": short})
  return batch.replace(
    present={m: s.mask.any(axis=1) for m, s in batch.streams.items()}
  )


def test_the_memory_fusion_network_equals_a_loop():
  with jax.enable_x64(True):
    batch = jax.tree.map(
      lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x,
      example(),
    )
    network = model.MemoryFusion(**SIZES, dtype="float64")
    variables = jax.jit(lambda key: network.init(key, batch.streams, key=None))(
      jax.random.key(0)
    )
    # Weights of order 1, where every part shows.
    variables = jax.tree.map(lambda x: 3.0 * x, variables)
    got = jax.jit(lambda v: network.apply(v, batch.streams, key=None))(
      variables
    )
    params = jax.tree.map(np.asarray, variables["params"])
  states, memory = numpy_mfn(params, jax.tree.map(np.asarray, batch))
  for name, expected in states.items():
    np.testing.assert_allclose(got.states[name], expected, atol=1e-12)
  np.testing.assert_allclose(got.memory, memory, atol=1e-12)
  assert np.abs(memory).max() > 0.05


def test_the_output_equals_a_loop_over_its_parts():
  config = conformance_test.config("m3er")
  with config.unlocked():
    config.model.multiplicative.beta = 0.4
    config.model.update(**SIZES)
  system = registry.SYSTEMS["m3er"](config)
  batch = example()
  params = jax.jit(system.init)(
    jax.random.key(0), batch, conformance_test.vectors()
  )
  got = jax.tree.map(
    np.asarray,
    jax.jit(system.predict)(params, batch, conformance_test.vectors()),
  )
  params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  states, memory = numpy_mfn(params["encoder"], batch)
  for row in range(conformance_test.ROWS):
    there = [m for m in sorted(states) if batch.present[m][row]]
    amounts, vectors = {}, {}
    for name in there:
      head = params[f"head_{name}"]
      score = states[name][row] @ head["kernel"] + head["bias"]
      np.testing.assert_allclose(got.per_modality[name][row], score, atol=1e-5)
      best = (np.exp(score) / np.exp(score).sum()).max()
      amounts[name] = best ** (0.4 / max(len(there) - 1, 1))
      vectors[name] = states[name][row]
    total = sum(amounts.values())
    for name in there:
      weight = amounts[name] / total
      np.testing.assert_allclose(got.weights[name][row], weight, rtol=1e-5)
    vector = sum(amounts[m] / total * vectors[m] for m in there)
    joined = np.concatenate([vector, memory[row]])
    inner = params["hidden"]
    hidden = np.maximum(joined @ inner["kernel"] + inner["bias"], 0)
    logits = hidden @ params["out"]["kernel"] + params["out"]["bias"]
    np.testing.assert_allclose(got.logits[row], logits, atol=1e-5)


@pytest.mark.parametrize(
  ("name", "decision"), [("m3er", "binary"), ("mtee", "softmax")]
)
def test_the_loss_is_that_of_its_parts(name, decision):
  """Classification (m3er alone) and c(y), class weights in both."""
  config = conformance_test.config(name, decision)
  with config.unlocked():
    if name == "mtee":
      config.model.fusion = "multiplicative"
    config.model.multiplicative.beta = 0.4
  system = registry.SYSTEMS[name](config)
  batch, vectors = conformance_test.example(), conformance_test.vectors()
  params = jax.jit(system.init)(jax.random.key(0), batch, vectors)
  output = jax.jit(system.predict)(params, batch, vectors)
  weight = np.asarray(conformance_test.settings().class_weight[0])
  run = conformance_test.settings()
  got, _ = jax.jit(
    lambda params: system.stages[0].loss(params, batch, run, None)
  )(params)
  labels = np.asarray(batch.labels)
  values = multiplicative_test.numpy_losses(
    decision,
    "boost",
    {m: np.asarray(x, np.float64) for m, x in output.per_modality.items()},
    labels,
    {m: np.asarray(flags) for m, flags in batch.present.items()},
    0.4,
  )
  by = np.where(labels > 0, weight, 1.0)
  if decision == "binary":
    values = (by * values).mean(axis=1)
  else:
    values = (weight * labels).sum(axis=1) * values
  real = np.asarray(batch.labelled)
  expected = values[real].mean()
  if name == "m3er":
    plain = multiplicative_test.numpy_losses(
      decision,
      "boost",
      dict.fromkeys(
        multiplicative_test.NAMES, np.asarray(output.logits, np.float64)
      ),
      labels,
      dict.fromkeys(multiplicative_test.NAMES, np.ones(len(labels), bool)),
      0.0,
    )
    if decision == "binary":
      plain = (by * plain).mean(axis=1)
    else:
      plain = (weight * labels).sum(axis=1) * plain
    expected += plain[real].mean() / 3
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  total = sum(np.asarray(each) for each in output.weights.values())
  np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_a_beta_that_teaches_the_wrong_thing_is_refused_or_named(caplog):
  config = conformance_test.config("m3er")

  def start(**changes):
    with config.unlocked():
      config.model.multiplicative.update(**changes)
    system = registry.SYSTEMS["m3er"](config)
    jax.eval_shape(
      system.init,
      jax.random.key(0),
      conformance_test.example(),
      conformance_test.vectors(),
    )

  # M = 3, K = 4: (M - 1) / ln K = 1.443.
  with pytest.raises(errors.UserError, match=r"beta is 1\.45, from 1\.443"):
    start(beta=1.45, detach_weight=False)
  start(beta=1.45, detach_weight=True)
  start(beta=1.45, detach_weight=False, form="suppress")
  logger = logging.get_absl_logger()
  logger.addHandler(caplog.handler)
  try:
    start(beta=1.0, form="boost")
  finally:
    logger.removeHandler(caplog.handler)
  assert "a sample with two modalities left" in caplog.text


def test_other_values_are_refused():
  for changes, message in (
    ({"model.multiplicative.form": "loud"}, "boost, suppress"),
    ({"model.multiplicative.beta": -1.0}, "at least 0"),
    ({"model.fusion": "sum"}, "weighted_sum, product"),
  ):
    config = ablation.get_config("smoke")
    with config.unlocked():
      config.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=message):
      registry.SYSTEMS["m3er"](config)
  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.model.fusion = "sum"
  with pytest.raises(errors.UserError, match="weighted_sum, multiplicative"):
    registry.SYSTEMS["mtee"](config)


def test_what_is_discarded_has_no_weight():
  system, params = conformance_test.made("m3er")
  batch = normalise.keep_modalities(
    conformance_test.example(), {"visual": False}
  )
  weights = system.predict(params, batch, conformance_test.vectors()).weights
  np.testing.assert_array_equal(weights["visual"], 0)
  there = np.asarray(batch.present["lexical"] | batch.present["acoustic"])
  total = np.asarray(weights["lexical"] + weights["acoustic"])
  np.testing.assert_allclose(total, there.astype(np.float32), rtol=1e-6)


@pytest.mark.parametrize("module", [ablation, comparison, noise, robust])
def test_every_row_of_a_table_has_a_system_and_a_number_per_column(module):
  for variant in module.VARIANTS:
    table = module.get_table(module.get_config(variant))
    for program in table.programs.values():
      registry.SYSTEMS[program.system](program)
      noise_lib.check(noise_lib.Noise.from_config(program))
      settings_lib.RepairSettings.from_config(program)
    for section in table.sections:
      for row in section.rows:
        assert not row.program or row.program in table.programs
        if section.title == "The paper's rows" or row.paper:
          assert len(row.paper) in (0, len(section.columns)), row.name
      assert not section.against or section.against in {
        row.name for row in section.rows
      }
    assert set(table.figures) <= table.programs.keys()


def test_the_overall_accuracy_of_table_2_is_the_mean_over_emotions():
  for each, (_, accuracy) in ablation.MOSEI:
    assert abs(np.mean(each[1::2]) - accuracy) < 0.1, each
