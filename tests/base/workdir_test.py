"""Files of a workdir: whole or not at all."""

import json

import pytest

from mmer_jax.base import workdir


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
