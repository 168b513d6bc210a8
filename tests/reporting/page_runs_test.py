"""The report's table of runs, and the epochs that were selected."""

import json

import pytest

from mmer_jax.base import workdir
from mmer_jax.evaluation import metric_names, restore
from mmer_jax.experiment import build
from mmer_jax.reporting import page_runs
from mmer_jax.training import session
from tests.reporting import made_up


def by_column(table):
  """The texts of each row, by the label of their column."""
  labels = [column["label"] for column in table["columns"]]
  return [
    dict(
      zip(
        labels,
        [row["name"]]
        + [c if isinstance(c, str) else c["text"] for c in row["cells"]],
        strict=True,
      )
    )
    for row in table["rows"]
  ]


def test_a_failed_run_is_named_without_numbers():
  table = page_runs.run_table(
    made_up.result(failed=2), "f1", dict.fromkeys(range(4), 7)
  )
  rows = by_column(table)
  assert [row["kind"] for row in table["rows"]] == ["", "", "failed", ""]
  labels = [metric_names.METRICS[n].label for n in metric_names.SHOWN]
  assert {rows[2][label] for label in (*labels, "epoch")} == {"-"}
  assert rows[2]["outcome"] == "failed: its loss is not finite at step 3"
  assert rows[1]["outcome"] == "finished" and rows[1]["epoch"] == "7"
  assert "-" not in {rows[1][label] for label in labels}
  # The score that epochs were selected by stands before the others.
  heading = [column["label"] for column in table["columns"]]
  assert heading[:6] == ["run", "outcome", "fold", "seed", "epoch", "F1"]


def test_the_selected_epochs_are_those_of_the_checkpoints(filled):
  """Seven runs of a workdir that selects by a metric; others by hand, below."""
  folder = filled / "mtee"
  experiment = build.build_experiment(workdir.read_config(folder))
  restored = restore.restore(
    folder, session.open_session(experiment), len(experiment.corpus.emotions)
  )
  select, epochs = page_runs.selected_epochs(folder)
  assert select == experiment.config.training.select
  best = restored.progress.best_epoch.tolist()
  assert epochs == dict(enumerate(best)) and len(set(best)) > 1


def line(run, epoch, accuracy, loss=1.0, stage="supervised"):
  return made_up.metrics_line(
    run=run,
    epoch=epoch,
    stage_name=stage,
    validation_accuracy=accuracy,
    validation_loss=loss,
  )


@pytest.mark.parametrize(
  ("select", "expected"),
  # Ties go to the first epoch; an epoch without a finite loss to none.
  [("accuracy", {0: 2, 1: 1}), ("loss", {0: 4, 1: 1}), ("last", {0: 5, 1: 2})],
)
def test_the_first_of_the_best_epochs_is_selected(
  trained, tmp_path, select, expected
):
  config = workdir.read_json(trained / "config.json")
  config["training"]["select"] = select
  workdir.write_json(tmp_path / "config.json", config)
  rows = [
    *(line(0, 1, 0.5, 3.0), line(0, 2, 0.7, 2.0), line(0, 3, 0.9, None)),
    *(line(0, 4, 0.7, 1.0), line(0, 5, 0.6, 1.5)),
    *(line(1, 1, 0.4, 1.0), line(1, 2, None, 2.0)),
    # Of another stage than the last.
    line(2, 1, 0.9, stage="earlier"),
  ]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (tmp_path / "metrics.jsonl").write_text(text)
  assert page_runs.selected_epochs(tmp_path) == (select, expected)
