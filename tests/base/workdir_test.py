"""Files of a workdir: whole or not at all."""

import json

import pytest

from mmer_jax.base import errors, workdir


def test_files_are_replaced_whole(tmp_path):
  path = tmp_path / "a" / "x.json"
  workdir.write_json(path, {"value": float("nan")})
  assert json.loads(path.read_text()) == {"value": None}
  with pytest.raises(TypeError):
    workdir.write_json(path, {"value": object()})
  assert json.loads(path.read_text()) == {"value": None}
  assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_lines_of_a_resumed_run_are_dropped_with_a_cut_one(tmp_path):
  path = tmp_path / "metrics.jsonl"
  workdir.append_lines(path, [{"epoch": n} for n in range(4)])
  with path.open("a") as file:
    file.write('{"epoch": 4, "los')
  workdir.keep_lines(path, lambda row: row["epoch"] < 3)
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  assert rows == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2}]


@pytest.mark.parametrize("text", ["[]", "3", '"a"', "null"])
def test_a_config_of_another_kind_is_named(tmp_path, text):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(errors.UserError, match="expected the keys of a config"):
    workdir.read_config(tmp_path)


def test_a_file_that_is_not_utf_8_is_named(tmp_path):
  (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
  with pytest.raises(errors.UserError, match="config.json is not JSON"):
    workdir.read_config(tmp_path)
