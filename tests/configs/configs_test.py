"""Every config loads, is complete, and its system can be traced."""

import importlib
import pathlib

import jax
import numpy as np
import pytest

from mmer_jax.data import tables
from mmer_jax.experiment import build, fit, ranges, validate
from mmer_jax.linear import experiment as linear
from mmer_jax.reporting import run_table
from mmer_jax.systems import registry
from mmer_jax.training import benchmark, random_inputs

ROOT = pathlib.Path(__file__).parents[2]

MODULES = (
  "quickstart",
  "own.dae_mmd",
  "own.lf_lstm",
  "own.m3er",
  "own.mtee",
  "own.multiview",
  "dae_mmd.fully",
  "dae_mmd.semi",
  "dae_mmd.ablation",
  "dae_mmd.meld",
  "multiview.multimodal",
  "multiview.taught",
  "m3er.ablation",
  "m3er.comparison",
  "m3er.faults",
  "m3er.mfn",
  "m3er.noise",
  "m3er.robust",
  "mtee.mosei",
  "mtee.iemocap",
  "mtee.zero_shot_mosei",
  "mtee.zero_shot_iemocap",
  "mtee.few_shot_mosei",
  "mtee.ablation_mosei",
  "mtee.comparison_mosei",
  "mtee.comparison_iemocap",
  "baselines.ef_lstm_mosei",
  "baselines.ef_lstm_iemocap",
  "baselines.lf_lstm_mosei",
  "baselines.linear",
  "baselines.lf_lstm_iemocap",
  "baselines.graph_mfn_mosei",
  "baselines.graph_mfn_iemocap",
  "baselines.mtl_mosei",
  "baselines.mtl_iemocap",
  "baselines.mult_mosei",
  "baselines.mult_iemocap",
)
CASES = [
  (name, variant)
  for name in MODULES
  for variant in importlib.import_module(f"configs.{name}").VARIANTS
]


def load(name, variant):
  return importlib.import_module(f"configs.{name}").get_config(variant)


def table(name, variant, **changes):
  """The table of the command line, with overrides."""
  config = load(name, variant).copy_and_resolve_references().unlock()
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in changes.items()}
  )
  path = ROOT / "configs" / f"{name.replace('.', '/')}.py"
  return run_table.load(path, config.lock(), variant)


def test_every_config_file_is_tested():
  files = {
    ".".join(path.relative_to(ROOT / "configs").with_suffix("").parts)
    for path in (ROOT / "configs").rglob("*.py")
    if path.stem not in ("common", "__init__")
  }
  assert files == set(MODULES)


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
  fit.fit_to_corpus(config)
  assert not fit.is_open(config)
  assert config.is_locked
  validate.make_rules(config)
  ranges.check_ranges(config)
  if config.system in registry.FITTED:
    assert linear.read_settings(config)
    return
  system = build.build_system(config)
  table, emotions = random_inputs.random_table(config)
  vectors = jax.numpy.asarray(emotions)
  batch = tables.take(table, np.zeros(2, np.int32))
  shapes = jax.eval_shape(system.init, jax.random.key(0), batch, vectors)
  assert len(jax.tree.leaves(shapes)) > 4


@pytest.mark.long
@pytest.mark.parametrize(
  "name",
  [name for name in MODULES if name not in ("quickstart", "baselines.linear")],
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


@pytest.mark.parametrize("variant", ["full", "utterances", "synthetic"])
def test_a_batch_of_two_shrinks_no_model_of_the_robust_table(variant):
  """The smoke variant has batches of two, which say nothing of its size."""
  programs = table("m3er.robust", variant).programs
  small = table("m3er.robust", variant, training__batch_size=2).programs
  assert small["dae_mmd"].training.batch_size == 2
  assert small["dae_mmd"].model == programs["dae_mmd"].model
  smoke = table("m3er.robust", "smoke", training__batch_size=64).programs
  assert set(smoke["dae_mmd"].model.dense.values()) == {(4, 3)}


def test_the_papers_numbers_follow_the_variant_and_not_an_override():
  """As many emotions as CMU-MOSEI has do not make a corpus CMU-MOSEI."""
  for variant, overall in (("utterances", (82.4, 82.7)), ("youtube", ())):
    for emotions in (3, 4, 6):
      content = table("m3er.ablation", variant, benchmark__emotions=emotions)
      section = content.sections[0]
      assert section.columns[0].heading == "F1"
      assert section.rows[1].paper[:2] == overall
  content = table("m3er.ablation", "full", benchmark__emotions=7)
  assert content.sections[0].columns[0].heading == "anger F1"
  assert content.sections[0].rows[1].paper[:2] == (91.9, 86.3)
  pair = ("lexical", "acoustic")
  content = table("m3er.comparison", "full", data__modalities=pair)
  assert content.sections[0].rows[-1].paper[:2] == (90.2, 89.0)
