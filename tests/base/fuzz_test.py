"""Damaged configs, overrides and files of workdirs: a value, or one line.

`MMER_FUZZ=N pytest -m long tests/base/fuzz_test.py` tries N of each (10000 by
default).
"""

import json
import pathlib
import sys
import tempfile
import warnings

import ml_collections
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import quickstart
from mmer_jax.base import config_file, errors, workdir
from tests import fuzzing

SHORT = fuzzing.short(100)
LONG = fuzzing.LONG

CONFIG = """import ml_collections

SIZES = {"full": 10, "smoke": 1}


def get_config(variant="full"):
  config = ml_collections.ConfigDict()
  config.epochs = SIZES[variant]
  config.data = ml_collections.ConfigDict({"dir": "", "length": (1, 2)})
  config.data.dir = f"shards/{variant}"
  return config.lock()
"""
KEYS = tuple(config_file.flatten_keys(quickstart.get_config()))
FILE = json.dumps(
  {
    "system": "mtee",
    "data": {"dir": "shards", "modalities": ["lexical", "acoustic"]},
    "seeds": [0, 1],
    "rate": 1e-3,
  },
  indent=2,
)
LOG = "".join(
  json.dumps({"stage": 0, "epoch": epoch, "loss": 0.5}) + "\n"
  for epoch in range(4)
)


@st.composite
def damaged(draw, text):
  """The text with some bytes cut, doubled, swapped or replaced."""
  content = text.encode()
  for _ in range(draw(st.integers(1, 3))):
    begin = draw(st.integers(0, len(content)))
    end = min(begin + draw(st.integers(0, 12)), len(content))
    kind = draw(st.sampled_from(["cut", "double", "replace", "end", "quote"]))
    part = content[begin:end]
    part = {
      "cut": b"",
      "double": part + part,
      "replace": draw(st.binary(max_size=4)),
      "end": b"",
      "quote": draw(st.sampled_from([b'"', b"{", b"[", b"\n", b"1e999", b","])),
    }[kind]
    content = content[:begin] + part + (b"" if kind == "end" else content[end:])
  return content


def both(strategy):
  """Tries a few examples in every run of the tests, many in the long ones."""

  def wrap(check):
    def short(value):
      check(value)

    def long(value):
      check(value)

    return (
      SHORT(given(strategy)(short)),
      pytest.mark.long(LONG(given(strategy)(long))),
    )

  return wrap


def read_damaged_config(content):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "mine.py"
    path.write_bytes(content)
    before = sys.argv
    sys.argv = ["train"]
    try:
      with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = config_file.ConfigFileParser("config").parse(str(path))
    except errors.UserError as error:
      assert str(path) in str(error)
      return
    finally:
      sys.argv = before
    assert isinstance(config, ml_collections.ConfigDict)
    assert config.is_locked


def read_damaged_file(content):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "config.json"
    path.write_bytes(content)
    for read in (
      lambda: workdir.read_json(path)["data"],
      lambda: workdir.read_config(pathlib.Path(folder)).data,
    ):
      try:
        read()
      except errors.UserError as error:
        assert str(path) in str(error)


def resume_damaged_log(content):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "metrics.jsonl"
    path.write_bytes(content)
    try:
      rows = workdir.keep_lines(path, lambda row: row["epoch"] < 2)
    except errors.UserError as error:
      assert str(path) in str(error)
      assert path.read_bytes() == content
    else:
      assert workdir.read_lines(path) == rows
      assert all(row["epoch"] < 2 for row in rows)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def name_nearest_key(key):
  nearest = config_file.nearest_key(key, KEYS)
  assert nearest is None or nearest in KEYS
  if key in KEYS:
    assert nearest == key


test_a_damaged_config_is_read_or_named, test_many_damaged_configs = both(
  damaged(CONFIG)
)(read_damaged_config)
test_a_damaged_file_is_read_or_named, test_many_damaged_files = both(
  damaged(FILE)
)(read_damaged_file)
test_a_damaged_log_is_resumed_or_left, test_many_damaged_logs = both(
  damaged(LOG)
)(resume_damaged_log)
test_any_key_has_a_nearest_one_or_none, test_many_keys = both(
  st.one_of(
    st.text(),
    st.sampled_from(KEYS),
    damaged("optimizer.learning_rate").map(lambda key: key.decode("latin-1")),
  )
)(name_nearest_key)
