"""Counts what a compiled program does from the text of its HLO.

XLA's own count takes the body of a loop once, whatever its trip count. Here
every loop that counts from zero to a constant, as all scans of JAX do, counts
as often as it runs.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-permute",
  "reduce-scatter",
)

# Do nothing when the program runs, or are counted as what they call.
_FREE = frozenset(
  {
    "after-all",
    "bitcast",
    "call",
    "conditional",
    "constant",
    "get-tuple-element",
    "opt-barrier",
    "parameter",
    "partition-id",
    "replica-id",
    "tuple",
    "while",
  }
)
# Read of their first operand only as much as they give.
_SLICES = ("dynamic-slice", "gather", "slice")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\](\{[^}]*\})?")
_CALLED = re.compile(
  r"(?:calls|body|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_BITS = re.compile(r"\d+")


class Instruction(NamedTuple):
  """Holds an instruction of a computation.

  Attributes:
    name: Unique in the module.
    opcode: As in HLO's text.
    size: Bytes of what it gives.
    fast_size: Those of them that lie in a chip's fast memory: TPU's S(1).
    operands: Names of the instructions that it takes.
    text: The rest of its line: values of constants, attributes.
    is_root: Whether it is what its computation gives.
  """

  name: str
  opcode: str
  size: int
  fast_size: int
  operands: tuple[str, ...]
  text: str
  is_root: bool

  @property
  def slow_size(self) -> int:
    """Bytes of what it gives that lie in the chip's main memory."""
    return self.size - self.fast_size


class Module(NamedTuple):
  """Holds the computations of a module by name, and the name of the first."""

  computations: Mapping[str, Mapping[str, Instruction]]
  entry: str


@dataclasses.dataclass
class Counts:
  """Counts what runs when a program is called once.

  Attributes:
    executed: Opcode to how many instructions of it run.
    bytes: Bytes that go to and from the main memory.
    collectives: Kind to how many run.
    collective_bytes: Kind to the bytes that they are given.
    loops: Loops in the text.
    unknown_loops: Loops of which no trip count is found; counted once.
  """

  executed: collections.Counter[str]
  bytes: float = 0.0
  collectives: collections.Counter[str] = dataclasses.field(
    default_factory=collections.Counter
  )
  collective_bytes: collections.Counter[str] = dataclasses.field(
    default_factory=collections.Counter
  )
  loops: int = 0
  unknown_loops: int = 0


def parse(text: str) -> Module:
  """Reads a module as `Compiled.as_text` prints it."""
  computations: dict[str, dict[str, Instruction]] = {}
  entry, current = "", None
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      current = computations.setdefault(header[2], {})
      entry = header[2] if header[1] else entry
    elif line.startswith("}"):
      current = None
    elif current is not None:
      instruction = _parse_line(line)
      if instruction:
        current[instruction.name] = instruction
  return Module(computations, entry)


def _parse_line(line: str) -> Instruction | None:
  """Reads an instruction; None where the line has none."""
  begin = _INSTRUCTION.match(line)
  if not begin:
    return None
  end = _end_of_shape(line, begin.end())
  opcode = _OPCODE.match(line, end)
  if not opcode:
    return None
  shape = line[begin.end() : end]
  closing = _closing(line, opcode.end() - 1)
  arguments = line[opcode.end() : closing]
  sizes = list(_array_sizes(shape))
  return Instruction(
    name=begin[2],
    opcode=opcode[1],
    size=sum(size for size, _ in sizes),
    fast_size=sum(size for size, fast in sizes if fast),
    operands=tuple(re.findall(r"%([\w.\-]+)", arguments)),
    text=line[opcode.end() :],
    is_root=begin[1] is not None,
  )


def _end_of_shape(line: str, start: int) -> int:
  """Finds where the shape that begins at `start` ends."""
  if line[start] == "(":
    return _closing(line, start) + 1
  return line.index(" ", start)


def _closing(line: str, start: int) -> int:
  """Finds the bracket that closes the one at `start`."""
  depth = 0
  for at in range(start, len(line)):
    depth += (line[at] == "(") - (line[at] == ")")
    if not depth:
      return at
  return len(line) - 1


def _array_sizes(shape: str) -> Iterator[tuple[int, bool]]:
  """Gives the bytes of each array of a shape, and whether they are fast."""
  for dtype, dims, layout in _ARRAY.findall(shape):
    count = math.prod(int(dim) for dim in dims.split(",") if dim)
    bits = _BITS.search(dtype)
    width = 8 if dtype == "pred" else int(bits[0]) if bits else 0
    yield -(-count * width // 8), "S(1)" in layout


def count(module: Module) -> Counts:
  """Counts what runs when the module is called once.

  Bytes are those that the instructions outside of fusions read and write: a
  fusion keeps what is between its instructions. Of an array that a fusion only
  slices, the slices count; of one that it updates in place, the update.
  """
  counts = Counts(collections.Counter())
  _count_into(counts, module, module.entry, 1)
  counts.loops = sum(
    each.opcode == "while"
    for computation in module.computations.values()
    for each in computation.values()
  )
  return counts


def _count_into(counts: Counts, module: Module, name: str, times: int) -> None:
  """Adds what a computation does when it is called so many times."""
  computation = module.computations[name]
  for each in computation.values():
    counts.executed[each.opcode] += times
    if each.opcode == "while":
      trips = _trip_count(module, each)
      counts.unknown_loops += trips is None
      body = times * (1 if trips is None else trips)
      _count_into(counts, module, _CALLED.search(each.text)[1], body)
    elif each.opcode in ("call", "conditional"):
      for called in _called(each):
        _count_into(counts, module, called, times)
    kind = each.opcode.removesuffix("-start")
    if kind in COLLECTIVES:
      counts.collectives[kind] += times
      counts.collective_bytes[kind] += times * sum(
        computation[name].size for name in each.operands
      )
    if each.opcode not in _FREE and not each.opcode.endswith("-done"):
      counts.bytes += times * _traffic(module, computation, each)


def _called(instruction: Instruction) -> Sequence[str]:
  """Names the computations that an instruction calls."""
  branches = _BRANCHES.search(instruction.text)
  names = _CALLED.findall(instruction.text)
  if branches:
    names += re.findall(r"[\w.\-]+", branches[1])
  return names


def _trip_count(module: Module, loop: Instruction) -> int | None:
  """Finds how often a loop runs: what XLA says, or what it is compared with."""
  known = _TRIP_COUNT.search(loop.text)
  if known:
    return int(known[1])
  condition = module.computations[_CONDITION.search(loop.text)[1]]
  root = next(each for each in condition.values() if each.is_root)
  if root.opcode == "fusion":
    operands = [condition[each] for each in root.operands]
    compares = [
      each
      for each in module.computations[_CALLED.search(root.text)[1]].values()
      if each.opcode == "compare"
    ]
  else:
    operands = [condition[each] for each in root.operands]
    compares = [root] if root.opcode == "compare" else []
  limits = [each for each in operands if each.opcode == "constant"]
  if len(compares) != 1 or len(limits) != 1:
    return None
  if "direction=LT" not in compares[0].text:
    return None
  value = re.match(r"(\d+)\)", limits[0].text)
  return int(value[1]) if value else None


def _traffic(
  module: Module,
  computation: Mapping[str, Instruction],
  each: Instruction,
) -> int:
  """Computes the bytes that an instruction reads and writes."""
  operands = [computation[name] for name in each.operands]
  if each.opcode in _SLICES:
    return 2 * each.slow_size
  if each.opcode == "dynamic-update-slice":
    return 2 * operands[1].slow_size
  if each.opcode == "copy-start":
    # It gives what it reads beside what it writes.
    return each.slow_size
  if each.opcode != "fusion":
    return each.slow_size + sum(operand.slow_size for operand in operands)
  inside = module.computations[_CALLED.search(each.text)[1]]
  read = sum(
    _read(inside, number, operand) for number, operand in enumerate(operands)
  )
  return read + _written(inside, each)


def _read(
  inside: Mapping[str, Instruction], number: int, operand: Instruction
) -> int:
  """Computes what a fusion reads of an operand."""
  if not operand.slow_size:
    return 0
  parameter = next(
    (
      each.name
      for each in inside.values()
      if each.opcode == "parameter" and each.text.startswith(f"{number})")
    ),
    None,
  )
  users = [each for each in inside.values() if parameter in each.operands]
  total = 0
  for user in users:
    if user.opcode in _SLICES and user.operands[0] == parameter:
      total += user.size
    elif (
      user.opcode == "dynamic-update-slice" and user.operands[0] == parameter
    ):
      # Written in place: `_written` counts the update.
      continue
    else:
      return operand.slow_size
  return min(total, operand.slow_size)


def _written(inside: Mapping[str, Instruction], fusion: Instruction) -> int:
  """Computes what a fusion writes."""
  if not fusion.slow_size:
    return 0
  root = next(each for each in inside.values() if each.is_root)
  parts = (
    [inside[name] for name in root.operands]
    if root.opcode == "tuple"
    else [root]
  )
  total = 0
  for part in parts:
    if part.opcode == "bitcast":
      part = inside[part.operands[0]]
    if part.opcode == "dynamic-update-slice":
      total += inside[part.operands[1]].size
    else:
      total += part.size
  return min(total, fusion.slow_size)
