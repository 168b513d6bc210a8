"""Configs and specs found by name, and the commands' one entry."""

import pathlib
import subprocess
import sys

import pytest

from mmer_jax import __main__ as entry
from mmer_jax.base import errors, shipped

ROOT = pathlib.Path(__file__).parents[2]


def test_every_file_of_the_folders_has_a_name():
  for kind, folder in (("config", "configs"), ("spec", "data_prep/specs")):
    files = {
      path.relative_to(ROOT / folder).with_suffix("").as_posix()
      for path in (ROOT / folder).rglob("*.py")
      if path.stem not in ("__init__", "common")
    }
    assert set(shipped.names(kind)) == files
    for name in files:
      found = shipped.find(name, kind)
      assert found.samefile(ROOT / folder / f"{name}.py")


def test_a_path_is_a_path(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert shipped.find("a/b.py", "config") == pathlib.Path("a/b.py")
  pathlib.Path("mine").write_text("")
  assert shipped.find("mine", "config") == pathlib.Path("mine")
  # The folder that the quick start writes has the name of its config.
  pathlib.Path("quickstart").mkdir()
  assert shipped.find("quickstart", "config").name == "quickstart.py"
  pathlib.Path("folder").mkdir()
  assert shipped.find("folder", "config") == pathlib.Path("folder")
  assert shipped.find("mtee/mosei", "other") == pathlib.Path("mtee/mosei")


@pytest.mark.parametrize(
  ("kind", "name", "hint"),
  [
    ("config", "mosei", "did you mean 'mtee/mosei'"),
    ("config", "mtee/moseii", "did you mean 'mtee/mosei'"),
    ("config", "mose", "did you mean 'mtee/mosei'"),
    ("config", "zzz", "mmer configs"),
    ("spec", "zzz", "one of ami, iemocap, meld"),
    ("spec", "iemocapp", "did you mean 'iemocap'"),
  ],
)
def test_an_unknown_name_is_refused_with_the_nearest(kind, name, hint):
  with pytest.raises(errors.UserError, match=f"--{kind}={name} .*{hint}"):
    shipped.find(name, kind)


def test_every_command_is_listed_and_runs_by_its_name(capsys):
  modules = {
    f"{folder}.{path.stem}"
    for folder in ("mmer_jax", "data_prep")
    for path in (ROOT / folder).glob("*.py")
    if not path.stem.startswith("__")
  }
  assert set(entry.COMMANDS.values()) == modules
  assert entry.run(["--help"]) == 0
  lines = capsys.readouterr().out.splitlines()
  for name in entry.COMMANDS:
    (line,) = [each for each in lines if each.startswith(f"  {name} ")]
    assert len(line.split()) > 4
  assert entry.run(["help"]) == 0
  assert capsys.readouterr().out.splitlines() == lines
  assert entry.run(["completion"]) == 0
  assert " train " in capsys.readouterr().out


def test_help_of_a_command_is_its_own(monkeypatch):
  called = []
  monkeypatch.setattr(
    "runpy.run_module", lambda module, **_: called.append((module, sys.argv))
  )
  monkeypatch.setattr(sys, "argv", ["mmer"])
  assert entry.run(["help", "train"]) == 0
  assert called == [("mmer_jax.train", ["mmer train", "--help"])]


def test_an_unknown_command_is_one_line(capsys):
  assert entry.run(["trian"]) == 2
  out, err = capsys.readouterr()
  assert not out and err.count("\n") == 1
  assert "did you mean 'train'" in err


def test_a_config_by_name_and_the_completion_run_as_a_user_calls_them():
  done = subprocess.run(
    [sys.executable, "-m", "mmer_jax", "configs", "mtee/mosei:readme"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert not done.returncode, done.stderr
  assert "\noptimizer.learning_rate = 0.001\n" in done.stdout
  assert "Parameters: 4,886,303" in done.stdout
  # Bash splits at =, zsh does not.
  script = (
    'eval "$(python -m mmer_jax completion)"; COMP_WORDS=(mmer ev);'
    ' COMP_CWORD=1; _mmer; echo "${COMPREPLY[@]}";'
    " COMP_WORDS=(mmer train --config = own/mt); COMP_CWORD=4;"
    ' _mmer; echo "${COMPREPLY[@]}"; COMP_WORDS=(mmer configs m3er/n);'
    ' COMP_CWORD=2; _mmer; echo "${COMPREPLY[@]}";'
    " COMP_WORDS=(mmer train --config=own/mt); COMP_CWORD=2;"
    ' _mmer; echo "${COMPREPLY[@]}"'
  ).replace("python", sys.executable)
  done = subprocess.run(
    ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert done.stdout.split() == [
    "evaluate",
    "own/mtee",
    "m3er/noise",
    "--config=own/mtee",
  ]
