"""The documents: every command runs, every name and every link resolves.

Commands of the README are run at reduced sizes. Those of the guide are run so
under `-m long`; here their flags are read and their configs loaded, as for the
commands of all other documents. Corpora that nobody may hand on are drawn in
the same layout by `stand_ins`.
"""

import ast
import contextlib
import functools
import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from absl import flags

import mmer_jax
from mmer_jax import __main__ as entry
from mmer_jax import quickstart
from mmer_jax.api import train as api_train
from mmer_jax.base import cli, compile_cache
from tests import stand_ins

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [
  *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
  *sorted((ROOT / "docs").glob("*.md")),
]
VERBS = sorted(
  [
    *(
      f"mmer_jax.{path.stem}"
      for path in (ROOT / "mmer_jax").glob("*.py")
      if not path.stem.startswith("__")
    ),
    "data_prep.convert",
    "data_prep.inspect",
    "data_prep.encode_words",
  ]
)
# What makes a command small: its effect on numbers is not tested here.
REDUCED = {
  "data_prep.convert": ["--file_format=array_record"],
  "mmer_jax.train": [
    "--config.training.epochs=1",
    "--config.few_shot.epochs=1",
    "--config.protocol.folds=(1,)",
    "--config.training.batch_size=32",
  ],
  "mmer_jax.export": ["--platforms=cpu"],
  "mmer_jax.benchmark": ["--runs=2", "--steps=2", "--dispatches=1"],
}
REDUCED["mmer_jax.table"] = REDUCED["mmer_jax.train"]
# What a flag needs: packages of hundreds of megabytes.
OPTIONAL = {"--text_encoder=": "transformers", "--topology=": "libtpu"}
# Smaller models, by what an argument begins with.
SMALLER = {
  "--config=configs/dae_mmd/": [
    "--config.unlabelled.per_class=4",
    "--config.model.heads=2",
    "--config.model.blocks=1",
    "--config.model.classifier=8",
    "--config.model.dense.acoustic=(12, 8)",
    "--config.model.sequence.lexical.sizes=(16, 8)",
  ],
  # The sizes of the stand-in for a published state dict.
  "--state_dict=": [
    "--config.model.hidden.lexical=25",
    "--config.model.hidden.acoustic=16",
    "--config.model.hidden.visual=12",
  ],
}


class Command(NamedTuple):
  """A `python -m` command of a document.

  Attributes:
    where: Document and line.
    module: What is run.
    arguments: Behind it.
  """

  where: str
  module: str
  arguments: list[str]


def blocks(path: pathlib.Path, language: str) -> list[tuple[int, str]]:
  """Line and text of every fenced block of a language."""
  text = path.read_text("utf-8")
  return [
    (text[: match.start()].count("\n") + 2, match.group(1))
    for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
  ]


def commands(path: pathlib.Path) -> list[Command]:
  """Every `python -m mmer_jax` or `data_prep` command of a document."""
  found = []
  for start, block in blocks(path, "sh"):
    joined = block.replace("\\\n", " ")
    for line in joined.split("\n"):
      words = shlex.split(line, comments=True)
      if words[:1] != ["make"] and "-m" in words:
        at = words.index("-m") + 1
        if words[at].startswith(("mmer_jax.", "data_prep.")):
          where = f"{path.relative_to(ROOT)}:{start}"
          found.append(Command(where, words[at], words[at + 1 :]))
      elif words[:1] == ["mmer"]:
        where = f"{path.relative_to(ROOT)}:{start}"
        found.append(Command(where, entry.COMMANDS[words[1]], words[2:]))
  return found


ALL = [each for path in DOCUMENTS for each in commands(path)]


def name(command: Command) -> str:
  return f"{command.where} {command.module}"


@contextlib.contextmanager
def parsed(module: str, arguments: list[str]):
  """The flags of a command; they are gone afterwards."""
  values, before = flags.FLAGS, set(flags.FLAGS)
  verb = importlib.import_module(module)
  started = sys.argv
  if module == "data_prep.inspect":
    # As the verb does: its paths come without a flag's name.
    arguments = [
      each if each.startswith("-") else f"--path={each}" for each in arguments
    ]
  # Where `config_flags` looks for overrides of a config.
  sys.argv = [module, *arguments]
  try:
    verb.define_flags()
    cli.let_configs_be_named()
    rest = values(sys.argv)
    for each in set(values) - before:
      # A config file is read when something asks it.
      getattr(values[each].value, "is_locked", None)
    yield verb, rest
  finally:
    sys.argv = started
    values.remove_flag_values(sorted(set(values) - before))
    values.unparse_flags()


def reductions(command: Command) -> list[str]:
  """Flags that make a command small."""
  reduced = list(REDUCED.get(command.module, []))
  for start, flags_of_it in SMALLER.items():
    if any(each.startswith(start) for each in command.arguments):
      reduced += flags_of_it
  if "--source=synthetic" in command.arguments:
    reduced.append("--num_examples=300")
  if command.module in ("mmer_jax.train", "mmer_jax.table") and not any(
    each.startswith("--config.seeds") for each in command.arguments
  ):
    reduced.append("--config.seeds=(0,)")
  return reduced


def optional(command: Command) -> set[str]:
  """Packages that a command needs and no test may ask for."""
  return {
    package
    for flag, package in OPTIONAL.items()
    if any(each.startswith(flag) for each in command.arguments)
  }


def run(command: Command) -> None:
  """Runs a command in this process, at reduced sizes."""
  arguments = [*command.arguments, *reductions(command)]
  with parsed(command.module, arguments) as (verb, rest):
    verb.main(rest)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
  """A folder with the corpora of the commands, and the repository's files."""
  folder = tmp_path_factory.mktemp("workplace")
  stand_ins.write_all(folder)
  for each in ("configs", "data_prep", "benchmarks"):
    (folder / each).symlink_to(ROOT / each)
  with contextlib.chdir(folder):
    yield folder


@pytest.fixture(scope="module")
def after_readme(workplace):
  """The same folder after the commands of the README."""
  for command in commands(ROOT / "README.md"):
    run(command)
  return workplace


def test_the_commands_of_the_readme_run(after_readme):
  assert (after_readme / "predictions.jsonl").exists()
  results = after_readme / "runs" / "mtee" / "results"
  assert {"test.json", "validation.json"} <= {
    path.name for path in results.iterdir()
  }


def test_the_python_of_the_readme_and_the_guide_runs(after_readme, monkeypatch):
  def train(config, seeds, **options):
    small = {"training.epochs": 1, "model.layers": 1, "training.batch_size": 32}
    small |= {f"model.hidden.{name}": 4 for name in ("acoustic", "visual")}
    return api_train.train(config, seeds=seeds[:1], **options, **small)

  monkeypatch.setattr(mmer_jax, "train", train)
  rng = np.random.default_rng(0)
  for path in (ROOT / "README.md", ROOT / "docs" / "guide.md"):
    for _, block in blocks(path, "python"):
      given = {
        "words": rng.normal(size=(7, 25)).astype(np.float32),
        "frames": rng.normal(size=(9, 20)).astype(np.float32),
        "vector": rng.normal(size=25).astype(np.float32),
      }
      exec(compile(block, str(path), "exec"), given)


@pytest.mark.long
def test_the_commands_of_the_guide_run(after_readme):
  if importlib.util.find_spec("transformers"):
    stand_ins.encoder(after_readme / "all-MiniLM-L6-v2")
  for command in commands(ROOT / "docs" / "guide.md"):
    if all(importlib.util.find_spec(each) for each in optional(command)):
      run(command)


@pytest.mark.parametrize("command", ALL, ids=name)
def test_the_flags_and_the_config_of_a_command_exist(command, monkeypatch):
  monkeypatch.chdir(ROOT)
  with parsed(command.module, command.arguments) as (_, rest):
    assert len(rest) == 1 or command.module == "mmer_jax.list_configs"


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_a_verbs_help_can_be_read(verb, monkeypatch):
  monkeypatch.chdir(ROOT)
  text = importlib.import_module(verb).__doc__.replace("\\\n", " ")
  examples = re.findall(rf"^ *python -m ({re.escape(verb)} .*)$", text, re.M)
  assert examples
  for example in examples:
    with parsed(verb, shlex.split(example)[1:]):
      pass


def test_the_guide_shows_every_verb():
  shown = {each.module for each in commands(ROOT / "docs" / "guide.md")}
  assert shown == set(VERBS)


@functools.cache
def flag_names() -> set[str]:
  found = {"help", "helpfull", compile_cache.FLAG}
  for verb in VERBS:
    before = set(flags.FLAGS)
    try:
      importlib.import_module(verb).define_flags()
      found |= set(flags.FLAGS) - before
    finally:
      flags.FLAGS.remove_flag_values(sorted(set(flags.FLAGS) - before))
  return found


@functools.cache
def config_keys() -> set[str]:
  """Every key of every config, and every part of one, dotted."""
  found = set()

  def walk(config, prefix):
    for key, value in config.items():
      found.add(f"{prefix}.{key}")
      if hasattr(value, "items"):
        walk(value, f"{prefix}.{key}")

  for path in (ROOT / "configs").rglob("*.py"):
    if path.stem not in ("common", "__init__"):
      parts = path.relative_to(ROOT).with_suffix("").parts
      walk(importlib.import_module(".".join(parts)).get_config(), "config")
  return found


def code_spans(path: pathlib.Path) -> list[str]:
  """What stands between single backticks, outside of blocks."""
  text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
  return re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_flag_and_config_key_that_is_named_exists(path):
  for span in code_spans(path):
    for flag in re.findall(r"(?<![\w-])--([a-z_]+)(?![\w.])", span):
      if not re.search(r"pip |pytest|ruff|benchmarks/", span):
        assert flag in flag_names(), f"--{flag}"
    for key in re.findall(r"(?<![\w/])(config(?:\.[a-z_]+)+)", span):
      if not key.endswith((".json", ".py")):
        assert key in config_keys(), key


# Folders below mmer_jax, whose modules documents name without it.
FOLDERS = sorted(
  path.parent.name for path in (ROOT / "mmer_jax").glob("*/__init__.py")
)
SUFFIXES = (
  *(".json", ".jsonl", ".npz", ".csv", ".md", ".py", ".toml", ".cfg", ".txt"),
  *(".h5", ".csd", ".html", ".parquet", ".stablehlo", ".safetensors", ".gz"),
  *(".cff", ".pkl", ".wav"),
)


def definitions(tree: ast.AST) -> dict[str, ast.AST]:
  """What the top level of a module or class defines."""
  found = {}
  for node in tree.body:
    if hasattr(node, "name"):
      found[node.name] = node
    for target in getattr(node, "targets", [getattr(node, "target", None)]):
      if isinstance(target, ast.Name):
        found[target.id] = node
  return found


def resolves(dotted: str) -> bool:
  """Whether a dotted name is a module, or something that a module defines."""
  parts = dotted.split(".")
  if parts[0] in FOLDERS:
    parts = ["mmer_jax", *parts]
  for count in range(len(parts), 0, -1):
    path = ROOT.joinpath(*parts[:count])
    if path.is_dir() and (path / "__init__.py").exists():
      path = path / "__init__.py"
    else:
      path = path.with_suffix(".py")
    if path.exists():
      node = ast.parse(path.read_text("utf-8"))
      for part in parts[count:]:
        known = definitions(node) if hasattr(node, "body") else {}
        if part not in known:
          return False
        node = known[part]
      return True
  return False


def expand(span: str) -> list[str]:
  """`a/{b,c}.py` as two names."""
  match = re.search(r"\{([^{}]*)\}", span)
  if not match:
    return [span]
  return [
    each
    for choice in match.group(1).split(",")
    for each in expand(span[: match.start()] + choice + span[match.end() :])
  ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_code_name_and_path_resolves(path):
  for span in code_spans(path):
    for each in expand(span):
      if "NAME" in each:
        continue
      if re.fullmatch(r"[\w/-]+\.py(:\w+)?", each) and "/" in each:
        assert (ROOT / each.partition(":")[0]).exists(), each
      elif re.fullmatch(
        r"(mmer_jax|data_prep|configs|benchmarks|tests)/[\w/]*", each
      ):
        assert (ROOT / each).exists(), each
      elif re.fullmatch(r"[a-z_]\w*(\.[A-Za-z_]\w*)+", each):
        if not each.startswith("config.") and not each.endswith(SUFFIXES):
          assert resolves(each) or known_elsewhere(each), each


def known_elsewhere(dotted: str) -> bool:
  """Attributes of what a reader holds, and other packages."""
  first = dotted.partition(".")[0]
  return first in {
    *("jax", "numpy", "flax", "optax", "prediction", "sweep", "few_shot"),
    *("unlabelled", "twitter"),
  }


def test_every_row_of_papers_names_a_place_in_the_code():
  text = (ROOT / "docs" / "papers.md").read_text("utf-8")
  for table in re.findall(
    r"\| paper \| here \|\n\|[-|]+\|\n((?:\|.*\n)+)", text
  ):
    for row in table.splitlines():
      assert "`" in row.split("|")[2], row


def anchors(path: pathlib.Path) -> set[str]:
  """GitHub's anchors of the headings of a document."""
  headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
  return {
    re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    for heading in headings
  }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_inside_the_repository_leads_somewhere(path):
  for target in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
    if target.startswith("http"):
      continue
    file, _, anchor = target.partition("#")
    to = (path.parent / file).resolve() if file else path
    assert to.exists(), target
    if anchor:
      assert anchor in anchors(to), target


def test_the_readme_is_one_hundred_and_fifty_lines_at_most():
  lines = (ROOT / "README.md").read_text("utf-8").splitlines()
  assert len(lines) <= 150
  assert max(map(len, lines)) <= 100


def test_help_names_the_targets_of_the_makefile():
  done = subprocess.run(
    ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
  )
  text = (ROOT / "Makefile").read_text("utf-8")
  for target in re.search(r"\.PHONY: (.*)", text).group(1).split():
    assert re.search(rf"^{target}\b", done.stdout, re.M), target


def test_the_commands_of_the_quick_start_can_be_read(monkeypatch, tmp_path):
  monkeypatch.chdir(ROOT)
  read = []
  for name, *arguments in quickstart.commands(tmp_path):
    with parsed(entry.COMMANDS[name], arguments):
      read.append(name)
  assert read == ["convert", "train", "evaluate", "report"]


def test_every_deviation_of_papers_names_a_place_in_the_code():
  text = (ROOT / "docs" / "papers.md").read_text("utf-8")
  sections = re.findall(
    r"### What the paper leaves open\n(.*?)(?=\n###? |\Z)", text, re.S
  )
  assert len(sections) == 7
  for section in sections:
    for bullet in re.split(r"\n(?=- )", section.strip()):
      assert re.search(r"\*In\s+`", bullet), bullet
