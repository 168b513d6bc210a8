"""Graph-MFN against a loop over utterances, steps and vertices."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.systems.graph_mfn import model
from tests.systems import conformance_test, m3er_test

SIZES = {
  "hidden": m3er_test.HIDDEN,
  "memory": m3er_test.MEMORY,
  "vertex": 5,
  "graph": 6,
  "efficacy": 7,
  "proposal": 6,
  "gate": 7,
  "dropout": 0.0,
}


def graph(params, before, now):
  """The dynamic fusion graph of one step, its efficacies in order of use."""
  count = len(now)
  scores = m3er_test.layers(params, "efficacy", np.concatenate([*before, *now]))
  efficacies = iter(m3er_test.sigmoid(scores))
  values = {
    frozenset([m]): np.concatenate([before[m], now[m]]) for m in range(count)
  }
  for size in range(2, count + 1):
    for chosen in itertools.combinations(range(count), size):
      below = [
        value * next(efficacies)
        for name, value in list(values.items())
        if name < set(chosen)
      ]
      name = "vertex_" + "_".join(map(str, chosen))
      values[frozenset(chosen)] = m3er_test.layers(
        params, name, np.concatenate(below)
      )
  every = [value * next(efficacies) for value in values.values()]
  assert next(efficacies, None) is None
  return m3er_test.layers(params, "output", np.concatenate(every))


def shapes(network, streams):
  init = functools.partial(network.init, key=None)
  return jax.eval_shape(init, jax.random.key(0), streams)["params"]


def drawn(network, streams):
  """Parameters of NumPy: nothing is compiled for them."""
  rng = np.random.default_rng(5)
  return jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(network.dtype),
    shapes(network, streams),
  )


@pytest.mark.parametrize(
  "names", [("acoustic", "lexical", "visual"), ("acoustic", "visual")]
)
def test_the_network_equals_a_loop(names):
  with jax.enable_x64(True):
    batch = jax.tree.map(
      lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x,
      m3er_test.example(),
    )
    batch = batch.replace(streams={m: batch.streams[m] for m in names})
    network = model.GraphFusion(**SIZES, dtype="float64")
    variables = {"params": drawn(network, batch.streams)}
    got = jax.jit(lambda v: network.apply(v, batch.streams, key=None))(
      variables
    )
  states, memory = m3er_test.numpy_mfn(
    variables["params"], jax.tree.map(np.asarray, batch), graph
  )
  for name, expected in states.items():
    np.testing.assert_allclose(got.states[name], expected, atol=1e-12)
  np.testing.assert_allclose(got.memory, memory, atol=1e-12)
  assert np.abs(memory).max() > 0.05


def test_three_modalities_have_seven_vertices_and_nineteen_edges():
  """6 to the three pairs, 6 to all three, 7 to the output."""
  assert model.vertices(3) == [
    *((0,), (1,), (2,)),
    *((0, 1), (0, 2), (1, 2)),
    (0, 1, 2),
  ]
  assert model.inputs((0, 2)) == [(0,), (2,)]
  assert model.inputs((0, 1, 2)) == model.vertices(3)[:-1]
  assert [model.edges(count) for count in (1, 2, 3)] == [1, 5, 19]


def test_a_model_of_one_modality_has_one_edge():
  batch = conformance_test.example()
  network = model.GraphFusion(**SIZES, dtype="float32")
  streams = {"acoustic": batch.streams["acoustic"]}
  made = shapes(network, streams)
  assert made["efficacy_out"]["bias"].shape == (1,)
  assert not [name for name in made if name.startswith("vertex")]


@pytest.mark.usefixtures("keys_are_used_once")
def test_dropout_is_in_every_network_of_the_graph():
  streams = conformance_test.example().streams
  network = model.GraphFusion(**{**SIZES, "dropout": 0.4}, dtype="float32")

  params = jax.tree.map(jnp.asarray, {"params": drawn(network, streams)})

  @jax.jit
  def encode(key):
    return network.apply(params, streams, key=key).memory

  first, second = encode(jax.random.key(1)), encode(jax.random.key(2))
  assert np.isfinite(first).all()
  assert np.abs(first - second).max() > 1e-3
