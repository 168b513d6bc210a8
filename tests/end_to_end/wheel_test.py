"""The wheel in an environment of its own, away from the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def call(*words, folder):
  return subprocess.run(
    list(map(str, words)),
    cwd=folder,
    check=False,
    capture_output=True,
    text=True,
  )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Built from a copy: the build writes beside its sources."""
  folder = tmp_path_factory.mktemp("wheel")
  source = folder / "source"
  source.mkdir()
  ignored = shutil.ignore_patterns("__pycache__")
  for name in ("mmer_jax", "data_prep", "configs"):
    shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
  for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
  done = call(
    *pip, "wheel", "-q", "--no-deps", "-w", folder, ".", folder=source
  )
  assert not done.returncode, done.stderr
  (path,) = folder.glob("*.whl")
  return path


@pytest.fixture(scope="module")
def mmer(wheel, tmp_path_factory):
  """The console command; what the project needs is borrowed from here."""
  folder = tmp_path_factory.mktemp("environment")
  venv.create(folder, with_pip=False, symlinks=True)
  (site,) = folder.glob("lib/python*/site-packages")
  # A path in a .pth file is searched, and its own .pth files are not read: the
  # checkout, if it is installed there, stays out.
  (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
  python = folder / "bin" / "python"
  pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
  done = call(
    *pip, "--python", python, "install", "-q", "--no-deps", wheel, folder=folder
  )
  assert not done.returncode, done.stderr
  return folder / "bin" / "mmer"


def test_the_wheel_holds_the_configs_and_no_name_that_could_collide(wheel):
  with zipfile.ZipFile(wheel) as file:
    names = file.namelist()
  tops = {name.partition("/")[0] for name in names}
  assert {top for top in tops if not top.endswith(".dist-info")} == {
    "mmer_jax",
    "data_prep",
  }
  own = {
    f"mmer_jax/{p.relative_to(ROOT)}" for p in ROOT.glob("configs/**/*.py")
  }
  assert own <= set(names)
  for tree in ("mmer_jax", "data_prep"):
    assert {
      str(p.relative_to(ROOT)) for p in ROOT.glob(f"{tree}/**/*.py")
    } <= set(names)
  assert "mmer_jax/reporting/report.html" in names


def test_the_command_runs_elsewhere_and_finds_configs_by_name(mmer, tmp_path):
  assert call(mmer, "--version", folder=tmp_path).stdout.startswith("mmer_jax ")
  done = call(mmer, "configs", "quickstart:smoke", folder=tmp_path)
  assert not done.returncode, done.stderr
  assert (
    str(mmer.parents[1])
    in call(
      mmer.with_name("python"),
      "-c",
      "import mmer_jax; print(mmer_jax.__file__)",
      folder=tmp_path,
    ).stdout
  )
  assert "seeds = " in done.stdout
  assert os.listdir(tmp_path) == []


@pytest.mark.long
def test_the_quick_start_runs_elsewhere(mmer, tmp_path):
  done = call(mmer, "quickstart", folder=tmp_path)
  assert not done.returncode, done.stderr
  for path in (
    "shards/mmer.json",
    "mtee/results/test.json",
    "report/index.html",
  ):
    assert (tmp_path / "quickstart" / path).is_file(), path
