"""Says in the report where a workdir's numbers come from, and how to go on."""

import contextlib
import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from mmer_jax.evaluation import tables


def failed_runs(result: dict[str, Any]) -> list[str]:
  """Names the runs that failed and have no numbers."""
  return [
    f"run {run['run']} (fold {run['fold']}, seed {run['seed']},"
    f" {run.get('failure') or 'at step ' + str(run['failed_step'])})"
    for run in result["runs"]
    if run["failed_step"] is not None
  ]


def provenance(
  description: dict[str, Any], result: dict[str, Any]
) -> list[tuple[str, str]]:
  """Lists where the numbers of a workdir come from."""
  protocol = result["protocol"]
  decision = protocol["decision"]
  if decision == "binary":
    decision += f", threshold {protocol['threshold']:g}"
  return [
    ("system", description["system"]),
    ("shards", description["dataset"]["name"]),
    ("fingerprint of the shards", description["dataset"]["fingerprint"]),
    ("config, SHA-256", description["config_sha256"]),
    ("protocol", protocol["split"]),
    ("decision", decision),
    ("checkpoints chosen on validation by", result["select"]),
    ("stages", ", ".join(description["stages"])),
    (
      "environment",
      ", ".join(
        f"{name} {value}" for name, value in description["environment"].items()
      ),
    ),
    ("failed runs", ", ".join(failed_runs(result)) or "none"),
    *(("texts", sentence) for sentence in tables.about_texts(result)),
    *(("intervals", sentence) for sentence in tables.about_intervals(result)),
  ]


def commands(
  folder: pathlib.Path, description: Mapping[str, Any]
) -> list[tuple[str, str]]:
  """Lists commands that can be pasted: what each does, and its text."""
  workdir = shlex.quote(f"--workdir={folder}")
  evaluate = ("python -m mmer_jax.evaluate", (workdir, "--split=test"))
  export = ("python -m mmer_jax.export", (workdir, "--out=model"))
  return [
    ("train these runs again", pasteable(description["command"])),
    ("score the test split", _one_flag_a_line(*evaluate)),
    ("make a file of the model", _one_flag_a_line(*export)),
  ]


def pasteable(command: str) -> str:
  """Quotes a command of run.json for a shell, with one flag a line.

  Args:
    command: The command line. That of an older workdir is not quoted; a verb
      takes flags alone, so that a word without dashes is the rest of the one
      before it.
  """
  words = command.split()
  with contextlib.suppress(ValueError):
    if shlex.join(shlex.split(command)) == command:
      words = shlex.split(command)
  start, flags = words[:1], []
  for word in words[1:]:
    if word.startswith("--"):
      flags.append(word)
    elif flags:
      flags[-1] += f" {word}"
    else:
      # The verb of an installed `mmer VERB`.
      start.append(word)
  program = pathlib.PurePath(start[0] if start else "")
  if program.suffix == ".py":
    start[:1] = ["python", "-m", f"{program.parent.name}.{program.stem}"]
  else:
    start[:1] = [program.name]
  return _one_flag_a_line(shlex.join(start), map(shlex.quote, flags))


def _one_flag_a_line(start: str, words: Iterable[str]) -> str:
  return " \\\n  ".join([start, *words])
