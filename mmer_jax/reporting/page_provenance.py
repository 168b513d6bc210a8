"""Says in the report where a workdir's numbers come from, and how to go on."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any


def failed_runs(result: dict[str, Any]) -> list[str]:
  """Names the runs that failed and have no numbers."""
  return [
    f"run {run['run']} (fold {run['fold']}, seed {run['seed']}, at step"
    f" {run['failed_step']})"
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
  ]


def commands(
  folder: pathlib.Path, description: Mapping[str, Any]
) -> list[tuple[str, str]]:
  """Lists commands that can be pasted: what each does, and its text."""
  path = shlex.quote(str(folder))
  verb = "python -m mmer_jax."
  return [
    ("train these runs again", pasteable(description["command"])),
    (
      "score the test split",
      f"{verb}evaluate --workdir={path} --split=test",
    ),
    ("make a file of the model", f"{verb}export --workdir={path} --out=model"),
  ]


def pasteable(command: str) -> str:
  """Quotes a command of run.json for a shell.

  Args:
    command: The words of the command line with spaces between them; those of
      older workdirs are not quoted. A verb takes flags alone, so that a word
      without dashes is the rest of the one before it.
  """
  try:
    words = shlex.split(command)
  except ValueError:
    words = command.split()
  joined: list[str] = []
  for word in words:
    if len(joined) > 1 and not word.startswith("--"):
      joined[-1] += f" {word}"
    else:
      joined.append(word)
  program = pathlib.PurePath(joined[0] if joined else "")
  if program.suffix == ".py":
    module = f"{program.parent.name}.{program.stem}"
    start = ["python", "-m", module]
  else:
    start = [program.name]
  return shlex.join([*start, *joined[1:]])
