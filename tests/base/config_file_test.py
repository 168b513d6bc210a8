"""What a config file may be, and which line or key of it is named."""

import sys

import ml_collections
import pytest

from configs import quickstart
from configs.mtee import iemocap
from mmer_jax.base import config_file, errors


def parse(path, monkeypatch, *overrides):
  monkeypatch.setattr(sys, "argv", ["train", f"--config={path}", *overrides])
  return config_file.ConfigFileParser("config").parse(str(path))


def write(folder, text, name="mine.py"):
  path = folder / name
  path.write_text(text)
  return path


GOOD = """import ml_collections

def get_config(size="full"):
  config = ml_collections.ConfigDict()
  config.size = size
  config.data = ml_collections.ConfigDict({"dir": ""})
  config.folds = (1, 2)
  return config
"""


def test_a_config_is_read_with_its_variant_and_locked(tmp_path, monkeypatch):
  path = write(tmp_path, GOOD)
  assert parse(path, monkeypatch).size == "full"
  config = parse(f"{path}:smoke", monkeypatch, "--config.data.dir=x")
  assert config.size == "smoke"
  assert config.is_locked
  parse(path, monkeypatch, "--config.folds[0]=3", "--config.data=x")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("def get_config(:\n", "mine.py, line 1: invalid syntax"),
    ("\nimport nowhere_at_all\n", "mine.py, line 2: ModuleNotFoundError: "),
    (
      "def get_config():\n  size = 2\n  return size + 'a'\n",
      "mine.py, line 3: TypeError: unsupported operand",
    ),
    (
      "def get_config():\n  return open('nowhere.txt')\n",
      "mine.py, line 2: FileNotFoundError: ",
    ),
    (
      # The fault is below, in ml_collections; the line is the user's.
      "import ml_collections\n\n\ndef get_config():\n"
      "  c = ml_collections.ConfigDict({'a': 1}).lock()\n  c.b = 2\n",
      "mine.py, line 6: AttributeError: ",
    ),
    ("def get_config():\n  return {'a': 1}\n", "returned a dict, expected"),
    ("def get_config():\n  pass\n", "returned nothing, expected"),
    ("config = {}\n", "defines no function get_config"),
    ("a = '\x00'\n", "mine.py"),
  ],
)
def test_a_fault_in_a_config_names_file_and_line(
  tmp_path, monkeypatch, text, message
):
  with pytest.raises(errors.UserError, match=message):
    parse(write(tmp_path, text), monkeypatch)


def test_what_is_no_python_file_is_refused(tmp_path, monkeypatch):
  path = write(tmp_path, "lr: 1\n", "mine.yaml")
  with pytest.raises(errors.UserError, match="mine.yaml is not a Python file"):
    parse(path, monkeypatch)
  with pytest.raises(errors.UserError, match="is a folder, expected"):
    parse(tmp_path, monkeypatch)
  with pytest.raises(errors.UserError, match="nowhere.py does not exist"):
    parse(tmp_path / "nowhere.py", monkeypatch)
  with pytest.raises(errors.UserError, match="--config is empty"):
    parse("", monkeypatch)


def test_a_variant_that_the_file_cannot_take_is_refused(tmp_path, monkeypatch):
  path = write(tmp_path, "def get_config():\n  return None\n")
  with pytest.raises(errors.UserError, match="has no variants, got :small"):
    parse(f"{path}:small", monkeypatch)
  with pytest.raises(
    errors.UserError, match="'small' does not exist, expected"
  ):
    parse(f"{quickstart.__file__}:small", monkeypatch)


@pytest.mark.parametrize(
  ("wrong", "right"),
  [
    ("optim.lr", "optimizer.learning_rate"),
    ("lr", "optimizer.learning_rate"),
    ("optimizer.lr", "optimizer.learning_rate"),
    ("learning_rate", "optimizer.learning_rate"),
    ("training.batchsize", "training.batch_size"),
    ("bs", "training.batch_size"),
    ("train.epochs", "training.epochs"),
    ("epochs", "training.epochs"),
    ("few_shot.n_epochs", "few_shot.epochs"),
    ("sweep.lr", "sweep.learning_rate"),
    ("training.num_epochs", "training.epochs"),
    ("seed", "seeds"),
    ("protocol.fold", "protocol.folds"),
    ("data_dir", "data.dir"),
    ("data.path", "data.dir"),
    ("data.modality", "data.modalities"),
    ("optimizer.wd", "optimizer.weight_decay"),
    ("data.max_length.text", "data.max_length.lexical"),
    ("optim", "optimizer"),
    ("zzz", None),
  ],
)
def test_a_key_that_does_not_exist_names_the_nearest_one(wrong, right):
  keys = list(config_file.flatten_keys(quickstart.get_config()))
  assert config_file.nearest_key(wrong, keys) == right


def test_an_override_of_no_key_is_one_line(monkeypatch):
  with pytest.raises(errors.UserError) as caught:
    parse(iemocap.__file__, monkeypatch, "--config.optim.lr=1e-3")
  assert "--config.optim.lr is not a key of the config" in str(caught.value)
  assert str(caught.value).endswith(
    "did you mean --config.optimizer.learning_rate?"
  )
  with pytest.raises(errors.UserError, match=r"config\.mesh\.runs\.x is not"):
    parse(iemocap.__file__, monkeypatch, "--noconfig.mesh.runs.x")


def test_the_keys_of_a_config_are_those_of_its_sections_too():
  config = ml_collections.ConfigDict({"a": {"b": {"c": 1}}, "d": ()})
  assert set(config_file.flatten_keys(config)) == {"a", "a.b", "a.b.c", "d"}
