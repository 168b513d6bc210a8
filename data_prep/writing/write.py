"""Converts a corpus into a folder of shards.

The utterances are checked and encoded a chunk at a time, in one process or in
several, and what comes out of a chunk is a part on the disk. Parts that a
killed conversion has left are not made again. When all are there, ids are
compared, counts and statistics summed in the order of the corpus, and the
records sorted into shards. An unsound corpus ends the conversion before a shard
is written.

`--nonfinite=clip` needs the range of every column first, so that it goes over
the corpus twice.

Memory is bounded by the corpus's ids, some chunks and one shard, not by its
features.
"""

import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import rich.console
from tensorflow_datasets.core import naming

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.writing import builder, chunks, rows, statistics, work
from data_prep.writing import examples as examples_lib
from data_prep.writing import manifest as manifest_writer
from data_prep.writing import options as options_lib
from data_prep.writing import parts as parts_lib
from data_prep.writing import shards as shards_lib
from data_prep.writing import workspace as workspace_lib
from mmer_jax.base import progress
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema

# Takes a corpus, how many utterances are labelled, and how many of those have
# each emotion.
Accept = Callable[[corpus_lib.Corpus, int, Sequence[int]], None]


def write(
  corpus: corpus_lib.Corpus,
  output: pathlib.Path,
  options: options_lib.Options,
  console: rich.console.Console,
  *,
  identity: str | None = None,
  accept: Accept | None = None,
) -> dict[str, Any]:
  """Converts a corpus into a folder of shards.

  Args:
    corpus: What a source has built.
    output: Must not exist, or be an empty folder.
    options: Policy, shards, format, processes.
    console: Is told what is gone on with.
    identity: A digest of all that the result depends on, to go on from what a
      killed conversion has left; None to begin anew.
    accept: Is told of the corpus, how many utterances are labelled, and how
      many have each emotion; raises a `UserError` where that will not do.

  Returns:
    The manifest.

  Raises:
    UserError: The output is taken, or the corpus is not sound.
  """
  workspace_lib.refuse_existing(output)
  # Now, not when all is prepared.
  builder.require(options.file_format)
  with workspace_lib.workspace(output, identity) as folder:
    conversion = _Conversion(corpus, options, console, folder)
    conversion.prepare()
    counts = conversion.statistics.counts()
    if accept is not None:
      by_emotion = [counts["by_emotion"][name] for name in corpus.emotions]
      accept(corpus, counts["labelled"], by_emotion)
    manifest = conversion.finish()
    workspace_lib.rename(folder / "shards", output)
  return manifest


class _Conversion:
  """Converts one corpus, in a folder of its own."""

  def __init__(
    self,
    corpus: corpus_lib.Corpus,
    options: options_lib.Options,
    console: rich.console.Console,
    folder: pathlib.Path,
  ) -> None:
    self._corpus = corpus
    self._options = options
    self._console = console
    self._folder = folder
    self._policy = nonfinite.Nonfinite(options.nonfinite, corpus.modalities)
    self._keys: list[np.ndarray] = []
    self._sizes: list[np.ndarray] = []
    self.statistics = statistics.Statistics(corpus)

  def prepare(self) -> None:
    """Makes all parts, and sums up what is in them."""
    ranges_first = self._options.nonfinite == "clip"
    if ranges_first:
      for part in self._pass("ranges", "checking", check=True, encode=False):
        self._policy.merge(part.observed)
    for part in self._pass(
      "rows", "preparing", check=not ranges_first, encode=True
    ):
      if not ranges_first:
        self._policy.merge(part.observed)
      for row, moments in zip(part.rows, part.moments, strict=True):
        self.statistics.add(row, moments)
      self._keys.append(part.keys)
      self._sizes.append(part.sizes)
    total = sum(map(len, self._sizes))
    if not total:
      raise UserError(
        f"{self._corpus.name} holds no utterances; nothing to convert"
      )
    if self._options.num_shards > total:
      raise UserError(
        f"--num_shards={self._options.num_shards} for {total} utterances; at"
        " most one shard per utterance"
      )

  def _pass(
    self, name: str, doing: str, *, check: bool, encode: bool
  ) -> Iterator[parts_lib.Part]:
    """Yields the parts of a pass over the corpus, in its order."""
    corpus, policy = self._corpus, self._policy
    folder = parts_lib.Folder(self._folder / name)
    done = folder.sound()
    if done:
      self._console.print(
        f"{corpus.name}: {doing} goes on behind {len(done)} parts of a"
        " conversion that was ended",
        markup=False,
      )
    ids = examples_lib.Ids()
    preparer = rows.Preparer(corpus, policy, folder, check=check, encode=encode)
    with progress.doing(
      f"{doing} {corpus.name}", corpus.total, "utterances"
    ) as task:
      tasks = chunks.of(corpus, done)
      for number in work.prepare(self._options, preparer, tasks):
        part = folder.load(number)
        for row in part.rows if check else ():
          ids.check(row.id, row.split, row.where)
        if part.error:
          raise UserError(part.error)
        task.advance(len(part.rows), number in done)
        yield part

  def finish(self) -> dict[str, Any]:
    """Writes the folder of shards and returns its manifest."""
    corpus, folder = self._corpus, self._folder / "shards"
    # Of a conversion that was killed while it wrote them.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with progress.doing(f"writing {corpus.name}"):
      builder.write_folder(
        corpus, self._shards, folder, self._options.file_format
      )
    if corpus.vectors is not None:
      _write_emotions(corpus.vectors, folder / manifest_lib.EMOTIONS)
    manifest = manifest_writer.make_manifest(
      corpus, self._options, self._policy, self.statistics, folder
    )
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / manifest_lib.MANIFEST).write_text(text, encoding="utf-8")
    return manifest

  def _shards(
    self, template: naming.ShardedFileTemplate
  ) -> tuple[list[int], int]:
    corpus = self._corpus
    parts = parts_lib.Folder(self._folder / "rows")
    writer = shards_lib.Writer(parts, self._options.file_format)
    shards, total = shards_lib.plan(
      self._keys,
      self._sizes,
      template,
      self._options.num_shards,
      self._folder / "plans",
    )
    lengths = [shard.length for shard in shards]
    shards[0].path.parent.mkdir(parents=True, exist_ok=True)
    with progress.doing(
      f"writing {corpus.name}", sum(lengths), "utterances"
    ) as task:
      for number in work.write(self._options, writer, shards):
        task.advance(lengths[number])
    return lengths, total


def _write_emotions(vectors: schema.EmotionVectors, path: pathlib.Path) -> None:
  np.savez(
    path,
    names=np.array(vectors.names, np.str_),
    words=np.array(vectors.words, np.str_),
    vectors=np.asarray(vectors.vectors, np.float32),
  )
