"""The report's tables of one workdir."""

from mmer_jax.base import workdir
from mmer_jax.evaluation import metric_names
from mmer_jax.reporting import page_runs, page_tables
from tests.reporting import made_up


def write(folder, name, content):
  workdir.write_json(folder / "results" / f"{name}.json", content)


def seen_alone(content, modality, **protocol):
  changed = {**content["protocol"], "modalities": [modality], **protocol}
  return {**content, "protocol": changed}


def test_every_row_has_a_cell_for_every_column(tmp_path):
  content = made_up.result(sweep=True)
  write(tmp_path, "test", content)
  write(tmp_path, "test-acoustic", seen_alone(content, "acoustic"))
  for table in (
    page_runs.run_table(content, "auc", {0: 2}),
    page_tables.settings_table(content),
    page_tables.emotion_table(content),
    page_tables.modality_table(tmp_path, content),
  ):
    for row in table["rows"]:
      assert len(row["cells"]) + 1 == len(table["columns"]), table["caption"]
    for column in table["columns"]:
      # Every metric is explained.
      labels = [metric.label for metric in metric_names.METRICS.values()]
      assert column["title"] or column["label"] not in labels


def test_modalities_are_compared_where_nothing_else_differs(tmp_path):
  content = made_up.result()
  write(tmp_path, "test", content)
  write(tmp_path, "test-acoustic", seen_alone(content, "acoustic"))
  noisy = {"noise": {"kind": "gaussian"}}
  write(tmp_path, "test-noise", seen_alone(content, "lexical", **noisy))
  write(tmp_path, "test-other", {**content, "split": "validation"})
  table = page_tables.modality_table(tmp_path, content)
  assert [row["name"] for row in table["rows"]] == ["acoustic", "lexical"]


def test_a_sweep_over_modalities_shows_each_with_what_it_saw(tmp_path):
  content = made_up.result(sweep=True)
  names = {0.0: "lexical+acoustic", 0.1: "acoustic"}
  for each in (*content["runs"], *content["settings"], content):
    each["setting"] = {"modalities": names[each["setting"]["learning_rate"]]}
  content["protocol"]["modalities"] = ["lexical", "acoustic"]
  content["setting"] = {"modalities": "acoustic"}
  write(tmp_path, "test", content)
  table = page_tables.modality_table(tmp_path, content)
  # The result is of the acoustic runs: no row says that they saw both.
  assert [(row["name"], row["when"]) for row in table["rows"]] == [
    ("lexical + acoustic", "in training too"),
    ("acoustic", "in training too"),
  ]
  assert page_tables.seen_modalities(content) == "acoustic"
