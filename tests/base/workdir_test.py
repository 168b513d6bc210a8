"""Files of a workdir: whole or not at all."""

import errno
import json
import pathlib

import pytest

from mmer_jax.base import cli, errors, workdir


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
  with pytest.raises(errors.UserError, match="expected a JSON object"):
    workdir.read_config(tmp_path)


def test_a_key_that_no_config_has_is_named(tmp_path):
  (tmp_path / "config.json").write_text('{"data": {".dir": "shards"}}')
  with pytest.raises(errors.UserError, match=r"the key data\.\.dir"):
    workdir.read_config(tmp_path)


def test_a_file_that_is_not_utf_8_is_named(tmp_path):
  (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
  with pytest.raises(errors.UserError, match="config.json is not JSON"):
    workdir.read_config(tmp_path)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda path: None, "x.json is missing, expected a workdir"),
    (lambda path: path.mkdir(), "x.json is a folder, expected a workdir"),
    (lambda path: path.write_text("{"), "x.json is not JSON"),
    (lambda path: path.write_bytes(b"\xff"), "x.json is not JSON"),
    (lambda path: path.write_text("[1]"), "holds a list, expected a JSON"),
  ],
)
def test_what_is_no_file_of_ours_is_named(tmp_path, make, message):
  make(tmp_path / "x.json")
  with pytest.raises(errors.UserError, match=message):
    workdir.read_json(tmp_path / "x.json")


def test_a_file_in_the_place_of_a_workdir_is_named(tmp_path):
  (tmp_path / "w").touch()
  with pytest.raises(errors.UserError, match="w is a file, expected a workdir"):
    workdir.read_json(tmp_path / "w" / "run.json")


def test_a_key_that_a_file_lacks_is_named_where_it_is_read(tmp_path):
  path = tmp_path / "run.json"
  workdir.write_json(path, {"dataset": {"name": "toy"}, "runs": [{"run": 0}]})
  content = workdir.read_json(path)
  assert content == {"dataset": {"name": "toy"}, "runs": [{"run": 0}]}
  assert content.get("failed") is None
  for read in (
    lambda: content["failed"],
    lambda: content["dataset"]["fingerprint"],
    lambda: content["runs"][0]["seed"],
  ):
    with pytest.raises(errors.UserError, match="run.json has no '"):
      read()


@pytest.mark.parametrize("new", [workdir.new_file, workdir.new_folder])
def test_a_place_that_cannot_be_written_is_named(tmp_path, new):
  (tmp_path / "file").touch()
  sign = () if new is workdir.new_file else ("sign",)
  for path in (tmp_path / "file" / "x", pathlib.Path("/proc/nowhere/x")):
    with pytest.raises(errors.UserError, match=f"^{path} cannot be written"):
      with new(path, *sign):
        pass
  with pytest.raises(errors.UserError, match="is a folder|is a file"):
    with new(tmp_path / ("file" if sign else ""), *sign):
      pass


def test_a_place_is_checked_before_the_work(tmp_path):
  workdir.check_writable(tmp_path / "new" / "x.json")
  assert not list((tmp_path / "new").iterdir())
  for path in (tmp_path, pathlib.Path("/proc/x.json")):
    with pytest.raises(errors.UserError, match=f"^{path} cannot be written"):
      workdir.check_writable(path)


def test_a_full_disk_is_no_fault_of_the_path(tmp_path, monkeypatch):
  def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")

  for new in (
    lambda: workdir.new_file(tmp_path / "x"),
    lambda: workdir.new_folder(tmp_path / "x", "sign"),
  ):
    with pytest.raises(OSError, match="No space left") as caught, new():
      full()
    assert cli.describe(caught.value).startswith(
      f"the disk is full at {tmp_path / 'x'};"
    )
    assert not list(tmp_path.iterdir())
  monkeypatch.setattr(workdir.tempfile, "mkstemp", full)
  with pytest.raises(OSError, match="No space left"):
    workdir.write_text(tmp_path / "x", "text")


def test_the_lines_that_stay_are_not_written_anew(tmp_path):
  path = tmp_path / "metrics.jsonl"
  text = '{"epoch":0,  "loss": 1e9999}\n{"epoch": 1, "loss": 0.10}\n'
  path.write_text(text + '{"epoch": 2}\n')
  rows = workdir.keep_lines(path, lambda row: row["epoch"] < 2)
  assert [row["epoch"] for row in rows] == [0, 1]
  assert path.read_text() == text


def test_a_log_with_a_damaged_line_is_not_shortened(tmp_path):
  path = tmp_path / "metrics.jsonl"
  for text, message in (
    ('{"epoch": 0}\n{"epo\n{"epoch": 2}\n', "line 2 is not JSON"),
    ('{"epoch": 0}\n{"accuracy": 1}\n', "a line that lacks 'epoch'"),
    ('{"epoch": 0}\n[1]\n', "a line that lacks"),
  ):
    path.write_text(text)
    with pytest.raises(errors.UserError, match=message):
      workdir.keep_lines(path, lambda row: row["epoch"] < 3)
    assert path.read_text() == text
  path.write_bytes(b'{"epoch": 0}\n\xff\n')
  with pytest.raises(errors.UserError, match="is not UTF-8"):
    workdir.keep_lines(path, lambda row: True)
