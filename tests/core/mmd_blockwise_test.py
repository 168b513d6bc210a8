"""The memory that MMD takes in blocks; its values are in `mmd_test`."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

_PEAK = """
import re, sys
import jax, jax.numpy as jnp
from mmer_jax.core import mmd, mmd_blockwise

rows, dense = int(sys.argv[1]), sys.argv[2] == "dense"
fn = mmd.mmd if dense else mmd_blockwise.blockwise_mmd
p, q = jax.random.normal(jax.random.key(0), (2, rows, 128))
jax.block_until_ready((p, q))

def peak():
  # Not getrusage's, which begins at that of the process that started this.
  text = open("/proc/self/status").read()
  return int(re.search(r"VmHWM:\\s*(\\d+) kB", text)[1]) / 1024

before = peak()
step = jax.jit(jax.value_and_grad(lambda p, q: fn(p, q, sigma=16.0), (0, 1)))
value, _ = jax.block_until_ready(step(p, q))
assert abs(float(value)) < 1e-3
print(peak() - before)
"""


def peak_mib(rows, form):
  """What a value and its gradient take above their inputs."""
  done = subprocess.run(
    [sys.executable, "-c", _PEAK, str(rows), form],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
  )
  return float(done.stdout)


@pytest.mark.long
def test_blocks_need_no_memory_for_all_pairs():
  """One array of all pairs of 6,144 rows is 144 MiB, and dense has several."""
  assert peak_mib(6144, "dense") > 400
  assert peak_mib(6144, "blockwise") < 200


@pytest.mark.long
def test_65536_rows_of_128_take_less_than_a_gibibyte():
  assert peak_mib(65536, "blockwise") < 1024
