"""Linear baselines as rows of a paper's table."""

import importlib.util

import pytest
import rich.console

from configs.baselines import linear as linear_config
from data_prep.sources import synthetic
from mmer_jax.evaluation import baseline_rows, published
from mmer_jax.linear import experiment as linear
from mmer_jax.reporting import run_table, tables
from tests import word_shards

NAMES = (
  "Majority",
  "Linear, TF-IDF",
  "Linear, functionals",
  "Linear, TF-IDF and functionals",
)


@pytest.fixture(name="shards", scope="module")
def fixture_shards(tmp_path_factory):
  folder = tmp_path_factory.mktemp("rows") / "words"
  return word_shards.converted(synthetic.build("words", 0, 120), folder)


def config_of(shards, **changes):
  """A config whose program costs nothing here: a baseline itself."""
  config = linear_config.get_config("functionals").unlock()
  config.data.dir = str(shards)
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in changes.items()}
  )
  return config.lock()


def table_of(config, *columns, **row):
  section = published.Section(
    "all",
    columns or (published.of_all("UA", "unweighted_accuracy"),),
    (published.Row("ours", "program", **row),),
    against="ours",
  )
  return published.Table("t", "n.", {"program": config}, (section,))


def test_a_table_has_them_on_its_own_folds_beside_its_systems(
  shards, tmp_path, monkeypatch
):
  few = [name for name in baseline_rows._ROWS if name != "tfidf_functionals"]
  monkeypatch.setattr(
    baseline_rows, "_ROWS", {name: baseline_rows._ROWS[name] for name in few}
  )
  config = config_of(
    shards,
    protocol__split="kfold",
    protocol__k=3,
    protocol__allow_speaker_overlap=True,
  )
  forward = published.Column("stage", lambda run: run["stages"][0]["x"])
  table = baseline_rows.add(
    table_of(
      config, published.of_all("UA", "unweighted_accuracy"), forward
    )._replace(sections=table_of(config).sections)
  )
  content = run_table.run_table(
    table, tmp_path, split="test", console=rich.console.Console(quiet=True)
  )
  (section,) = content["sections"]
  rows = {row["name"]: row for row in section["rows"]}
  assert tuple(rows) == ("ours", *NAMES[:3])
  assert rows["ours"]["ours"][0]["n"] == 3
  # The same features, folds and seeds: no difference, and nothing to test.
  same = rows["Linear, functionals"]["difference"][0]
  assert same["n"] == 3 and same["mean"] == 0.0 and same["p"] is None
  majority = rows["Majority"]["difference"][0]
  assert majority["mean"] < 0 and 0 < majority["p"] <= majority["p_holm"]
  tested = [row for row in rows.values() if "difference" in row]
  defined = [
    row for row in tested if row["difference"][0]["p_holm"] is not None
  ]
  assert section["comparisons"] == len(defined) < len(tested)
  page = tables.markdown(content)
  assert f"p-values for {len(defined)} comparisons" in page
  assert "word for word in the training rows" in page
  assert "3 folds and then their runs" in page


def test_a_column_of_what_they_do_not_have_is_empty():
  stages = published.Column("lost", lambda run: run["stages"][0]["x"])
  guarded = baseline_rows._or_nothing(stages)
  assert guarded.value({"setting": {}}) is None
  assert guarded.value({"setting": {}, "stages": [{"x": 3}]}) == 3
  with pytest.raises(KeyError):
    guarded.value({"setting": {}, "stages": [{}]})


def test_folds_and_metrics_are_the_systems_and_the_rest_is_linear(shards):
  config = config_of(
    shards,
    system="lf_lstm",
    seeds=(3, 4),
    sweep__learning_rate=(0.1, 0.2),
    repair__inference="check",
    protocol__split="random",
    training__select="f1",
  )
  made = baseline_rows.add(table_of(config)).programs
  assert list(made) == [
    "program",
    "baseline_majority",
    "baseline_tfidf",
    "baseline_functionals",
    "baseline_tfidf_functionals",
  ]
  both = made["baseline_tfidf_functionals"]
  assert both.protocol == config.protocol and both.seeds == (3, 4)
  assert both.training == config.training
  linear._check(both)
  assert linear.read_settings(both).features == ("tfidf", "functionals")
  shipped = linear_config.get_config("both").model.to_dict()
  assert both.model.to_dict() == shipped


@pytest.mark.parametrize(
  ("changes", "row"),
  [
    ({"noise__kind": "gaussian"}, {}),
    ({}, {"input_transform": {"noise.kind": "gaussian"}}),
    ({"protocol__unseen": (("sad",),)}, {}),
    ({"protocol__decision": "regression"}, {}),
  ],
)
def test_what_they_are_not_fitted_to_has_none(shards, changes, row):
  table = table_of(config_of(shards, **changes), **row)
  assert baseline_rows.add(table) == table


def test_without_words_or_scikit_learn_a_note_says_so(
  shards, tmp_path, monkeypatch
):
  silent = baseline_rows.add(
    table_of(config_of(shards, data__modalities=("acoustic",)))
  )
  names = [row.name for row in silent.sections[0].rows]
  assert names == ["ours", "Majority", "Linear, functionals"]
  assert "the shards hold none" in silent.notes
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  table = table_of(config_of(shards))
  bare = baseline_rows.add(table)
  assert bare.sections == table.sections and "scikit-learn" in bare.notes
