"""The network of Graph-MFN: a memory that is told of a fusion graph."""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mmer_jax.core import layers
from mmer_jax.systems import memory_fusion

# A vertex by its modalities' numbers.
Vertex = tuple[int, ...]


def vertices(modalities: int) -> list[Vertex]:
  """Lists the non-empty sets of modalities, the smaller ones first."""
  return [
    chosen
    for size in range(1, modalities + 1)
    for chosen in itertools.combinations(range(modalities), size)
  ]


def inputs(vertex: Vertex) -> list[Vertex]:
  """Lists the vertices with an edge to a vertex: its proper subsets."""
  return [
    tuple(vertex[i] for i in chosen)
    for chosen in vertices(len(vertex))
    if len(chosen) < len(vertex)
  ]


def edges(modalities: int) -> int:
  """Counts the edges: to vertices of two and more, and to the output."""
  every = vertices(modalities)
  return sum(len(inputs(vertex)) for vertex in every) + len(every)


class GraphFusion(memory_fusion.MemoryFusion):
  """Remembers what the dynamic fusion graph makes of consecutive cells.

  A vertex of one modality is its cells before and after the step. A vertex of
  several is a network of the vertices of their proper subsets, the output a
  network of all vertices; what goes along an edge is times its efficacy, a
  sigmoid of a network of all cells.

  Source: Zadeh et al. 2018b, section 4 (dynamic fusion graph and Graph-MFN).
  Deviation: written from memory, without the paper at hand. Every network has
    one hidden layer of rectified units and a linear output, and all vertices
    of several modalities are as wide as the output: ours. One efficacy an edge.
    Else that of `memory_fusion.MemoryFusion`.

  Attributes:
    vertex: Width of the vertices of several modalities, and of the output.
    graph: Hidden units of their networks.
    efficacy: Hidden units of the efficacies' network.
  """

  vertex: int
  graph: int
  efficacy: int

  def look(
    self,
    before: Float[Array, "t b c"],
    now: Float[Array, "t b c"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "t b s"]:
    """Runs the graph at every step."""
    modalities = now.shape[-1] // self.hidden
    every = vertices(modalities)
    keys = layers.split_key(key, len(every) + 2)
    both = jnp.concatenate([before, now], axis=-1)
    efficacies = jax.nn.sigmoid(
      self.network(
        "efficacy", both, self.efficacy, edges(modalities), keys.pop()
      )
    )
    own = zip(
      jnp.split(before, modalities, axis=-1),
      jnp.split(now, modalities, axis=-1),
      strict=True,
    )
    values = {
      (number,): jnp.concatenate(pair, axis=-1)
      for number, pair in enumerate(own)
    }
    edge = itertools.count()

    def gather(sources: list[Vertex]) -> Float[Array, "t b s"]:
      scaled = []
      for source in sources:
        at = next(edge)
        scaled.append(efficacies[..., at : at + 1] * values[source])
      return jnp.concatenate(scaled, axis=-1)

    for vertex in every[modalities:]:
      name = "vertex_" + "_".join(str(number) for number in vertex)
      values[vertex] = self.network(
        name, gather(inputs(vertex)), self.graph, self.vertex, keys.pop()
      )
    return self.network(
      "output", gather(every), self.graph, self.vertex, keys.pop()
    )
