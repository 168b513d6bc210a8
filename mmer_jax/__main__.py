"""Runs a command by its name: `mmer train ...` is `python -m mmer_jax.train`.

Example:
  mmer                       # lists the commands
  mmer train --help          # what a command takes, with an example
  mmer configs               # lists the configs, to train with by name
  mmer quickstart            # synthetic corpus -> training -> table -> report

Completion of commands and configs in bash or zsh: eval "$(mmer completion)".
"""

import ast
import importlib.util
import os
import pathlib
import runpy
import sys
from collections.abc import Sequence

import rich.console

from mmer_jax.base import errors, progress, shipped, version

# Command to its module, in the order in which people need them.
COMMANDS = {
  "quickstart": "mmer_jax.quickstart",
  "convert": "data_prep.convert",
  "inspect": "data_prep.inspect",
  "encode_words": "data_prep.encode_words",
  "configs": "mmer_jax.list_configs",
  "train": "mmer_jax.train",
  "evaluate": "mmer_jax.evaluate",
  "table": "mmer_jax.table",
  "predict": "mmer_jax.predict",
  "export": "mmer_jax.export",
  "figures": "mmer_jax.figures",
  "word_maps": "mmer_jax.word_maps",
  "report": "mmer_jax.report",
  "benchmark": "mmer_jax.benchmark",
  "lengths": "mmer_jax.lengths",
  "import_torch": "mmer_jax.import_torch",
}

# For bash, and for zsh through its emulation. Bash takes = for a word's end.
_COMPLETION = """\
[ -n "$ZSH_VERSION" ] && autoload -Uz bashcompinit && bashcompinit
_mmer() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" configs="{configs}" before=""
  [ "$COMP_CWORD" -gt 2 ] && before="${{COMP_WORDS[*]:COMP_CWORD-2:2}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{words}" -- "$word"))
  elif [[ "$before" == "--config =" || "${{COMP_WORDS[1]}}" == configs ]]; then
    COMPREPLY=($(compgen -W "$configs" -- "$word"))
  elif [[ "$word" == --config=* ]]; then
    COMPREPLY=($(compgen -P --config= -W "$configs" -- "${{word#*=}}"))
  fi
}}
complete -o default -F _mmer mmer"""


def main() -> None:
  """Runs the command that the first word of the command line names."""
  sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
  """Runs a command; returns the exit status where it is not the command's.

  Args:
    words: What stands behind `mmer` on the command line.
  """
  name, *rest = words or ("--help",)
  if name == "help" and rest:
    name, rest = rest[0], ["--help"]
  if name in ("--help", "-h", "help"):
    sys.stdout.write(_help() + "\n")
    return 0
  if name in ("--version", "version"):
    sys.stdout.write(f"mmer_jax {version.__version__}\n")
    return 0
  if name == "completion":
    configs = " ".join(shipped.names("config"))
    script = _COMPLETION.format(words=" ".join(COMMANDS), configs=configs)
    sys.stdout.write(script + "\n")
    return 0
  name = name.replace("-", "_")
  if name not in COMMANDS:
    near = errors.did_you_mean(name, COMMANDS)
    sys.stderr.write(
      f"error: {words[0]!r} is not a command, expected one of"
      f" {', '.join(COMMANDS)}{near}\n"
    )
    return 2
  sys.argv = [f"mmer {name}", *rest]
  # XLA logs to the terminal what its exceptions say as well.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  console = rich.console.Console(stderr=True)
  # Until the command begins, which ends it: JAX takes seconds to be imported.
  with progress.shown(console), progress.doing(f"starting mmer {name}"):
    # As `python -m` would: the command reads its flags and ends the process.
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)
  return 0


def _help() -> str:
  """Lists the commands with the first sentence of their documentation."""
  width = max(map(len, COMMANDS))
  lines = [
    f"  {name:{width}}  {_first_line(module)}"
    for name, module in COMMANDS.items()
  ]
  return "\n".join(
    [
      "usage: mmer COMMAND [--FLAG=VALUE ...]",
      "",
      *lines,
      "",
      "mmer COMMAND --help shows an example and every flag.",
      "mmer --version; mmer completion.",
    ]
  )


def _first_line(module: str) -> str:
  """Reads the first line of a module's documentation without running it."""
  origin = importlib.util.find_spec(module).origin
  tree = ast.parse(pathlib.Path(origin).read_text("utf-8"))
  return ast.get_docstring(tree).partition("\n")[0].rstrip(".")


if __name__ == "__main__":
  main()
