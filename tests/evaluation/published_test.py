"""Tables of papers: which runs a cell has, and what stands beside it."""

import importlib

import numpy as np
import pytest

from configs.dae_mmd import semi as semi_lib
from mmer_jax.base.errors import UserError
from mmer_jax.evaluation import published

TABLES = (
  "mtee.zero_shot_mosei",
  "mtee.zero_shot_iemocap",
  "mtee.few_shot_mosei",
  "mtee.ablation_mosei",
  "dae_mmd.fully",
  "dae_mmd.semi",
  "dae_mmd.meld",
  "dae_mmd.ablation",
  "multiview.multimodal",
  "multiview.taught",
  "m3er.ablation",
  "m3er.comparison",
  "m3er.faults",
  "m3er.noise",
  "m3er.robust",
)
CASES = [
  (name, variant)
  for name in TABLES
  for variant in importlib.import_module(f"configs.{name}").VARIANTS
]


def run(seed, unseen, sad, happy, before=None, setting=None):
  """A run of a result; the numbers are AUCs."""
  each = {"sad": {"auc": sad}, "happy": {"auc": happy}}
  first = before or each
  return {
    "run": 0,
    "seed": seed,
    "fold": "1",
    "setting": setting or {},
    "unseen": [unseen] if unseen else [],
    "metrics": {"auc": (sad + happy) / 2},
    "per_emotion": each,
    "stages": [
      {"stage": "supervised", "metrics": {}, "per_emotion": first},
      {"stage": "gem_1", "metrics": {}, "per_emotion": each},
    ],
    "transfer": {"backward_transfer": sad - 1},
  }


def section(rows, *columns, against=""):
  return published.Section("a section", columns, rows, against)


def means(filled, row, what="ours"):
  return [entry["mean"] for entry in filled["rows"][row][what]]


def test_a_cell_is_of_the_runs_that_define_it():
  runs = [
    run(0, "sad", 0.5, 0.9),
    run(1, "sad", 0.7, 0.8),
    run(0, "happy", 0.6, 0.4),
  ]
  filled = published.fill(
    section(
      (
        published.Row("ours", "mtee", (55.0, None, None, None, None, None)),
        published.Row("theirs", "", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)),
      ),
      published.of_unseen("a", "sad", "auc"),
      published.of_others("b", "sad", "auc"),
      published.of_emotion("c", "sad", "auc"),
      published.of_seen("d", "auc"),
      published.of_all("e", "auc"),
      published.of_all_unseen("f", "auc"),
    ),
    {"ours": runs},
  )
  np.testing.assert_allclose(
    means(filled, 0),
    [0.6, 0.85, 0.6, (0.9 + 0.8 + 0.6) / 3, 1.95 / 3, (0.5 + 0.7 + 0.4) / 3],
  )
  assert [entry["n"] for entry in filled["rows"][0]["ours"]] == [
    2,
    2,
    3,
    3,
    3,
    3,
  ]
  assert filled["rows"][0]["paper"] == [0.55] + [None] * 5
  assert filled["rows"][1]["ours"] is None
  assert filled["rows"][1]["paper"] == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]


def test_a_row_shows_a_stage_and_a_setting():
  before = {"sad": {"auc": 0.1}, "happy": {"auc": 0.3}}
  runs = [
    run(0, "sad", 0.5, 0.9, before, {"modalities": "lexical"}),
    run(0, "sad", 0.7, 0.8, before, {"modalities": "acoustic"}),
  ]
  column = published.of_unseen("a", "sad", "auc")
  lost = published.lost("lost", "auc")
  rows = (
    published.Row("L", "mtee", setting={"modalities": "lexical"}),
    published.Row("L before", "mtee", stage="supervised"),
  )
  outcome = {"runs": runs}
  filled = published.fill(
    section(rows, column, lost),
    {row.name: published.runs_of(row, outcome) for row in rows},
  )
  # Of the seen emotion, `happy`, alone.
  np.testing.assert_allclose(means(filled, 0), [0.5, 0.3 - 0.9])
  np.testing.assert_allclose(means(filled, 1), [0.1, 0.0], atol=1e-12)


def test_a_row_of_a_sweep_shows_the_setting_that_validation_chose():
  low, high = {"weight_decay": 1e-3}, {"weight_decay": 1e-2}
  column = published.of_unseen("a", "sad", "auc")
  # Validation preferred another setting for each of the programs.
  outcomes = [
    {
      "runs": [
        run(0, "sad", 0.5, 0.9, setting=low),
        run(0, "sad", 0.8, 0.9, setting=high),
      ],
      "settings": [],
      "setting": chosen,
    }
    for chosen in (low, high)
  ]
  rows = (published.Row("one", "a"), published.Row("other", "b"))
  filled = published.fill(
    section(rows, column, against="one"),
    {
      row.name: published.runs_of(row, outcome)
      for row, outcome in zip(rows, outcomes, strict=True)
    },
  )
  assert means(filled, 0) == [0.5] and means(filled, 1) == [0.8]
  np.testing.assert_allclose(means(filled, 1, "difference"), [0.3])


def test_a_sweep_that_rows_do_not_tell_apart_is_refused():
  config = semi_lib.get_config("smoke")
  with config.unlocked():
    config.sweep.unlabelled = (10, 20)
    config.sweep.learning_rate = (1e-3, 1e-2)
  table = published.Table(
    title="",
    notes="",
    programs={"semi": config},
    sections=(
      section([published.Row("10", "semi", setting={"unlabelled": 10.0})]),
    ),
  )
  with pytest.raises(UserError, match="sweep.learning_rate has 2 values, but"):
    published.check_sweeps(table)
  with config.unlocked():
    config.sweep.learning_rate = ()
  published.check_sweeps(table)


def test_a_table_of_emotions_is_not_filled_with_ratings():
  config = semi_lib.get_config("smoke")
  published.check_decisions(semi_lib.get_table(config))
  with config.unlocked():
    config.protocol.decision = "regression"
  with pytest.raises(UserError, match="columns of the table are of emotions"):
    published.check_decisions(semi_lib.get_table(config))


def test_differences_are_between_runs_of_one_seed_and_emotion():
  ours = [run(0, "sad", 0.5, 0.9), run(1, "sad", 0.7, 0.8)]
  theirs = [run(1, "sad", 0.6, 0.8), run(0, "sad", 0.1, 0.9)]
  filled = published.fill(
    section(
      (published.Row("ours", "a"), published.Row("theirs", "b")),
      published.of_unseen("a", "sad", "auc"),
      published.transfer("back", "backward_transfer"),
      against="theirs",
    ),
    {"ours": ours, "theirs": theirs},
  )
  np.testing.assert_allclose(means(filled, 0, "difference"), [0.25, 0.25])
  entry = filled["rows"][0]["difference"][0]
  # Of 0.4 and 0.1, not of all four numbers.
  np.testing.assert_allclose(entry["std"], np.std([0.4, 0.1], ddof=1))
  assert "difference" not in filled["rows"][1]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_rows_of_a_config_fit_its_columns_and_programs(name, variant):
  module = importlib.import_module(f"configs.{name}")
  table = module.get_table(module.get_config(variant))
  for each in table.sections:
    names = [row.name for row in each.rows]
    assert len(set(names)) == len(names)
    assert not each.against or each.against in names
    for row in each.rows:
      assert len(row.paper) in (0, len(each.columns)), row.name
      assert not row.program or row.program in table.programs
  assert set(table.figures) <= set(table.programs)
  order = list(table.programs)
  for method, first in table.begin_with.items():
    assert order.index(first) < order.index(method)
    assert table.programs[first].few_shot.method == "none"
    assert table.programs[method].few_shot.method != "none"
  for config in table.programs.values():
    assert config.is_locked
  used = {row.program for each in table.sections for row in each.rows}
  assert set(table.programs) <= used


def test_the_printed_numbers_stand_where_the_paper_has_them():
  from configs.mtee import few_shot_mosei, zero_shot_iemocap

  table = few_shot_mosei.get_table(few_shot_mosei.get_config())
  unseen, others, *_ = table.sections
  assert [row.name for row in unseen.rows] == [
    "EF-LSTM",
    "LF-LSTM",
    "Ours",
    "FT (Ours)",
    "CL (Ours)",
    "JT (Ours)",
  ]
  fear = [column.heading for column in unseen.columns].index(
    "fear (unseen), AUC"
  )
  assert [row.paper[fear] for row in unseen.rows] == [
    42.3,
    47.3,
    40.6,
    43.1,
    42.7,
    41.7,
  ]
  assert [row.paper[-3] for row in others.rows] == [71.4, 71.4, 71.5, 71.5]

  table = zero_shot_iemocap.get_table(
    zero_shot_iemocap.get_config("utterances")
  )
  rows = {row.name: row for row in table.sections[0].rows}
  assert list(rows) == [
    "EF-LSTM",
    "LF-LSTM",
    "MulT",
    "Ours (TA)",
    "Ours (T)",
    "Ours (A)",
  ]
  assert rows["Ours (A)"].modalities == ("acoustic",)
  assert rows["Ours (TA)"].paper[:2] == (79.9, 52.7)
  assert rows["Ours (TA)"].paper[5:7] == (79.3, 14.4)


def test_what_two_tables_of_dae_mmd_share_is_one_config():
  """So that a workdir of one serves the other."""
  tables = {
    name: module.get_table(module.get_config("utterances")).programs
    for name in ("fully", "semi", "ablation")
    for module in [importlib.import_module(f"configs.dae_mmd.{name}")]
  }
  both = tables["ablation"]["both"]
  assert both.to_dict() == tables["fully"]["fully_a_l"].to_dict()
  assert both.to_dict() == tables["semi"]["fully_a_l"].to_dict()
  semi = tables["ablation"]["semi_both"]
  assert semi.to_dict() == tables["semi"]["semi_a_l"].to_dict()
  assert semi.to_dict() != both.to_dict()
