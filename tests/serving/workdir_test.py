"""A workdir as a function: which runs, thresholds, the same numbers."""

import shutil

import numpy as np
import pytest

import mmer_jax
from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import evaluate, restore
from mmer_jax.evaluation import scores as scores_lib
from mmer_jax.experiment import build
from mmer_jax.serving import export
from mmer_jax.serving import workdir as workdir_lib
from mmer_jax.training import session as session_lib
from tests import toy_model, toy_workdir


def logits_of_evaluation(trained, split, run_):
  """Ids and probabilities of a run as `evaluate` has them."""
  experiment = build.build_experiment(workdir.read_config(trained))
  session = session_lib.open_session(experiment)
  restored = restore.restore(trained, session, len(experiment.corpus.emotions))
  logits = scores_lib.predict_splits(session, restored, (split,), (), 0)[-1][
    split
  ]
  rows = getattr(experiment.records[run_].fold, split)
  found = logits[run_][: len(rows)].astype(np.float64)
  probs = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
  return experiment.corpus.columns["id"][rows], probs


def test_an_export_predicts_what_evaluate_scores(trained, model, examples):
  """Raw features through the export, and shards through the program."""
  (member,) = model.spec["members"]
  ids, probs = logits_of_evaluation(trained, "test", member["run"])
  by_id = {example["id"]: example for example in examples}
  found = model.predict(toy_model.streams([by_id[name] for name in ids]))
  np.testing.assert_allclose(found.probs, probs, atol=1e-6)
  assert np.ptp(probs, axis=0).max() > 1e-3


def test_the_run_is_chosen_by_validation_and_can_be_named():
  runs = [
    {
      "run": number,
      "setting": {"learning_rate": rate},
      "selection": value,
      "failed_step": failed,
      "unseen": unseen,
    }
    for number, (rate, value, failed, unseen) in enumerate(
      [
        (1.0, 0.9, None, []),
        (2.0, 0.5, None, []),
        (2.0, 0.6, None, []),
        (2.0, 0.8, 3, []),
      ]
    )
  ]
  setting = {"learning_rate": 2.0}
  result = {"runs": runs, "setting": setting, "select": "auc"}
  choose = workdir_lib.choose_runs
  assert choose(result, run=None, ensemble=False) == [2]
  assert choose(result, run=None, ensemble=True) == [1, 2]
  assert choose(result, run=0, ensemble=False) == [0]
  with pytest.raises(errors.UserError, match="--run is 3, expected .* 0, 1, 2"):
    choose(result, run=3, ensemble=False)
  with pytest.raises(errors.UserError, match="leave one out"):
    choose(result, run=1, ensemble=True)
  runs[1]["unseen"] = ["sad"]
  with pytest.raises(errors.UserError, match="left out different ones"):
    choose(result, run=None, ensemble=True)


def test_thresholds_of_validation_decide_as_evaluate_does(
  trained, examples, tmp_path
):
  with pytest.raises(errors.UserError, match="is of binary decisions"):
    workdir_lib.from_workdir(trained, thresholds="validation")
  # The same parameters, each output judged alone.
  folder = tmp_path / "binary"
  shutil.copytree(trained, folder)
  config = workdir.read_json(folder / "config.json")
  config["protocol"] |= {"decision": "binary", "threshold": 0.4}
  toy_workdir.write_config(folder, config)
  request = evaluate.Request(split="test", thresholds="validation")
  result = evaluate.evaluate_workdir(folder, request)
  scored = result["runs"][1]["per_emotion"]
  spec = export.export(
    folder, tmp_path / "e", platforms=["cpu"], run=1, thresholds="validation"
  )
  model = mmer_jax.load(tmp_path / "e")
  rows = build.build_experiment(workdir.read_config(folder)).records[1]
  test = [examples[row] for row in rows.fold.test]
  vector = np.asarray(spec["emotions"][0]["vector"])
  names = {**dict.fromkeys(model.emotions), "new": vector}
  found = model.predict(toy_model.streams(test), emotions=names)
  for column, name in enumerate(model.emotions):
    chosen = np.array([name in each for each in found.chosen])
    truth = np.array([example["labels"][column] > 0 for example in test])
    np.testing.assert_allclose(
      (chosen[truth].mean() + 1 - chosen[~truth].mean()) / 2,
      scored[name]["weighted_accuracy"],
    )
  # A new emotion has the one that is best for all together.
  new = spec["thresholds"]["new_emotion"]
  likely = {e["threshold"] for e in spec["emotions"]} | {new}
  assert len(likely) == 5 and not likely & {0.4, 0.5}
  assert ["new" in each for each in found.chosen] == list(
    found.probs[:, -1] > np.float32(new)
  )
  page = " ".join((tmp_path / "e" / "README.md").read_text().split())
  assert f"a new one {new:.4g}. They are the best weighted" in page
  assert "The numbers above are of these" in page
  fixed = workdir_lib.from_workdir(folder).spec
  assert fixed["thresholds"] == {"chosen": "fixed", "new_emotion": 0.4}
  assert {e["threshold"] for e in fixed["emotions"]} == {0.4}
