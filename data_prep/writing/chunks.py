"""Cuts a corpus into chunks of neighbouring utterances, always the same."""

import dataclasses
import pathlib
from collections.abc import Collection, Iterator, Sequence

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError

# Ours: what is lost when a conversion is killed, and what each process holds.
_ROWS = 64
_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True)
class Chunk:
  """Holds neighbouring utterances of a corpus, or says which they are.

  Attributes:
    number: Its place among the chunks, from 0.
    rows: The numbers of its utterances.
    examples: None for those in a file, and those that the corpus makes.
    ready: Whether its part has been made before.
    spilled: The file of `spill` that holds the examples; None for none.
  """

  number: int
  rows: range
  examples: Sequence[corpus_lib.Example] | None = None
  ready: bool = False
  spilled: pathlib.Path | None = None


def of(
  corpus: corpus_lib.Corpus, ready: Collection[int] = ()
) -> Iterator[Chunk]:
  """Yields the chunks of a corpus, without examples where they are ready.

  Where the corpus fails with a `UserError`, what was read before comes first.
  """
  if corpus.make is not None:
    for number, start in enumerate(range(0, corpus.total, _ROWS)):
      numbers = range(start, min(start + _ROWS, corpus.total))
      yield Chunk(number, numbers, None, number in ready)
    return
  for number, (start, examples) in enumerate(_groups(corpus)):
    known = number in ready
    numbers = range(start, start + len(examples))
    yield Chunk(number, numbers, () if known else examples, known)


def _groups(
  corpus: corpus_lib.Corpus,
) -> Iterator[tuple[int, list[corpus_lib.Example]]]:
  """Yields the examples of a pass in groups, and the number of their first."""
  start, size, group = 0, 0, []
  try:
    for example in corpus.examples():
      group.append(example)
      size += sum(frames.nbytes for frames in example.streams.values())
      if len(group) == _ROWS or size >= _BYTES:
        yield start, group
        start, size, group = start + len(group), 0, []
  except UserError:
    if group:
      yield start, group
    raise
  if group:
    yield start, group
