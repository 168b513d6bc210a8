"""The shape of the tree: which folder imports which, and how long things are.

Read by `ast`, so that imports inside functions count and nothing is run.
"""

import ast
import functools
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TREES = ("mmer_jax", "data_prep", "configs", "benchmarks")

# Each line may import the lines above it. Two folders of one line do not know
# each other, and nobody imports a command.
ORDER = (
  ("base",),
  ("core",),
  ("data",),
  ("systems", "robustness"),
  ("experiment",),
  ("training", "linear"),
  ("evaluation",),
  ("serving", "reporting"),
  ("api",),
  ("commands",),
)
LEVEL = {folder: level for level, line in enumerate(ORDER) for folder in line}

# What stands beside the library, and what of it each may import.
BESIDE = {
  "data_prep": ("base", "core", "data"),
  # A table says its columns and rows in terms of `evaluation.published`.
  "configs": ("base", "evaluation"),
  "benchmarks": tuple(LEVEL),
}

# The library's one way to the converter, from a module that is imported late:
# what predicts from text and sound makes features by the code of conversion.
MAKER = "mmer_jax.serving.maker"

# Imports of the project's own modules inside a function, and why.
LATE = {
  ("mmer_jax", "mmer_jax.serving.load"): "importing the package must not"
  " import jax",
  ("mmer_jax", "mmer_jax.api.run"): "as above",
  ("mmer_jax", "mmer_jax.api.train"): "as above",
  ("mmer_jax.serving.load", "mmer_jax.serving.workdir"): "an export loads"
  " with jax and numpy alone, without Flax and the systems",
  ("mmer_jax.serving.model", MAKER): "predicting from arrays needs none of the"
  " converter",
  ("mmer_jax.serving.inputs", "mmer_jax.data.shards"): "predicting from"
  " arrays needs no reader of shards",
}

MAX_FILE = 400
LONG_FILES: dict[str, str] = {}
MAX_FUNCTION = 60
LONG_FUNCTIONS = {
  "configs.common.base": "the list of every shared key, read from the top",
}


@functools.cache
def modules() -> dict[str, ast.Module]:
  """Every module of the project by its dotted name."""
  found = {}
  for tree in TREES:
    for path in sorted((ROOT / tree).rglob("*.py")):
      parts = list(path.relative_to(ROOT).with_suffix("").parts)
      if parts[-1] == "__init__":
        parts.pop()
      found[".".join(parts)] = ast.parse(path.read_text("utf-8"))
  return found


def imported(node: ast.AST, known) -> set[str]:
  """The project's modules that the import statements below a node name."""
  names = set()
  for each in ast.walk(node):
    if isinstance(each, ast.Import):
      names |= {_own_name(alias.name) for alias in each.names}
    elif isinstance(each, ast.ImportFrom):
      assert not each.level, "imports are absolute"
      module = _own_name(each.module)
      for alias in each.names:
        full = _own_name(f"{module}.{alias.name}")
        names.add(full if full in known else module)
  return {name for name in names if name in known}


def _own_name(name: str) -> str:
  """The configs' name in the checkout; `mmer_jax/configs` is a link to it."""
  parts = name.split(".")
  if parts[:2] == ["mmer_jax", "configs"]:
    return ".".join(parts[1:])
  return name


def folder(module: str) -> str:
  """The folder whose rules a module follows."""
  parts = module.split(".")
  if parts[0] != "mmer_jax":
    return parts[0]
  if len(parts) == 1:
    return "face"
  return parts[1] if parts[1] in LEVEL else "commands"


def is_command(module: str) -> bool:
  return folder(module) == "commands" or module in (
    "data_prep.convert",
    "data_prep.inspect",
    "data_prep.encode_words",
  )


def may_import(importer: str, target: str) -> bool:
  """Whether the order allows an import."""
  if is_command(target):
    return False
  above, below = folder(importer), folder(target)
  # The face: the version, and late imports, which LATE names.
  if above == "face":
    return target == "mmer_jax.base.version" or below in ("serving", "api")
  if below == "face":
    return False
  if above in BESIDE:
    return below in (above, *BESIDE[above]) or (
      above == "benchmarks" and below == "configs"
    )
  if below in BESIDE:
    return importer == MAKER and below == "data_prep"
  if above == below == "systems":
    return same_paper(importer, target)
  return above == below or LEVEL[below] < LEVEL[above]


def same_paper(importer: str, target: str) -> bool:
  """Whether two modules of `systems` are of one paper, or of no paper."""
  papers = [
    module.split(".")[2] if module.count(".") > 2 else ""
    for module in (importer, target)
  ]
  # Only the registry, which lists the papers, knows them from outside.
  return papers[1] in ("", papers[0]) or importer == "mmer_jax.systems.registry"


def arrows() -> list[tuple[str, str]]:
  return [
    (importer, target)
    for importer, tree in modules().items()
    for target in sorted(imported(tree, modules()))
    if target != importer
  ]


def test_imports_run_one_way():
  against = [pair for pair in arrows() if not may_import(*pair)]
  assert not against, "\n".join(" -> ".join(pair) for pair in against)


def test_no_modules_import_each_other_in_a_circle():
  graph = {module: set() for module in modules()}
  for importer, target in arrows():
    graph[importer].add(target)
  # Raises a CycleError that names the circle.
  assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(
    graph
  )


def test_configs_import_each_other_as_what_ships():
  """A wheel has no package `configs`, but `mmer_jax.configs`."""
  for module, tree in modules().items():
    if folder(module) != "configs":
      continue
    for each in ast.walk(tree):
      if isinstance(each, ast.ImportFrom):
        assert each.module.split(".")[0] != "configs", module
      elif isinstance(each, ast.Import):
        assert all(a.name.split(".")[0] != "configs" for a in each.names)


def test_every_folder_is_in_the_order():
  folders = {
    path.name
    for path in (ROOT / "mmer_jax").iterdir()
    if path.is_dir()
    and not path.is_symlink()
    and (path / "__init__.py").exists()
  }
  assert folders == set(LEVEL) - {"commands"}


def test_an_import_inside_a_function_is_named_with_its_reason():
  late = set()
  for importer, tree in modules().items():
    for node in ast.walk(tree):
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        late |= {(importer, each) for each in imported(node, modules())}
  assert late == set(LATE)


def test_an_init_file_holds_one_docstring_and_no_code():
  for module, tree in modules().items():
    path = ROOT.joinpath(*module.split("."))
    if not path.is_dir() or module == "mmer_jax":
      continue
    assert len(tree.body) == 1 and ast.get_docstring(tree), (
      f"{module}/__init__.py"
    )


def test_the_face_of_the_package_is_three_functions_and_the_version():
  tree = modules()["mmer_jax"]
  functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
  assert functions == ["load", "train", "open_run"]
  assert not any(isinstance(node, ast.ClassDef) for node in tree.body)


def test_no_file_is_long_without_a_reason():
  long = {
    path.relative_to(ROOT).as_posix()
    for tree in TREES
    for path in (ROOT / tree).rglob("*.py")
    if len(path.read_text("utf-8").splitlines()) > MAX_FILE
  }
  assert long == set(LONG_FILES)


def lengths(module: str, node: ast.AST, prefix: str = ""):
  """Yields every function's dotted name and its lines, decorators included."""
  for each in ast.iter_child_nodes(node):
    name = f"{prefix}.{each.name}" if hasattr(each, "name") else prefix
    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
      first = min([each.lineno, *(line.lineno for line in each.decorator_list)])
      yield f"{module}{name}", each.end_lineno - first + 1
    yield from lengths(module, each, name)


def test_no_function_is_long_without_a_reason():
  long = {
    name: lines
    for module, tree in modules().items()
    for name, lines in lengths(module, tree)
    if lines > MAX_FUNCTION
  }
  assert set(long) == set(LONG_FUNCTIONS), long


@pytest.mark.parametrize(
  ("importer", "target"),
  [
    ("mmer_jax.core.gem", "mmer_jax.data.schema"),
    ("mmer_jax.base.cli", "mmer_jax.core.gem"),
    ("mmer_jax.data.splits", "mmer_jax.robustness.noise"),
    ("mmer_jax.systems.supervised", "mmer_jax.robustness.noise"),
    ("mmer_jax.robustness.noise", "mmer_jax.systems.interface"),
    ("mmer_jax.systems.mtee.model", "mmer_jax.systems.m3er.model"),
    ("mmer_jax.systems.supervised", "mmer_jax.systems.m3er.model"),
    ("mmer_jax.serving.model", "mmer_jax.reporting.plots"),
    ("mmer_jax.reporting.plots", "mmer_jax.serving.model"),
    ("mmer_jax.evaluation.evaluate", "mmer_jax.evaluate"),
    ("mmer_jax.report", "mmer_jax.figures"),
    ("mmer_jax.training.loop", "configs.common"),
    ("mmer_jax.data.shards", "data_prep.writing.write"),
    ("mmer_jax.serving.model", "data_prep.sources.request"),
    (MAKER, "data_prep.convert"),
    (MAKER, "configs.common"),
    ("data_prep.sources.request", MAKER),
    ("data_prep.writing.write", "mmer_jax.training.loop"),
    ("data_prep.sources.synthetic", "data_prep.convert"),
    ("configs.common", "mmer_jax.training.loop"),
  ],
)
def test_what_the_order_forbids_is_found(importer, target):
  assert not may_import(importer, target)


def test_the_way_to_the_converter_is_imported_late():
  """Whoever predicts from arrays loads none of it."""
  importers = {importer for importer, target in arrows() if target == MAKER}
  assert importers == {"mmer_jax.serving.model"}
  assert ("mmer_jax.serving.model", MAKER) in LATE
