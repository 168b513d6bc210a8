"""What is none of a workdir's files is named in one line."""

import json

import pytest

from mmer_jax.base.errors import UserError
from mmer_jax.reporting import reading
from tests.reporting import made_up


def without(content, *path):
  """A copy of JSON without what is at a path."""
  content = json.loads(json.dumps(content))
  inner = content
  for key in path[:-1]:
    inner = inner[key]
  del inner[path[-1]]
  return content


def test_results_are_read_as_they_were_written(tmp_path):
  file = tmp_path / "test.json"
  for content in (made_up.result(), made_up.result(failed="all")):
    file.write_text(json.dumps(content))
    assert reading.read_result(file) == content


@pytest.mark.parametrize(
  ("content", "match"),
  [
    ([], "its content is of type list"),
    ("text", "its content is of type str"),
    ({"epochs": 3}, "system is missing"),
    ({**made_up.result(), "runs": []}, "runs is empty"),
    ({**made_up.result(), "runs": {}}, "runs is of type dict"),
    (
      without(made_up.result(), "summary", "auc", "mean"),
      "summary.auc.mean is missing",
    ),
    (
      without(made_up.result(), "runs", 0, "metrics"),
      "runs.metrics is missing",
    ),
    (
      without(made_up.result(), "runs", 3, "per_emotion", "sad"),
      "run 3 has no per_emotion.sad",
    ),
    (
      without(made_up.result(), "runs", 2, "per_emotion", "sad", "support"),
      "runs.per_emotion.sad.support is missing",
    ),
  ],
)
def test_foreign_results_are_named(tmp_path, content, match):
  file = tmp_path / "test.json"
  file.write_text(json.dumps(content))
  with pytest.raises(UserError, match=match) as caught:
    reading.read_result(file)
  assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b'{"system": "mt', b"\xff\xfe\x00"])
def test_a_file_that_was_cut_short_is_named(tmp_path, text):
  (tmp_path / "test.json").write_bytes(text)
  with pytest.raises(UserError, match="test.json"):
    reading.read_result(tmp_path / "test.json")


def test_a_workdir_without_results_or_metrics_is_named(tmp_path):
  with pytest.raises(UserError, match="neither test.json nor validation.json"):
    reading.read_main_results(tmp_path)
  with pytest.raises(UserError, match="metrics.jsonl is missing"):
    reading.read_metrics(tmp_path)


def test_lines_of_metrics_are_read_by_stage_and_epoch(tmp_path):
  file = tmp_path / "metrics.jsonl"
  lines = [
    made_up.metrics_line(),
    made_up.metrics_line(run=1),
    {"stage_name": "supervised", "epoch": 1, "run": 2, "failed_step": 3},
    made_up.metrics_line(epoch=2),
  ]
  file.write_text("".join(json.dumps(line) + "\n" for line in lines))
  stages = reading.read_metrics(tmp_path)
  assert stages == {"supervised": {1: lines[:2], 2: lines[3:]}}
  with file.open("a") as end:
    end.write('{"stage_na')
  with pytest.raises(UserError, match="line 5 is no line of"):
    reading.read_metrics(tmp_path)


def test_an_empty_file_of_metrics_is_named(tmp_path):
  (tmp_path / "metrics.jsonl").touch()
  with pytest.raises(UserError, match="metrics.jsonl is empty"):
    reading.read_metrics(tmp_path)


def test_the_command_that_writes_a_file_is_named(tmp_path):
  path = tmp_path / "table.json"
  with pytest.raises(UserError, match="is missing.*mmer_jax.table"):
    reading.read_table(path)
  path.write_text("[" * 100_000)
  with pytest.raises(UserError, match="mmer_jax.table` writes .no JSON"):
    reading.read_table(path)


@pytest.mark.parametrize("line", ["[1]", '"a"', "3", '{"validation_loss": 1}'])
def test_a_foreign_line_of_metrics_is_named(tmp_path, line):
  (tmp_path / "metrics.jsonl").write_text(line + "\n")
  with pytest.raises(UserError, match="line 1 is no line of"):
    reading.read_metrics(tmp_path)
