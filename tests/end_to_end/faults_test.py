"""Small inputs that once trained, or were evaluated, without a word of warning.

They lie in the folder `faults` of the real data, whose README says what is
right. Its inputs of conversion are tested in `tests/data_prep/faults_test.py`,
those of predictions in `tests/serving/faults_test.py`.
"""

import json
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import least_squares

ROOT = pathlib.Path(__file__).parents[2]

# A tiny training of the quickstart's system on the shards of these inputs.
TRAIN = (
  "--config=configs/quickstart.py",
  "--config.protocol.split=corpus",
  "--config.protocol.folds=()",
  "--config.model.hidden.lexical=8",
  "--config.model.hidden.acoustic=4",
  "--config.model.hidden.visual=3",
  "--config.model.layers=1",
  "--config.training.epochs=3",
  "--config.training.batch_size=8",
  "--config.seeds=(0,)",
)
# The same of a system that reads acoustics alone.
TRAIN_ACOUSTIC = (
  "--config=configs/dae_mmd/fully.py:utterances",
  "--config.protocol.split=corpus",
  "--config.data.modalities=('acoustic',)",
  "--config.data.normalise=('acoustic',)",
  "--config.training.epochs=3",
  "--config.training.batch_size=8",
  "--config.seeds=(0,)",
)


@pytest.fixture(scope="module")
def faults(data_dir) -> pathlib.Path:
  return data_dir / "faults"


def run(module: str, *arguments: object) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-m", module, *map(str, arguments)],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )


def convert(faults, spec, source, out, *more) -> subprocess.CompletedProcess:
  return run(
    "data_prep.convert",
    "--source=utterances",
    f"--word_vectors={faults / 'glove.txt'}",
    f"--spec={faults / spec}",
    f"--input={source}",
    f"--output={out}",
    *more,
  )


def converted(faults, spec, source, out, *more) -> dict:
  done = convert(faults, spec, source, out, *more)
  assert done.returncode == 0, done.stderr
  return json.loads((out / "manifest.json").read_text())


def refused(done: subprocess.CompletedProcess, *parts: str) -> str:
  """Checks that a command ended with status 2 and one line; returns it."""
  assert done.returncode == 2, (done.returncode, done.stderr)
  assert "Traceback" not in done.stderr
  lines = [each for each in done.stderr.splitlines() if "error:" in each]
  assert len(lines) == 1, done.stderr
  for part in parts:
    assert part in lines[0], lines[0]
  return lines[0]


def test_a_run_whose_validation_is_never_finite_has_failed(faults, tmp_path):
  source = faults / "16-validation-never-finite" / "in.jsonl"
  converted(faults, "spec.py:text+ac+vi+split", source, tmp_path / "shards")
  done = run(
    "mmer_jax.train",
    *TRAIN_ACOUSTIC,
    f"--config.data.dir={tmp_path / 'shards'}",
    f"--workdir={tmp_path / 'run'}",
  )
  assert done.returncode == 3, done.stderr
  assert "Traceback" not in done.stderr
  description = json.loads((tmp_path / "run/run.json").read_text())
  assert len(description["failed"]) == 1


@pytest.fixture(scope="module")
def base(faults, tmp_path_factory) -> pathlib.Path:
  """Shards of four acoustic columns, and a workdir that was trained on them."""
  folder = tmp_path_factory.mktemp("faults")
  source = faults / "17-evaluate-data-dir-other-columns" / "base.jsonl"
  converted(faults, "spec.py:text+ac+vi+split", source, folder / "shards")
  done = run(
    "mmer_jax.train",
    *TRAIN,
    f"--config.data.dir={folder / 'shards'}",
    f"--workdir={folder / 'run'}",
  )
  assert done.returncode == 0, done.stderr
  return folder


def test_columns_in_another_order_are_put_in_order(faults, base, tmp_path):
  source = faults / "17-evaluate-data-dir-other-columns" / "perm.jsonl"
  names = "('acoustic_03','acoustic_02','acoustic_01','acoustic_00')"
  converted(
    faults,
    "spec.py:text+ac+vi+split",
    source,
    tmp_path / "permuted",
    f"--spec.features.acoustic.names={names}",
  )
  results = []
  for more in ([], [f"--data_dir={tmp_path / 'permuted'}"]):
    done = run(
      "mmer_jax.evaluate", f"--workdir={base / 'run'}", "--split=test", *more
    )
    assert done.returncode == 0, done.stderr
    path = base / "run/results/test.json"
    results.append(json.loads(path.read_text())["runs"])
  assert results[0] == results[1]


def test_other_columns_are_refused(faults, base, tmp_path):
  source = faults / "17-evaluate-data-dir-other-columns" / "drop.jsonl"
  converted(faults, "spec.py:text+ac+vi+split", source, tmp_path / "dropped")
  done = run(
    "mmer_jax.evaluate",
    f"--workdir={base / 'run'}",
    "--split=test",
    f"--data_dir={tmp_path / 'dropped'}",
  )
  refused(done, "acoustic")


def test_other_word_vectors_are_refused(faults, base, tmp_path):
  folder = faults / "18-predict-other-word-vectors"
  converted(
    faults,
    "spec.py:text+ac+vi+split",
    folder / "base.jsonl",
    tmp_path / "other",
    f"--word_vectors={folder / 'glove_other.txt'}",
  )
  for verb, more in (
    ("predict", [f"--model={base / 'run'}", f"--input={tmp_path / 'other'}"]),
    (
      "evaluate",
      [f"--workdir={base / 'run'}", f"--data_dir={tmp_path / 'other'}"],
    ),
  ):
    out = [f"--out={tmp_path / 'out.jsonl'}"] if verb == "predict" else []
    refused(run(f"mmer_jax.{verb}", *more, *out), "word vectors")


def test_without_a_ridge_it_is_least_squares_of_any_rank():
  x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
  wide = jnp.concatenate([x, x, np.ones((40, 1), np.float32)], axis=1)
  target = jnp.asarray(x[:, :2])
  weights = least_squares.regress(wide.T @ wide, wide.T @ target, ridge=0.0)
  np.testing.assert_allclose(wide @ weights, target, atol=1e-4)
  ones = least_squares.regress(jnp.ones((3, 3)), jnp.ones((3, 2)), ridge=0.0)
  np.testing.assert_allclose(ones, np.full((3, 2), 1 / 3), atol=1e-5)


def test_a_modality_that_no_training_row_has_is_named(faults, tmp_path):
  source = faults / "21-modality-in-no-training-row" / "in.jsonl"
  converted(faults, "spec.py:text+ac+vi+split", source, tmp_path / "shards")
  done = run(
    "mmer_jax.train",
    *TRAIN_ACOUSTIC,
    f"--config.data.dir={tmp_path / 'shards'}",
    f"--workdir={tmp_path / 'run'}",
  )
  assert "Traceback" not in done.stderr
  warnings = [
    line for line in done.stderr.splitlines() if "no training" in line
  ]
  assert any("acoustic" in line for line in warnings), done.stderr
  page = (tmp_path / "run/results/validation.md").read_text()
  assert "acoustic" in page


@pytest.mark.parametrize(
  "name, part",
  [
    ("cfg_syntax.py", "line 1"),
    ("cfg_dict.py", "ConfigDict"),
    ("cfg.yaml", ".py"),
  ],
)
def test_a_config_that_is_none_is_one_line(faults, tmp_path, name, part):
  config = faults / "30-spec-and-config" / name
  done = run(
    "mmer_jax.train", f"--config={config}", f"--workdir={tmp_path / 'run'}"
  )
  refused(done, name, part)
  assert not (tmp_path / "run").exists()


def test_a_spec_that_is_none_is_one_line(faults, tmp_path):
  spec = faults / "30-spec-and-config" / "spec_syntax.py"
  source = faults / "31-tables" / "int_labels.csv"
  done = convert(faults, spec, source, tmp_path / "out")
  refused(done, "spec_syntax.py", "line 1")
