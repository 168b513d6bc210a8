"""What `vs_torch.py` times: cases, their configs, and how."""

import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections

from mmer_jax.base import config_file


class Case(NamedTuple):
  """Holds what is timed.

  Attributes:
    config: A config's name, with its variant.
    overrides: Keys of it that are set otherwise.
    runs: Concurrent runs of our side.
    stage: Number of the stage.
    steps: Steps of a dispatch.
  """

  config: str
  overrides: dict[str, Any]
  runs: int = 1
  stage: int = 0
  steps: int = 4


CASES = {
  "mtee": Case("mtee/mosei:readme", {}),
  "m3er": Case("m3er/ablation", {}),
  "h_mm_4": Case("multiview/multimodal", {"model.view": "h_mm_4"}),
  "b_aco_1": Case("multiview/multimodal", {"model.view": "b_aco_1"}),
  "dae_mmd": Case("dae_mmd/semi", {}, stage=1, steps=1),
  "mtee_small": Case(
    "mtee/iemocap:utterances", {"training.batch_size": 64}, runs=16
  ),
}


# The experiment of `--whole_table`: both sides do all epochs.
TABLE = "baselines/lf_lstm_iemocap:utterances"
TABLE_OVERRIDES = {"training.epochs": 10, "training.early_stopping": 0}


def read(case: Case) -> ml_collections.ConfigDict:
  """Reads the config of a case."""
  config = config_file.read(case.config).copy_and_resolve_references()
  with config.unlocked():
    config.update_from_flattened_dict(case.overrides)
  return config


def table(shards: pathlib.Path, seeds: int) -> ml_collections.ConfigDict:
  """Reads the config of the whole experiment."""
  data = {"data.dir": str(shards), "seeds": tuple(range(seeds))}
  return read(Case(TABLE, {**TABLE_OVERRIDES, **data}))


def times(once: Callable[[], Any], seconds: float) -> list[float]:
  """Times calls after two others, for so many seconds, three at least."""
  for _ in range(2):
    once()
  taken, begun = [], time.perf_counter()
  while len(taken) < 3 or time.perf_counter() - begun < seconds:
    start = time.perf_counter()
    once()
    taken.append(time.perf_counter() - start)
  return taken
