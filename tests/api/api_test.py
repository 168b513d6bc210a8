"""Training, results and models from Python."""

import concurrent.futures
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rich.console

import mmer_jax
from mmer_jax.api import table
from mmer_jax.api import train as train_lib
from mmer_jax.base import errors, workdir
from tests import toy_model

SMALL = {
  "training.epochs": 2,
  "protocol.folds": [1, 2],
  "model.layers": 1,
  "model.hidden.acoustic": 4,
  "model.hidden.visual": 3,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return toy_model.shards_once(tmp_path_factory)


LOGGED = []


def keep_rows(config, folder):
  del config, folder
  return LOGGED.append


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
  folder = tmp_path_factory.mktemp("api") / "w"
  # In a thread, as notebooks of some hosts do: no signal may be taken over.
  with concurrent.futures.ThreadPoolExecutor() as pool:
    return pool.submit(
      train_lib.train,
      "quickstart",
      data=shards,
      workdir=folder,
      seeds=[3],
      progress=False,
      log_to=keep_rows,
      **SMALL,
    ).result()


def test_a_training_is_that_of_the_config_with_its_overrides(run, shards):
  assert run.config.seeds == (3,)
  assert run.config.training.epochs == 2
  assert run.config.protocol.folds == (1, 2)
  described = workdir.read_json(run.workdir / "run.json")
  assert [each["seed"] for each in described["runs"]] == [3, 3]
  assert described["dataset"]["fingerprint"][:12] in repr(run)
  assert "mtee" in repr(run) and "2 runs" in repr(run)
  again = mmer_jax.open_run(run.workdir)
  assert again.config.to_dict() == run.config.to_dict()


def test_a_summary_is_a_table_of_runs_for_pandas_text_and_notebooks(run):
  results = run.results("test")
  on_disk = json.loads((run.workdir / "results" / "test.json").read_text())
  summary = results.summary
  frame = summary.to_pandas()
  assert len(frame) == 2 and list(frame.run) == [0, 1]
  for row, each in zip(frame.auc, on_disk["runs"], strict=True):
    assert row == each["metrics"]["auc"]
  np.testing.assert_allclose(
    frame.auc.mean(), on_disk["summary"]["auc"]["mean"]
  )
  mean = f"{100 * on_disk['summary']['auc']['mean']:.1f}"
  (line,) = [each for each in summary.markdown().split("\n") if "| auc" in each]
  assert mean in line
  assert mean in repr(results) and mean in results._repr_html_()
  console = rich.console.Console(width=120, record=True, quiet=False)
  with console.capture() as printed:
    console.print(results)
  assert mean in printed.get()
  emotions = results.per_emotion.to_pandas()
  assert len(emotions) == 2 * len(on_disk["runs"][0]["per_emotion"])
  assert results.failed == []


def test_a_cell_is_text_and_not_markup():
  shown = table.Table("<a>", ["x"], [["<script>"]], [])._repr_html_()
  assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_the_history_has_a_row_per_run_and_epoch(run):
  frame = run.history.to_pandas()
  assert sorted(zip(frame.run, frame.epoch, strict=True)) == [
    (0, 1),
    (0, 2),
    (1, 1),
    (1, 2),
  ]
  assert np.isfinite(frame.train_loss).all()
  assert frame.to_dict("records") == LOGGED
  assert len(run.history) == 2


def test_the_model_is_that_of_load_and_of_the_export(run, tmp_path):
  spec = run.model.spec["modalities"]
  rng = np.random.default_rng(0)
  features = {
    name: np.asarray(entry["mean"] if entry["mean"] else 0)
    + rng.normal(size=(5, entry["dim"])).astype(np.float32)
    for name, entry in spec.items()
  }
  expected = mmer_jax.load(run.workdir).predict(features, check_scale=False)
  got = run.predict(features, check_scale=False)
  np.testing.assert_array_equal(got.probs, expected.probs)
  exported = run.export(tmp_path / "export", platforms=["cpu"])
  np.testing.assert_allclose(
    exported.predict(features, check_scale=False).probs,
    expected.probs,
    atol=1e-6,
  )
  for model in (exported, run.model):
    assert repr(model).startswith("Model(mtee: ")
    assert all(emotion in repr(model) for emotion in model.emotions)


def test_figures_and_a_report_are_written(run, tmp_path):
  assert all(path.is_file() for path in run.figures())
  assert run.report(tmp_path / "report").name == "index.html"


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"optim.lr": 1e-3}, "config.optim.lr .*config.optimizer.learning_rate"),
    ({"training.epochs": "many"}, "config.training.epochs cannot be 'many'"),
    ({"training.epochs": -1}, "epochs"),
    ({"config": "mtee/mosei:x"}, "variant 'x'"),
    ({"config": "mosei"}, "did you mean 'mtee/mosei'"),
    ({"data": "nowhere"}, "nowhere"),
  ],
)
def test_a_mistake_is_an_exception_of_one_line_and_writes_nothing(
  shards, tmp_path, changes, message
):
  options = {"config": "quickstart", "data": shards, **changes}
  with pytest.raises(errors.UserError, match=message) as raised:
    train_lib.train(
      options.pop("config"),
      workdir=tmp_path / "w",
      progress=False,
      **options,
    )
  assert "\n" not in str(raised.value)
  assert not (tmp_path / "w").exists()


def test_a_config_of_ones_own_is_copied():
  config = train_lib.read_config("quickstart")
  copy = train_lib.read_config(config)
  train_lib.override(copy, {"training.epochs": 99})
  assert config.training.epochs != 99 == copy.training.epochs
  with pytest.raises(errors.UserError, match="holds no|not a workdir|run.json"):
    mmer_jax.open_run(pathlib.Path(__file__).parent)


def test_the_face_has_a_function_to_train_with():
  """Where no command is imported: one of them is the module of that name."""
  code = (
    "import sys, types, mmer_jax\n"
    "assert isinstance(mmer_jax.train, types.FunctionType)\n"
    "assert 'jax' not in sys.modules\n"
    "try: mmer_jax.train('mosei', data='d', workdir='w')\n"
    "except ValueError as error: print(error)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert "did you mean 'mtee/mosei'" in done.stdout
