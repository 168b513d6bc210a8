"""Every config loads, is complete, and its system can be traced."""

import importlib

import jax
import numpy as np
import pytest

from mmer_jax.data import tables
from mmer_jax.experiment import build, validate
from mmer_jax.training import benchmark

MODULES = (
  "quickstart",
  "dae_mmd.fully",
  "dae_mmd.semi",
  "dae_mmd.ablation",
  "dae_mmd.meld",
  "multiview.multimodal",
  "multiview.taught",
  "m3er.ablation",
  "m3er.comparison",
  "m3er.mfn",
  "m3er.robust",
  "mtee.mosei",
  "mtee.iemocap",
  "mtee.zero_shot_mosei",
  "mtee.zero_shot_iemocap",
  "mtee.few_shot_mosei",
  "mtee.ablation_mosei",
  "baselines.ef_lstm_mosei",
  "baselines.ef_lstm_iemocap",
  "baselines.lf_lstm_mosei",
  "baselines.lf_lstm_iemocap",
)
CASES = [
  (name, variant)
  for name in MODULES
  for variant in importlib.import_module(f"configs.{name}").VARIANTS
]


def load(name, variant):
  return importlib.import_module(f"configs.{name}").get_config(variant)


@pytest.mark.parametrize(
  ("name", "variant"),
  [
    # Auto-encoders take seconds to trace; `dae_mmd_test` has Table 3's sizes.
    pytest.param(
      *case,
      marks=pytest.mark.long
      if case[0].startswith("dae_mmd") and case[1] != "smoke"
      else (),
    )
    for case in CASES
  ],
)
def test_a_config_is_locked_complete_and_traced(name, variant):
  config = load(name, variant)
  assert config.is_locked
  shared = load("quickstart", "full")
  for key, value in shared.items():
    if key in ("model", "system"):
      continue
    assert key in config
    if hasattr(value, "keys"):
      assert config[key].keys() == value.keys(), key
  validate.make_rules(config)
  validate.check_positive(config)
  system = build.build_system(config)
  table, emotions = benchmark.random_table(config)
  vectors = jax.numpy.asarray(emotions)
  batch = tables.take(table, np.zeros(2, np.int32))
  shapes = jax.eval_shape(system.init, jax.random.key(0), batch, vectors)
  assert len(jax.tree.leaves(shapes)) > 4


# The others' programs differ in little.
_SHORT = ("dae_mmd.semi",)


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=() if name in _SHORT else pytest.mark.long)
    for name in MODULES
    if name != "quickstart"
  ],
)
def test_a_smoke_config_takes_two_finite_steps(name):
  outcome = benchmark.benchmark(load(name, "smoke"), runs=2, dispatches=1)
  assert outcome["steps_per_dispatch"] == 2
  assert outcome["flops_per_step"] > 0


def test_table_3():
  mosei, iemocap = load("mtee.mosei", "full"), load("mtee.iemocap", "full")
  readme = load("mtee.mosei", "readme")
  for config, batch, rate, clip in (
    (mosei, 512, 1e-4, 10.0),
    (iemocap, 32, 1e-3, 1.0),
    (readme, 64, 1e-3, 1.0),
  ):
    assert config.training.batch_size == batch
    assert config.optimizer.learning_rate == rate
    assert config.optimizer.clip_norm == clip
    assert config.model.layers == 2
    assert config.model.dropout == 0.15
    assert config.model.hidden.to_dict() == {
      "lexical": 300,
      "acoustic": 200,
      "visual": 100,
    }


def test_an_unknown_variant_and_a_misspelt_key_raise():
  with pytest.raises(ValueError, match="expected one of full, readme, smoke"):
    load("mtee.mosei", "fast")
  with pytest.raises((AttributeError, KeyError), match="learning_rat"):
    load("mtee.mosei", "full").optimizer.learning_rat = 1.0
