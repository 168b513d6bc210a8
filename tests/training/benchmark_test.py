"""What `benchmark` writes; never how fast anything is."""

import math

import numpy as np
import pytest

from configs import quickstart
from configs.dae_mmd import semi
from configs.mtee import few_shot_mosei
from mmer_jax.base import errors
from mmer_jax.training import benchmark


def smoke():
  return quickstart.get_config("smoke")


def test_the_json_holds_what_the_contract_names_and_a_trace_is_written(
  tmp_path,
):
  result = benchmark.benchmark(
    smoke(), runs=3, dispatches=4, trace=str(tmp_path)
  )
  assert list(tmp_path.rglob("*.xplane.pb"))
  for key in (
    "examples_per_second",
    "runs_examples_per_second",
    "compile_seconds",
    "first_dispatch_seconds",
    "predict_examples_per_second",
    "flops_per_step",
    "achieved_flops_per_second",
    "matmul_peak_flops_per_second",
    "share_of_peak",
    "peak_memory_bytes",
  ):
    assert math.isfinite(result[key]) and result[key] > 0, key
  assert 0 < result["step_seconds"]["median"] <= result["step_seconds"]["p90"]
  one = result["predict_batch_1_seconds"]
  assert 0 < one["median"] <= one["p90"]
  np.testing.assert_allclose(
    result["runs_examples_per_second"], 3 * result["examples_per_second"]
  )
  assert result["shapes"]["lexical"] == [4, 8]


@pytest.mark.long
def test_flops_count_every_step_of_the_scan_and_every_run():
  config = smoke()
  short = benchmark.benchmark(config, runs=1, dispatches=1)
  three = benchmark.benchmark(config, runs=3, dispatches=1)
  np.testing.assert_allclose(
    three["flops_per_step"], 3 * short["flops_per_step"]
  )
  with config.unlocked():
    config.data.max_length.update(lexical=12, acoustic=12, visual=12)
  long = benchmark.benchmark(config, runs=1, dispatches=1)
  # Three times the steps; the optimiser's share does not grow.
  assert long["flops_per_step"] > 1.5 * short["flops_per_step"]


def test_counts_of_zero_are_refused():
  with pytest.raises(errors.UserError, match="--runs is 0"):
    benchmark.benchmark(smoke(), runs=0, dispatches=1)


@pytest.mark.long
def test_a_later_stage_is_timed_with_its_unlabelled_rows():
  config = semi.get_config("smoke")
  with config.unlocked():
    # Linear layers alone: they compile in no time.
    config.data.modalities = ("acoustic", "lexical")
    config.model.dense.lexical = (12, 8)
  first = benchmark.benchmark(config, runs=1, dispatches=1)
  second = benchmark.benchmark(config, runs=1, dispatches=1, stage=1)
  assert (first["stage"], first["rows_per_step"]) == ("vanilla", 2)
  assert (second["stage"], second["rows_per_step"]) == ("semi_supervised", 4)
  assert second["flops_per_step"] > 1.5 * first["flops_per_step"]
  with pytest.raises(errors.UserError, match="--stage is 2, expected"):
    benchmark.benchmark(config, runs=1, dispatches=1, stage=2)
  few_shot = few_shot_mosei.get_config("smoke")
  with pytest.raises(errors.UserError, match="use benchmarks/gem_step.py"):
    benchmark.benchmark(few_shot, runs=1, dispatches=1, stage=1)
