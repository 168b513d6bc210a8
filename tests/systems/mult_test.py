"""MulT against a NumPy loop and an independent PyTorch module, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import windows
from mmer_jax.data import schema
from mmer_jax.systems.mult import model
from tests.core import attention_test
from tests.systems import conformance_test

KERNEL = {"lexical": 1, "acoustic": 3, "visual": 2}
WIDTH, HEADS = 6, 2
ALL, TWO, ONE = (
  ("acoustic", "lexical", "visual"),
  ("acoustic", "lexical"),
  ("acoustic",),
)


def network(names, blocks=1, dtype="float64"):
  return model.MulT(
    width=WIDTH,
    kernel={name: KERNEL[name] for name in names},
    heads=HEADS,
    blocks=blocks,
    memory_blocks=1,
    dropout=0.0,
    lexical_dropout=0.0,
    output_dropout=0.0,
    dtype=dtype,
  )


def example():
  """Streams of two lengths, some rows without one or two of them."""
  batch = conformance_test.example()
  streams = dict(batch.streams)
  for name, steps in (("acoustic", 5), ("visual", 5)):
    stream = streams[name]
    streams[name] = schema.Stream(
      stream.features[:, :steps], stream.mask[:, :steps]
    )
  streams["visual"] = streams["visual"].replace(
    mask=streams["visual"].mask.at[1].set(False)
  )
  return batch.replace(
    streams=streams,
    present={m: s.mask.any(axis=1) for m, s in streams.items()},
  )


@functools.cache
def made(names, blocks=1):
  """Parameters off their initial values, a batch, and the logits of both."""
  with jax.enable_x64(True):
    batch = jax.tree.map(
      lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x,
      example(),
    )
    batch = batch.replace(streams={m: batch.streams[m] for m in names})
    module = network(names, blocks)
    params = drawn(module, batch, np.float64)
    logits = jax.jit(functools.partial(run, module, batch=batch))(params)
  return params, batch, logits


def drawn(module, batch, dtype):
  """Parameters of NumPy: nothing is compiled for them."""
  init = functools.partial(module.init, key=None)
  vectors = conformance_test.vectors()
  shapes = jax.eval_shape(init, jax.random.key(0), batch, vectors)["params"]
  rng = np.random.default_rng(3)
  return jax.tree.map(
    lambda leaf: jnp.asarray(0.4 * rng.normal(size=leaf.shape), dtype), shapes
  )


def run(module, params, batch):
  vectors = conformance_test.vectors()
  return module.apply({"params": params}, batch, vectors, key=None).logits


def numpy_convolution(kernel, frames, mask, size):
  """Eq. 2, frame by frame; `kernel` has the rows of one frame together."""
  steps, width = frames.shape
  out = np.zeros((steps, kernel.shape[1]))
  for t in np.flatnonzero(mask):
    for place in range(size):
      at = t + place - (size - 1) // 2
      if 0 <= at < steps and mask[at]:
        rows = kernel[place * width : (place + 1) * width]
        out[t] += frames[at] @ rows
  return out


def blocks_of(params, part, names, name):
  """The parameters of one transformer, block by block."""
  stack = params[part]["stack"]
  count = len(jax.tree.leaves(stack)[0][0])
  return [
    jax.tree.map(lambda x, i=index: x[names.index(name), i], stack)
    for index in range(count)
  ]


def pairs_of(names):
  return [f"{a}_to_{b}" for b in names for a in names if a != b]


def numpy_transformer(blocks, x, mask, source=None, source_mask=None):
  """Eq. 4, or the self-attention transformer."""
  for block in blocks:
    x = attention_test.numpy_norm(block["norm_read"], x)
    read, read_mask = x, mask
    if source is not None:
      read = attention_test.numpy_norm(block["norm_read"], source)
      read_mask = source_mask
    if read_mask.any():
      x = x + attention_test.numpy_attention(
        block["read"], x, read, mask, read_mask, HEADS
      )
    x = attention_test.numpy_norm(block["norm_feed"], x)
    wide = np.maximum(attention_test.affine(block["wide"], x), 0)
    x = x + attention_test.affine(block["narrow"], wide)
  return x


def numpy_mult(params, batch, row, names):
  """One utterance: sections 3.2 and 3.3."""
  low, masks, last = {}, {}, []
  for name in names:
    stream = batch.streams[name]
    masks[name] = stream.mask[row]
    kernel = params[f"convolution_{name}"]["linear"]["kernel"]
    frames = stream.features[row]
    low[name] = numpy_convolution(kernel, frames, masks[name], KERNEL[name])
    for t in range(len(frames)):
      for column in range(0, WIDTH, 2):
        angle = t / 10000 ** (column / WIDTH)
        low[name][t, column] += np.sin(angle)
        low[name][t, column + 1] += np.cos(angle)
  for target in names:
    read = [
      numpy_transformer(
        blocks_of(
          params, "crossmodal", pairs_of(names), f"{source}_to_{target}"
        ),
        low[target],
        masks[target],
        low[source],
        masks[source],
      )
      for source in names
      if source != target
    ]
    x = np.concatenate(read or [low[target]], axis=1)
    own = blocks_of(params, "memory", names, target)
    x = numpy_transformer(own, x, masks[target])
    real = np.flatnonzero(masks[target])
    last.append(x[real[-1]] if len(real) else np.zeros(x.shape[1]))
  joined = np.concatenate(last)
  inner = np.maximum(attention_test.affine(params["inner"], joined), 0)
  joined = joined + attention_test.affine(params["outer"], inner)
  return attention_test.affine(params["out"], joined)


@pytest.mark.parametrize(("names", "blocks"), [(ALL, 1), (TWO, 2), (ONE, 1)])
def test_the_network_equals_a_loop(names, blocks):
  params, batch, logits = jax.tree.map(np.asarray, made(names, blocks))
  for row in range(conformance_test.ROWS):
    expected = numpy_mult(params, batch, row, names)
    np.testing.assert_allclose(logits[row], expected, rtol=1e-11, atol=1e-11)
  assert np.abs(logits).max() > 0.1


def torch_block(torch, params, width):
  """PyTorch's own attention, norms and layers with the parameters."""

  class Block(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.norm_read = torch.nn.LayerNorm(width)
      self.norm_feed = torch.nn.LayerNorm(width)
      self.read = torch.nn.MultiheadAttention(width, HEADS, batch_first=True)
      self.wide = torch.nn.Linear(width, 4 * width)
      self.narrow = torch.nn.Linear(4 * width, width)

    def forward(self, x, source):
      x = self.norm_read(x)
      read = x if source is None else self.norm_read(source)
      if len(read[0]):
        x = x + self.read(x, read, read, need_weights=False)[0]
      x = self.norm_feed(x)
      return x + self.narrow(torch.relu(self.wide(x)))

  block = Block().double()
  read = params["read"]
  parts = [read[name] for name in ("query", "key", "value")]
  state = {
    "read.in_proj_weight": np.concatenate([p["kernel"].T for p in parts]),
    "read.in_proj_bias": np.concatenate(
      [p.get("bias", np.zeros(width)) for p in parts]
    ),
    "read.out_proj.weight": read["out"]["kernel"].T,
    "read.out_proj.bias": read["out"]["bias"],
  }
  for name in ("wide", "narrow"):
    state[f"{name}.weight"] = params[name]["kernel"].T
    state[f"{name}.bias"] = params[name]["bias"]
  for name in ("norm_read", "norm_feed"):
    state[f"{name}.weight"] = params[name]["scale"]
    state[f"{name}.bias"] = params[name]["bias"]
  block.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
  return block


def torch_mult(torch, params):
  """MulT of PyTorch's modules: unpadded utterances, one at a time."""

  class MulT(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.convolution = torch.nn.ModuleDict()
      self.stack = torch.nn.ModuleDict()
      for name in TWO:
        kernel = params[f"convolution_{name}"]["linear"]["kernel"]
        wide = len(kernel) // KERNEL[name]
        self.convolution[name] = torch.nn.Conv1d(
          wide, WIDTH, KERNEL[name], padding="same", bias=False
        ).double()
        self.convolution[name].weight.data = torch.tensor(
          kernel.reshape(KERNEL[name], wide, WIDTH).transpose(2, 1, 0).copy()
        )
      for part, names, width in (
        ("crossmodal", pairs_of(TWO), WIDTH),
        ("memory", TWO, WIDTH),
      ):
        for name in names:
          self.stack[name] = torch.nn.ModuleList(
            torch_block(torch, each, width)
            for each in blocks_of(params, part, names, name)
          )
      for name in ("inner", "outer", "out"):
        layer = torch.nn.Linear(*params[name]["kernel"].shape).double()
        layer.weight.data = torch.tensor(params[name]["kernel"].T.copy())
        layer.bias.data = torch.tensor(params[name]["bias"])
        setattr(self, name, layer)

    def forward(self, streams):
      low = {
        name: self.convolution[name](x.T[None])[0].T + place(x)
        if len(x)
        else torch.zeros((0, WIDTH), dtype=torch.float64)
        for name, x in streams.items()
      }
      last = []
      for target in TWO:
        if not len(low[target]):
          last.append(torch.zeros(WIDTH, dtype=torch.float64))
          continue
        read = []
        for source in TWO:
          if source != target:
            x = low[target][None]
            for block in self.stack[f"{source}_to_{target}"]:
              x = block(x, low[source][None])
            read.append(x)
        x = torch.cat(read, dim=-1)
        for block in self.stack[target]:
          x = block(x, None)
        last.append(x[0, -1])
      x = torch.cat(last)
      return self.out(x + self.outer(torch.relu(self.inner(x))))

  def place(x):
    t = torch.arange(len(x), dtype=torch.float64)[:, None]
    angle = t / 10000 ** (torch.arange(0, WIDTH, 2).double() / WIDTH)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)

  return MulT()


def test_outputs_and_gradients_equal_pytorchs():
  torch = pytest.importorskip("torch")
  params, batch, logits = made(TWO, 2)
  with jax.enable_x64(True):
    module = network(TWO, 2)
    gradient = jax.jit(
      jax.grad(lambda p: jnp.square(run(module, p, batch)).sum())
    )(params)
  params, batch, logits, gradient = jax.tree.map(
    np.asarray, (params, batch, logits, gradient)
  )
  module = torch_mult(torch, params)
  total = 0.0
  for row in range(conformance_test.ROWS):
    streams = {
      name: torch.tensor(stream.features[row][stream.mask[row]])
      for name, stream in batch.streams.items()
    }
    out = module(streams)
    np.testing.assert_allclose(
      logits[row], out.detach().numpy(), rtol=1e-11, atol=1e-11
    )
    total = total + out.square().sum()
  total.backward()
  np.testing.assert_allclose(
    gradient["out"]["kernel"].T, module.out.weight.grad, rtol=1e-9, atol=1e-10
  )
  for part, names, name, index, layer in (
    ("crossmodal", pairs_of(TWO), "lexical_to_acoustic", 0, "wide"),
    ("crossmodal", pairs_of(TWO), "acoustic_to_lexical", 1, "narrow"),
    ("memory", TWO, "acoustic", 0, "wide"),
  ):
    own = blocks_of(gradient, part, names, name)[index][layer]
    other = getattr(module.stack[name][index], layer)
    for mine, grad in (
      (own["kernel"].T, other.weight.grad),
      (own["bias"], other.bias.grad),
    ):
      np.testing.assert_allclose(mine, grad, rtol=1e-9, atol=1e-10)
  for name in TWO:
    own = gradient[f"convolution_{name}"]["linear"]["kernel"]
    weight = module.convolution[name].weight.grad.numpy().transpose(2, 1, 0)
    np.testing.assert_allclose(
      own, weight.reshape(own.shape), rtol=1e-9, atol=1e-10
    )


def test_a_window_holds_its_neighbours_and_no_padding():
  frames = jnp.arange(1.0, 5.0)[None, :, None]
  mask = jnp.array([[True, True, False, True]])
  got = windows.around(frames, mask, 3)[0]
  assert got.tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 4], [0, 4, 0]]
  got = windows.around(frames, mask, 2)[0]
  assert got.tolist() == [[1, 2], [2, 0], [0, 4], [4, 0]]


@pytest.mark.usefixtures("keys_are_used_once")
def test_dropout_is_of_three_kinds():
  names, vectors = ("lexical",), conformance_test.vectors()
  batch = example()
  batch = batch.replace(streams={m: batch.streams[m] for m in names})
  still = network(names, dtype="float32")
  params = drawn(still, batch, np.float32)
  without = jax.jit(functools.partial(run, still))(params, batch)
  for kind in ("dropout", "lexical_dropout", "output_dropout"):
    noisy = still.clone(**{kind: 0.4})

    @jax.jit
    def logits(key, noisy=noisy):
      return noisy.apply({"params": params}, batch, vectors, key=key).logits

    first = np.asarray(logits(jax.random.key(1)))
    assert np.isfinite(first).all()
    assert np.abs(first - without).max() > 1e-3, kind
    assert np.abs(first - logits(jax.random.key(2))).max() > 1e-3, kind
