"""What a workdir is of, and whether a call goes on with it."""

import numpy as np
import pytest

from configs import quickstart
from mmer_jax.base import errors, workdir
from mmer_jax.data import partition
from mmer_jax.experiment import provenance, records


def test_a_folder_of_something_else_is_no_workdir(tmp_path):
  config = quickstart.get_config("smoke")
  (tmp_path / "thesis.tex").write_text("")
  with pytest.raises(errors.UserError, match=r"holds thesis.tex and no config"):
    provenance.check_workdir(config, tmp_path)
  with pytest.raises(errors.UserError, match=r"is a file, expected a folder"):
    provenance.check_workdir(config, tmp_path / "thesis.tex")


def test_a_new_an_empty_and_a_begun_folder_are(tmp_path):
  config = quickstart.get_config("smoke")
  provenance.check_workdir(config, tmp_path / "new")
  provenance.check_workdir(config, tmp_path)
  (tmp_path / ".config.json.x1").write_text("{")
  provenance.check_workdir(config, tmp_path)
  workdir.write_json(tmp_path / "config.json", config.to_dict())
  workdir.write_json(tmp_path / "run.json", {})
  provenance.check_workdir(config, tmp_path)
  with config.unlocked():
    config.optimizer.learning_rate = 0.5
  with pytest.raises(errors.UserError, match="config.optimizer.learning_rate"):
    provenance.check_workdir(config, tmp_path)


def test_defaults_of_a_check_that_is_not_used_may_be_another_versions(tmp_path):
  """They were without bounds and by Pearson once."""
  config = quickstart.get_config("smoke")
  older = config.to_dict()
  older["repair"] = {
    key: value
    for key, value in {**older["repair"], "score": "pearson"}.items()
    if key not in ("max_false_alarm", "min_balanced_accuracy", "tau_snr")
  }
  older["noise"].pop("strength")
  workdir.write_json(tmp_path / "config.json", older)
  provenance.check_workdir(config, tmp_path)
  # What was computed without the keys is computed as it was.
  read = workdir.read_config(tmp_path)
  assert read.repair.max_false_alarm == 1.0
  assert read.repair.min_balanced_accuracy == read.repair.tau_snr == 0.0
  with config.unlocked():
    config.repair.inference = "check"
  with pytest.raises(errors.UserError, match="config.repair.inference was"):
    provenance.check_workdir(config, tmp_path)
  older["repair"]["inference"] = "check"
  workdir.write_json(tmp_path / "config.json", older)
  with pytest.raises(errors.UserError, match="repair.score was 'pearson'"):
    provenance.check_workdir(config, tmp_path)


def test_where_files_lie_and_on_which_devices_changes_no_digest(tmp_path):
  config = quickstart.get_config("smoke")
  before = provenance.config_digest(config)
  with config.unlocked():
    config.data.dir = "shards"
    config.data.resident = False
    config.mesh.runs = 2
    config.checkpoint.keep = 7
  provenance.fix_paths(config)
  assert config.data.dir.startswith("/")
  assert provenance.config_digest(config) == before
  with config.unlocked():
    config.training.epochs = 7
  assert provenance.config_digest(config) != before


DESCRIPTION = {
  "system": "mtee",
  "config_sha256": "",
  "dataset": {"name": "tiny", "fingerprint": "ab"},
  "emotions": [{"name": "happy", "vector": [0.5, 1]}],
  "vectors_sha256": "cd",
  "modalities": {"lexical": {"dim": 2, "length": 3}},
  "stages": ["supervised"],
  "runs": [{"run": 0, "seed": 0, "fold": "1"}],
  "environment": {},
  "command": "",
}


@pytest.mark.parametrize(
  "key, value",
  [("emotions", 3), ("runs", [[]]), ("dataset", None), ("modalities", [])],
)
def test_a_run_json_of_another_kind_is_named(tmp_path, key, value):
  workdir.write_json(tmp_path / "run.json", DESCRIPTION)
  assert provenance.read_description(tmp_path) == DESCRIPTION
  workdir.write_json(tmp_path / "run.json", {**DESCRIPTION, key: value})
  with pytest.raises(errors.UserError, match=f"run.json is not what.*{key}"):
    provenance.read_description(tmp_path)


@pytest.mark.parametrize(
  "change",
  [
    lambda config: config["training"].update(epochs=7),
    lambda config: config.update(data=3),
    lambda config: config.pop("protocol"),
  ],
)
def test_a_config_that_was_changed_since_the_training_is_refused(
  tmp_path, change
):
  config = quickstart.get_config("smoke")
  description = {"config_sha256": provenance.config_digest(config)}
  content = config.to_dict()
  # Where the shards lie may change.
  content["data"]["dir"] = "elsewhere"
  workdir.write_json(tmp_path / "config.json", content)
  assert provenance.read_config(tmp_path, description).data.dir == "elsewhere"
  change(content)
  workdir.write_json(tmp_path / "config.json", content)
  with pytest.raises(errors.UserError, match="config.json is not the config"):
    provenance.read_config(tmp_path, description)


def run_record(train, validation, test):
  rows = [np.asarray(each, np.int64) for each in (train, validation, test)]
  fold = partition.Fold(1, "one", *rows)
  return records.RunRecord(0, 0, fold, {}, (), (), (), rows[0][:0])


def test_utterances_on_two_sides_of_a_split_are_counted():
  """Text a: rows 0 2 5; acoustics x: rows 1 3; row 4 is like none."""
  texts, sounds = "ababca", "uxvxyz"
  digests = [
    {"text": text.encode(), "acoustic": sound.encode()}
    for text, sound in zip(texts, sounds, strict=True)
  ]
  runs = [run_record([0, 1], [3], [2, 4]), run_record([0, 1, 2, 3, 5], [], [4])]
  first, second = provenance.count_overlaps(runs, digests)
  assert first["text"]["test in train"] == [1, 2]
  assert first["text"]["validation in train"] == [1, 1]
  assert first["acoustic"]["validation in train"] == [1, 1]
  assert "test in train" not in first["acoustic"]
  assert second == {}
