"""The tables that set MTEE beside other systems."""

import numpy as np
import pytest

from configs.mtee import comparison_iemocap, comparison_mosei
from mmer_jax.base import errors
from mmer_jax.systems import registry

MODULES = (comparison_mosei, comparison_iemocap)
SYSTEMS = {
  comparison_mosei: {"ef_lstm", "lf_lstm", "graph_mfn", "mtl", "mtee"},
  comparison_iemocap: {"ef_lstm", "lf_lstm", "mult", "mtee"},
}


@pytest.mark.parametrize("module", MODULES)
def test_every_row_has_a_number_per_column_and_its_system(module):
  for variant in module.VARIANTS:
    table = module.get_table(module.get_config(variant), variant)
    assert table.programs.keys() == SYSTEMS[module]
    for name, program in table.programs.items():
      assert program.system == name
      assert registry.SYSTEMS[name](program).stages
    (section,) = table.sections
    assert section.against in {row.name for row in section.rows}
    for row in section.rows:
      assert len(row.paper) == len(section.columns), row.name
      assert not row.program or row.program in table.programs


def test_the_averages_of_table_1_are_those_of_its_emotions():
  for name, _, numbers in comparison_mosei.ROWS:
    for metric in (0, 1):
      *each, average = numbers[metric::2]
      if average is not None:
        # MTL's 62.88 is printed as 62.8.
        assert abs(np.mean(each) - average) < 0.09, name


def test_an_override_reaches_every_program():
  config = comparison_iemocap.get_config("full").copy_and_resolve_references()
  with config.unlocked():
    config.training.epochs = 3
    config.optimizer.learning_rate = 0.5
    config.data.dir = "shards"
  programs = comparison_iemocap.get_table(config, "full").programs
  for program in programs.values():
    assert program.training.epochs == 3
    assert program.optimizer.learning_rate == 0.5
    assert program.data.dir == "shards"
    assert program.is_locked
  # What is not overridden is the paper's of each.
  assert programs["mult"].optimizer.clip_norm == 0.8
  assert programs["lf_lstm"].optimizer.clip_norm == 1.0


def test_an_unknown_variant_is_refused():
  with pytest.raises(errors.UserError, match="full, synthetic, smoke"):
    comparison_mosei.get_config("utterances")
