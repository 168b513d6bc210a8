"""Counts of compiled programs: by hand, beside XLA's, and over loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmer_jax.training import hlo
from mmer_jax.training import mesh as mesh_lib

# As TPUs' compiler prints it: the limit of a loop stands in its condition, and
# S(1) is the memory on the chip.
NESTED = """\
HloModule jit_f, is_scheduled=true

%inside (p.0: f32[4,8,8], p.1: s32[]) -> f32[8,8] {
  %p.0 = f32[4,8,8]{2,1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  %slice = f32[1,8,8]{2,1,0} dynamic-slice(%p.0, %p.1, %zero, %zero), dynamic_slice_sizes={1,8,8}
  ROOT %cast = f32[8,8]{1,0} bitcast(%slice)
}

%inner_condition (p.2: (s32[], f32[8,8])) -> pred[] {
  %p.2 = (s32[], f32[8,8]{1,0}) parameter(0)
  %i.2 = s32[] get-tuple-element(%p.2), index=0
  %three = s32[]{:T(128)} constant(3)
  ROOT %less.2 = pred[] compare(%i.2, %three), direction=LT
}

%inner_body (p.3: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {
  %p.3 = (s32[], f32[8,8]{1,0}) parameter(0)
  %i.3 = s32[] get-tuple-element(%p.3), index=0
  %x.3 = f32[8,8]{1,0} get-tuple-element(%p.3), index=1
  %sum = f32[8,8]{1,0} all-reduce(%x.3), replica_groups={{0,1}}, to_apply=%add
  ROOT %t.3 = (s32[], f32[8,8]{1,0}) tuple(%i.3, %sum)
}

%outer_condition (p.4: (s32[], f32[8,8], f32[4,8,8])) -> pred[] {
  %p.4 = (s32[], f32[8,8]{1,0}, f32[4,8,8]{2,1,0}) parameter(0)
  %i.4 = s32[] get-tuple-element(%p.4), index=0
  %four = s32[] constant(4)
  ROOT %less.4 = pred[] compare(%i.4, %four), direction=LT
}

%outer_body (p.5: (s32[], f32[8,8], f32[4,8,8])) -> (s32[], f32[8,8], f32[4,8,8]) {
  %p.5 = (s32[], f32[8,8]{1,0}, f32[4,8,8]{2,1,0}) parameter(0)
  %i.5 = s32[] get-tuple-element(%p.5), index=0
  %xs = f32[4,8,8]{2,1,0} get-tuple-element(%p.5), index=2
  %one = f32[8,8]{1,0} fusion(%xs, %i.5), kind=kLoop, calls=%inside
  %fast = f32[8,8]{1,0:T(8,128)S(1)} copy(%one)
  %start = (s32[], f32[8,8]{1,0}) tuple(%i.5, %one)
  %inner = (s32[], f32[8,8]{1,0}) while(%start), condition=%inner_condition, body=%inner_body
  %x.5 = f32[8,8]{1,0} get-tuple-element(%inner), index=1
  ROOT %t.5 = (s32[], f32[8,8]{1,0}, f32[4,8,8]{2,1,0}) tuple(%i.5, %x.5, %xs)
}

ENTRY %main (a: (s32[], f32[8,8], f32[4,8,8])) -> (s32[], f32[8,8], f32[4,8,8]) {
  %a = (s32[], f32[8,8]{1,0}, f32[4,8,8]{2,1,0}) parameter(0)
  ROOT %outer = (s32[], f32[8,8]{1,0}, f32[4,8,8]{2,1,0}) while(%a), condition=%outer_condition, body=%outer_body
}
"""  # noqa: E501
BLOCK = 8 * 8 * 4


def counts(fn, *arguments, **options):
  compiled = jax.jit(fn, **options).lower(*arguments).compile()
  return hlo.count(hlo.parse(compiled.as_text())), compiled


def test_hand_counted_loops_collectives_and_bytes():
  found = hlo.count(hlo.parse(NESTED))
  assert (found.loops, found.unknown_loops) == (2, 0)
  assert found.executed["fusion"] == 4
  assert found.collectives == {"all-reduce": 4 * 3}
  assert found.collective_bytes == {"all-reduce": 4 * 3 * BLOCK}
  # Four times: a fusion reads a slice of `xs`, and of a number, and writes a
  # block; a copy reads it into the chip; thrice a block is reduced in place of
  # another.
  assert found.bytes == 4 * ((2 * BLOCK + 4) + BLOCK + 3 * 2 * BLOCK)


def test_a_loop_whose_end_is_not_known_is_said_to_be_so():
  text = NESTED.replace(
    "%four = s32[] constant(4)", "%four = s32[] add(%i.4, %i.4)"
  )
  found = hlo.count(hlo.parse(text))
  assert found.unknown_loops == 1
  assert found.collectives == {"all-reduce": 3}


def test_bytes_are_those_of_xla_where_there_is_no_loop():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(7, 33)), rng.normal(size=(33, 5))

  def f(a, b):
    return jnp.tanh(a @ b) + a.sum()

  found, compiled = counts(f, a.astype(np.float32), b.astype(np.float32))
  assert found.bytes == compiled.cost_analysis()["bytes accessed"] > 0


@pytest.mark.parametrize("length", [3, 11])
def test_a_scan_counts_as_often_as_it_runs(length):
  def f(x, xs):
    return jax.lax.scan(lambda x, y: (jnp.tanh(x @ y), x.sum()), x, xs)

  def bytes_of(length):
    x = jnp.ones((8, 8))
    return counts(f, x, jnp.ones((length, 8, 8)))[0].bytes

  each = bytes_of(length + 1) - bytes_of(length)
  assert each > 3 * BLOCK
  # The loop's body reads a row of the array, not the array; what is outside
  # of the loop may read it once.
  assert each < 40 * BLOCK
  assert bytes_of(length + 5) - bytes_of(length) == pytest.approx(5 * each)


def test_collectives_inside_a_loop_are_those_of_all_its_turns():
  mesh = mesh_lib.make_mesh(1, 8, over_runs=1, over_data=4)
  over_data = NamedSharding(mesh, PartitionSpec(None, "data"))

  def f(w, xs):
    def step(w, x):
      # The gradient of a mean over rows that lie on four devices.
      return w - jax.grad(lambda w: jnp.mean((x @ w) ** 2))(w), None

    xs = jax.lax.with_sharding_constraint(xs, over_data)
    return jax.lax.scan(step, w, xs)[0]

  everywhere = NamedSharding(mesh, PartitionSpec())
  found, _ = counts(
    f,
    jax.ShapeDtypeStruct((6,), np.float32, sharding=everywhere),
    jax.ShapeDtypeStruct((5, 8, 6), np.float32, sharding=over_data),
    out_shardings=everywhere,
  )
  assert found.collectives == {"all-reduce": 5}
  assert found.collective_bytes == {"all-reduce": 5 * 6 * 4}
