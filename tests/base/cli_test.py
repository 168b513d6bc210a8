"""How a command ends: its exit status and the one line that it writes."""

import errno
import logging
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import data_prep
import mmer_jax
from mmer_jax.base import cli, errors

COMMAND = '''"""Adds numbers.

Example:
  python add.py --number=2
"""

import sys
import time

from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli, errors

flags.DEFINE_integer("number", None, "A number.")
config_flags.DEFINE_config_file("config", None, "A config.")
flags.mark_flags_as_required(["number"])


def main(argv):
  number = flags.FLAGS.number
  if number == 0:
    raise errors.UserError("--number is 0,\\nexpected another")
  if number == 4:
    return cli.ALL_RUNS_FAILED
  if number == 5:
    raise ZeroDivisionError("ours")
  if number == 6:
    open("/proc/no/such/file", "w")
  if number == 7:
    print("waiting", flush=True)
    time.sleep(60)


if __name__ == "__main__":
  cli.run(main)
'''


@pytest.fixture(scope="module")
def command(tmp_path_factory):
  path = tmp_path_factory.mktemp("command") / "add.py"
  path.write_text(COMMAND)
  root = pathlib.Path(mmer_jax.__file__).parents[1]
  environment = {**os.environ, "PYTHONPATH": str(root)}

  def start(*arguments):
    return subprocess.Popen(
      [sys.executable, path, *arguments],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=environment,
    )

  return start


def call(command, *arguments):
  process = command(*arguments)
  output, written = process.communicate(timeout=100)
  return process.returncode, output, written


@pytest.mark.parametrize(
  ("arguments", "status", "line"),
  [
    (["--number=2"], 0, ""),
    (["--number=0"], 2, "error: --number is 0, expected another\n"),
    (["--number=4"], 3, ""),
    (["--number=two"], 2, "error: flag --number=two: "),
    ([], 2, "error: --number is missing; see --help for an example\n"),
    (["--number=1", "--numbre=2"], 2, "error: Unknown command line flag"),
    (["--number=1", "more"], 2, "error: unexpected argument 'more'"),
    (
      ["--number=6"],
      2,
      "error: /proc/no/such/file does not exist; check the path\n",
    ),
    (
      ["--number=1", "--config.data.dir=shards"],
      2,
      "error: --config is missing; see --help for an example\n",
    ),
    (
      ["--number=1", "--config=nowhere.py"],
      2,
      "error: nowhere.py does not exist, expected a Python file",
    ),
  ],
)
def test_a_mistake_is_one_line_and_a_status(command, arguments, status, line):
  returned, _, written = call(command, *arguments)
  assert returned == status, written
  assert written.startswith(line)
  assert written.count("\n") == bool(line)


@pytest.mark.parametrize(
  ("level", "path", "line"),
  [
    (logging.INFO, mmer_jax.__file__, "3 utterances are cut"),
    (logging.WARNING, mmer_jax.__file__, "warning: 3 utterances are cut"),
    (logging.ERROR, data_prep.__file__, "warning: 3 utterances are cut"),
    (logging.WARNING, os.__file__, "warning: jax: 3 utterances are cut"),
  ],
)
def test_what_is_logged_reads_like_the_lines_beside_it(level, path, line):
  record = logging.LogRecord(
    "jax", level, path, 12, "%d utterances\n  are cut", (3,), None
  )
  assert cli._Voice().format(record) == line


@pytest.mark.parametrize(
  ("file", "line"),
  [
    ("/x/lib/python3/site-packages/jax/_src/a.py", "warning: jax: it is\n"),
    ("/x/lib/python3/site-packages/six.py", "warning: six: it is\n"),
    ("/x/lib/site-packages/mmer_jax/train.py", "warning: it is\n"),
    (cli.__file__, "warning: it is\n"),
  ],
)
def test_what_python_warns_of_is_one_line(capsys, file, line):
  cli._show_warning(UserWarning("it\nis"), UserWarning, file, 12)
  assert capsys.readouterr().err == line


def test_what_is_logged_goes_where_standard_error_is_now(capsys):
  cli._Stderr().write("above the bar\n")
  cli._Stderr().flush()
  assert capsys.readouterr().err == "above the bar\n"


def test_a_fault_of_ours_keeps_its_traceback(command):
  status, _, written = call(command, "--number=5")
  assert status == 1
  assert "Traceback" in written and "ZeroDivisionError: ours" in written


@pytest.mark.parametrize("flag", ["--help", "--helpshort", "--helpfull"])
def test_help_shows_the_example_and_is_no_failure(command, flag):
  status, output, _ = call(command, flag)
  assert status == 0
  assert "--number: A number." in output
  assert "python add.py --number=2" in output


def test_ctrl_c_is_one_line(command):
  process = command("--number=7")
  process.stdout.readline()
  process.send_signal(signal.SIGINT)
  _, written = process.communicate(timeout=60)
  assert process.returncode == 130
  assert written == "stopped by Ctrl-C\n"


@pytest.mark.parametrize(
  ("error", "line"),
  [
    (
      OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
      "the disk is full; free some space and try again",
    ),
    (
      OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "w/run.json"),
      "the disk is full at w/run.json; free some space and try again",
    ),
    (
      # As TensorStore, which writes the checkpoints, says it.
      ValueError("OS_ERROR: write failed: No space left on device [28]"),
      "the disk is full; free some space and try again",
    ),
    (PermissionError(errno.EACCES, "denied", "w"), "w may not be read"),
    (NotADirectoryError(errno.ENOTDIR, "no", "a/b"), "a/b is not a folder"),
    (IsADirectoryError(errno.EISDIR, "yes", "a"), "a is a folder, expected"),
    (OSError(errno.EIO, "input/output error", "a"), "a: input/output error"),
    (errors.UserError("mine"), "mine"),
    (OSError("of ours"), None),
    (KeyError("of ours"), None),
  ],
)
def test_limits_of_the_machine_are_told_from_faults_of_ours(error, line):
  described = cli.describe(error)
  if line is None:
    assert described is None
  else:
    assert described.startswith(line)


def test_a_full_disk_is_found_behind_another_error():
  try:
    try:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "w")
    except OSError as full:
      raise RuntimeError("cannot save") from full
  except RuntimeError as error:
    assert cli.describe(error).startswith("the disk is full at w")


def record(path, level=logging.INFO):
  return logging.LogRecord("absl", level, str(path), 1, "text", (), None)


def test_info_lines_of_every_folder_of_ours_are_shown_and_no_others():
  ours = pathlib.Path(mmer_jax.__file__).parent
  converter = pathlib.Path(list(data_prep.__path__)[0])
  for path in (
    ours / "train.py",
    ours / "systems" / "m3er" / "system.py",
    converter / "sources" / "recordings.py",
  ):
    assert cli._is_ours(record(path)), path
  assert not cli._is_ours(record("/site-packages/orbax/mmer_jax/save.py"))
  assert cli._is_ours(record("/site-packages/orbax/save.py", logging.WARNING))
  other = record("/lib/asyncio/base_events.py", logging.ERROR)
  other.name = "asyncio"
  assert not cli._is_ours(other)
  other = record("/site-packages/orbax/save.py", logging.ERROR)
  assert cli._is_ours(other)
  other.exc_info = (ValueError, ValueError("raised too"), None)
  assert not cli._is_ours(other)
