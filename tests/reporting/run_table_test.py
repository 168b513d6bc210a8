"""One command for a whole table, and the figures beside it."""

import json
import pathlib

import numpy as np
import pytest
import rich.console

from configs.mtee import ablation_mosei
from mmer_jax.base import errors, workdir
from mmer_jax.reporting import run_table
from tests import toy_model

ROOT = pathlib.Path(__file__).parents[2]


def test_the_whole_table_comes_of_one_command(filled):
  content = json.loads((filled / "table.json").read_text())
  (section,) = content["sections"]
  assert [row["name"] for row in section["rows"]] == [
    "T+A+V",
    "T+A",
    "T+V",
    "A+V",
    "Only T",
    "Only A",
    "Only V",
  ]
  result = workdir.read_json(filled / "mtee" / "results" / "test.json")
  for row, run_ in zip(section["rows"], result["runs"], strict=True):
    np.testing.assert_allclose(
      row["ours"][2]["mean"], run_["per_emotion"]["fear"]["weighted_accuracy"]
    )
  assert section["rows"][3]["paper"][2] == 0.655
  page = (filled / "table.md").read_text()
  assert "# Dai et al. 2020, Table 6" in page and "[65.5]" in page
  assert content["programs"]["mtee"]["runs"] == 7


def test_the_same_command_again_trains_nothing(filled, mosei_shards):
  saved = filled / "mtee" / "checkpoints"
  before = saved.stat().st_mtime_ns, (filled / "table.json").read_text()
  config = ablation_mosei.get_config("synthetic").unlock()
  config.data.dir = str(mosei_shards)
  config.seeds = (0,)
  config.training.epochs = 2
  config.training.batch_size = 32
  config.model.layers = 1
  config.model.hidden.update(acoustic=6, visual=5)
  config.mesh.data = 1
  content = run_table.run_table(
    ablation_mosei.get_table(config),
    filled,
    split="test",
    console=rich.console.Console(quiet=True),
  )
  assert workdir.finite(content) == json.loads(before[1])
  assert saved.stat().st_mtime_ns == before[0]


def test_a_config_without_a_table_is_named():
  with pytest.raises(errors.UserError, match="defines no get_table"):
    run_table.load(ROOT / "configs" / "mtee" / "mosei.py", None)


def test_the_variant_of_the_command_line_reaches_the_table(tmp_path):
  file = tmp_path / "toy.py"
  file.write_text(
    "from configs.mtee import ablation_mosei\n"
    "from mmer_jax.base import errors\n"
    "get_config = ablation_mosei.get_config\n"
    "def get_table(config, variant='full'):\n"
    "  raise errors.UserError(f'rows of {variant}')\n"
  )
  for variant, rows in (("", "full"), (":smoke", "smoke")):
    done = toy_model.verb(
      "mmer_jax.table", f"--config={file}{variant}", f"--workdir={tmp_path}"
    )
    assert done.returncode == 2 and f"rows of {rows}" in done.stderr


def test_a_table_without_any_number_is_told_from_one_with_some():
  programs = {"a": {"runs": 2}, "b": {"runs": 1}}
  for failed, every in (
    ({}, False),
    ({"a": [0, 1]}, False),
    ({"a": [0], "b": [0]}, False),
    ({"a": [0, 1], "b": [0]}, True),
  ):
    content = {"programs": programs, "failed": failed}
    assert run_table.every_run_failed(content) == every
