"""Converts a corpus into a folder of shards, in two passes over its source.

The first pass checks ids, splits, shapes and labels and counts non-finite
values; it ends the conversion before anything is written. The second writes
and gathers counts and statistics.

Memory is bounded by the corpus's ids and TFDS's shuffle buffer (1 GB, then
files), not by its features.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import rich.console
import rich.progress

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.writing import builder, statistics
from data_prep.writing import examples as examples_lib
from data_prep.writing import manifest as manifest_writer
from data_prep.writing import options as options_lib
from data_prep.writing import workspace as workspace_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema


def write(
  corpus: corpus_lib.Corpus,
  output: pathlib.Path,
  options: options_lib.Options,
  console: rich.console.Console,
) -> dict[str, Any]:
  """Converts a corpus into a folder of shards.

  Args:
    corpus: What a source has built.
    output: Must not exist, or be an empty folder.
    options: Policy, shards, format.
    console: Draws the progress, where it is a terminal.

  Returns:
    The manifest.

  Raises:
    UserError: The output is taken, or the corpus is not sound.
  """
  workspace_lib.refuse_existing(output)
  policy = nonfinite.Nonfinite(options.nonfinite, corpus.modalities)
  total = _check(corpus, policy, options, console)
  with workspace_lib.workspace(output) as folder:
    counted = statistics.Statistics(corpus)

    def examples() -> Iterator[tuple[str, dict[str, Any]]]:
      for example in _track(corpus, total, "writing", console):
        ready = examples_lib.trim(corpus, policy.apply(example))
        record = examples_lib.encode(corpus, ready)
        counted.add(ready, record)
        yield example.id, record

    builder.write_shards(corpus, examples, folder, options)
    if corpus.vectors is not None:
      _write_emotions(corpus.vectors, folder / manifest_lib.EMOTIONS)
    manifest = manifest_writer.make_manifest(
      corpus, options, policy, counted, folder
    )
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / manifest_lib.MANIFEST).write_text(text, encoding="utf-8")
    workspace_lib.rename(folder, output)
  return manifest


def _check(
  corpus: corpus_lib.Corpus,
  policy: nonfinite.Nonfinite,
  options: options_lib.Options,
  console: rich.console.Console,
) -> int:
  """Checks every example and returns their number."""
  total = 0
  checker = examples_lib.ExampleChecker(corpus)
  for example in _track(corpus, corpus.total, "checking", console):
    checker.check(example)
    policy.observe(example)
    total += 1
  if not total:
    raise UserError(f"{corpus.name} holds no utterances; nothing to convert")
  if options.num_shards > total:
    raise UserError(
      f"--num_shards={options.num_shards} for {total} utterances; at most one"
      " shard per utterance"
    )
  return total


def _write_emotions(vectors: schema.EmotionVectors, path: pathlib.Path) -> None:
  np.savez(
    path,
    names=np.array(vectors.names, np.str_),
    words=np.array(vectors.words, np.str_),
    vectors=np.asarray(vectors.vectors, np.float32),
  )


def _track(
  corpus: corpus_lib.Corpus,
  total: int | None,
  description: str,
  console: rich.console.Console,
) -> Iterator[corpus_lib.Example]:
  yield from rich.progress.track(
    corpus.examples(),
    description=f"{description} {corpus.name}",
    total=total,
    console=console,
    transient=True,
    disable=not console.is_terminal,
  )
