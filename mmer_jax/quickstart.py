r"""Goes from a synthetic corpus to a report, in a few minutes on two CPU cores.

Example:
  python -m mmer_jax.quickstart --out=quickstart

Converts a small synthetic corpus, trains MTEE on three folds and two seeds as
the six runs of one program, evaluates them on the test split and writes a
report. Each command is printed before it runs: those are the commands for a
corpus of one's own. The same command again resumes.
"""

import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli
from mmer_jax.data import manifest


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string(
    "out", "quickstart", "The folder of shards, workdir and report."
  )


def main(argv: Sequence[str]) -> int | None:
  """Runs the four commands, one after another; ends where one of them fails."""
  del argv
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  folder = pathlib.Path(flags.FLAGS.out)
  for command in commands(folder):
    console.print(f"$ mmer {' '.join(command)}")
    done = subprocess.run(
      [sys.executable, "-m", "mmer_jax", *command], check=False
    )
    if done.returncode:
      return done.returncode
  page = folder / "report" / "index.html"
  console.print(
    "The numbers are of the test split: the mean of six runs, and half the"
    f" width of its 95 % interval. Next: open {page} in a browser; mmer configs"
    " lists what else can be trained."
  )
  return None


def commands(folder: pathlib.Path) -> Iterator[list[str]]:
  """Lists the commands that are still to run, as words behind `mmer`."""
  shards, workdir = folder / "shards", folder / "mtee"
  if not (shards / manifest.MANIFEST).exists():
    yield [
      "convert",
      "--source=synthetic",
      "--preset=tiny",
      f"--output={shards}",
    ]
  yield [
    "train",
    "--config=quickstart",
    f"--config.data.dir={shards}",
    f"--workdir={workdir}",
  ]
  yield ["evaluate", f"--workdir={workdir}", "--split=test"]
  yield ["report", f"--workdirs={workdir}", f"--out={folder / 'report'}"]


if __name__ == "__main__":
  define_flags()
  cli.run(main)
