"""Shards of synthetic corpora, converted once for all tests that read them."""

import pathlib
import subprocess
import sys

import pytest

from tests import made_once

ROOT = pathlib.Path(__file__).parents[1]


def synthetic(
  factory: pytest.TempPathFactory, preset: str = "tiny", count: int = 300
) -> pathlib.Path:
  """Converts a synthetic corpus by the command; nobody writes into it."""

  def convert(folder: pathlib.Path) -> None:
    done = subprocess.run(
      [
        sys.executable,
        "-m",
        "data_prep.convert",
        "--source=synthetic",
        f"--preset={preset}",
        f"--num_examples={count}",
        "--file_format=array_record",
        f"--output={folder}",
      ],
      cwd=ROOT,
      check=False,
      capture_output=True,
      text=True,
    )
    assert not done.returncode, done.stderr

  return made_once.made_once(factory, f"{preset}_{count}", convert)
