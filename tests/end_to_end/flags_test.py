"""Flags that would change nothing are refused, before anything is read."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--snr=0.1"], "--snr is given with --noise=, expected --noise=gaussian"),
    (
      ["--noise=dropped", "--snr=0.1"],
      "--snr is given with --noise=dropped, expected --noise=gaussian",
    ),
    (["--tau=0.1"], "expected --repair=check or proxy"),
    (["--repair=check", "--proxy=knn"], "expected --repair=proxy"),
  ],
)
def test_a_flag_without_the_one_that_it_refines_is_refused(flags, message):
  done = subprocess.run(
    [sys.executable, "-m", "mmer_jax.evaluate", "--workdir=nowhere", *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert message in done.stderr
  assert done.stderr.strip().count("\n") == 0
