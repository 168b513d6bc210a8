"""One's own recordings, from a folder of wavs to predictions."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rich.console
import soundfile

from configs.own import lf_lstm
from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.serving import load
from tests import own_shards

ROOT = pathlib.Path(__file__).parents[2]
RATE_HZ = 16000
TEXTS = {"happy": "what a day", "sad": "i miss you", "angry": "stop it now"}


def draw(folder):
  """Thirty recordings of six speakers: three labels by pitch and words."""
  rng = np.random.default_rng(0)
  labels = list(TEXTS)
  time = np.arange(RATE_HZ // 2) / RATE_HZ
  with (folder / "list.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["wav", "text", "speaker", "label"])
    for number in range(30):
      kind, speaker = number % 3, number // 5
      pitch_hz = 120 + 60 * kind + 10 * speaker
      tone = 0.3 * np.sin(2 * np.pi * pitch_hz * time)
      sound = tone + 0.01 * rng.standard_normal(len(time))
      soundfile.write(folder / f"{number:02}.wav", sound, RATE_HZ)
      words = TEXTS[labels[kind]].split()[: 1 + number % 2]
      writer.writerow(
        [f"{number:02}.wav", " ".join(words), f"s{speaker}", labels[kind]]
      )
  words = sorted({*" ".join(TEXTS.values()).split(), *labels})
  lines = [
    " ".join([word, *(f"{x:.4f}" for x in rng.standard_normal(8))])
    for word in words
  ]
  (folder / "words.txt").write_text("\n".join(lines) + "\n")


def call(folder, module, *flags):
  """Runs a command; returns what it prints."""
  done = subprocess.run(
    [sys.executable, "-m", module, *flags],
    cwd=ROOT,
    check=False,
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  return " ".join((done.stdout + done.stderr).split())


def test_four_commands_from_recordings_to_predictions(tmp_path):
  """No flag but paths: speakers in groups, all emotions, all modalities."""
  draw(tmp_path)
  call(
    tmp_path,
    "data_prep.convert",
    "--source=recordings",
    f"--input={tmp_path / 'list.csv'}",
    f"--word_vectors={tmp_path / 'words.txt'}",
    f"--output={tmp_path / 'shards'}",
  )
  printed = call(
    tmp_path,
    "mmer_jax.train",
    f"--config={ROOT / 'configs' / 'own' / 'mtee.py'}",
    f"--config.data.dir={tmp_path / 'shards'}",
    f"--workdir={tmp_path / 'run'}",
  )
  assert "lexical + acoustic, decision softmax" in printed
  assert "protocol group_kfold: 6 speakers in 5 groups" in printed
  printed = call(tmp_path, "mmer_jax.evaluate", f"--workdir={tmp_path / 'run'}")
  assert "unweighted_accuracy" in printed
  call(
    tmp_path,
    "mmer_jax.predict",
    f"--model={tmp_path / 'run'}",
    f"--input={tmp_path / 'shards'}",
    f"--out={tmp_path / 'predictions.jsonl'}",
  )

  config = workdir.read_config(tmp_path / "run")
  assert config.protocol.split == "group_kfold"
  assert config.protocol.decision == "softmax"
  assert config.data.modalities == ("lexical", "acoustic")
  assert config.model.hidden.lexical == 8
  result = workdir.read_json(tmp_path / "run" / "results" / "test.json")
  assert result["failed"] == []
  assert len(result["runs"]) == 15
  # Five folds of three seeds: of every seed each utterance is tested once.
  assert sum(run["examples"] for run in result["runs"]) == 3 * 30
  # Six speakers in five groups: two of them in one.
  sizes = [run["examples"] for run in result["runs"] if not run["seed"]]
  assert sorted(sizes) == [5, 5, 5, 5, 10]
  # Pitch and words tell the label: chance is a third.
  assert result["summary"]["unweighted_accuracy"]["mean"] > 0.5
  lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
  assert len(lines) == 30
  for line in lines:
    probs = json.loads(line)["probs"]
    assert set(probs) == set(TEXTS)
    assert sum(probs.values()) == pytest.approx(1.0, abs=1e-3)


def train(shards, split_file, folder):
  config = lf_lstm.get_config("smoke")
  with config.unlocked():
    config.data.dir = str(shards)
    config.protocol.split_file = str(split_file)
    config.protocol.allow_speaker_overlap = True
  quiet = rich.console.Console(quiet=True)
  return train_and_evaluate.train_and_evaluate(config, folder, console=quiet)


def test_folds_of_a_file_and_no_word_vectors(tmp_path):
  """Trained, resumed, scored and served; another file is refused."""
  shards = own_shards.convert(
    tmp_path / "shards",
    frames={"acoustic": 2},
    labels=[("a",), ("b",)] * 6,
    speaker=list("aaaabbbbcccc"),
  )
  path, folder = tmp_path / "folds.csv", tmp_path / "run"
  lines = ["id,fold", *(f"u{row},{row // 4}" for row in range(12))]
  path.write_text("\n".join(lines) + "\n")
  first = train(shards, path, folder)
  assert [run["fold"] for run in first["runs"]] == ["0", "1", "2"]
  assert train(shards, path, folder)["summary"] == first["summary"]
  result = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  assert [run["examples"] for run in result["runs"]] == [4, 4, 4]
  assert result["protocol"]["split"] == "file"
  assert result["protocol"]["split_file"] == "folds.csv"
  described = workdir.read_json(folder / "run.json")
  assert described["notes"][0].startswith("fitted to")
  model = load.load(folder)
  frames = np.ones((2, 3), np.float32)
  assert set(model.predict({"acoustic": frames}).emotions) == {"a", "b"}

  path.write_text("\n".join(lines[:-1] + ["u11,0"]) + "\n")
  with pytest.raises(errors.UserError, match=r"another config .*split_digest"):
    train(shards, path, folder)
  with pytest.raises(errors.UserError, match="changed since the training"):
    evaluate.evaluate_workdir(folder, evaluate.Request("test"))
