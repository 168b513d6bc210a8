"""A corpus to a folder of shards: checked, converted, renamed into place.

Two passes over the source. The first checks ids, splits, shapes and labels and
counts non-finite values; it ends the conversion before anything is written. The
second writes through a TFDS builder and gathers counts and statistics.
Everything is written below a hidden folder beside the output, which is renamed
as the last act: a folder of the output's name is a finished conversion. The
hidden folder is locked while a conversion lives, so that the next one knows
what a killed one has left, and clears it away.

Memory is bounded by the corpus's ids and TFDS's shuffle buffer (1 GB, then
files), not by its features.
"""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import rich.console
import rich.progress
import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.writing import examples as examples_lib
from data_prep.writing import manifest as writing_manifest
from data_prep.writing import options as options_lib
from data_prep.writing import statistics as statistics_lib
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
    corpus: From a source.
    output: Must not exist, or be an empty folder.
    options: Policy, shards, format.
    console: For progress; nothing is drawn unless it is a terminal.

  Returns:
    The manifest.

  Raises:
    UserError: The output is taken, or the corpus is not sound.
  """
  refuse_existing(output)
  policy = nonfinite.Nonfinite(options.nonfinite, corpus.modalities)
  total = 0
  checker = examples_lib.ExampleChecker(corpus)
  for example in _track(corpus, corpus.total, "checking", console):
    checker(example)
    policy.observe(example)
    total += 1
  if not total:
    raise UserError(f"{corpus.name} holds no utterances; nothing to convert")
  if options.num_shards > total:
    raise UserError(
      f"--num_shards={options.num_shards} for {total} utterances; at most one"
      " shard per utterance"
    )
  with _workspace(output) as folder:
    statistics = statistics_lib.Statistics(corpus)

    def examples() -> Iterator[tuple[str, dict[str, Any]]]:
      for example in _track(corpus, total, "writing", console):
        ready = examples_lib.trim(corpus, policy.apply(example))
        record = examples_lib.encode(corpus, ready)
        statistics.add(ready, record)
        yield example.id, record

    _write_shards(corpus, examples, folder, options)
    if corpus.vectors is not None:
      _write_emotions(corpus.vectors, folder / manifest_lib.EMOTIONS)
    manifest = writing_manifest.make_manifest(
      corpus, options, policy, statistics, folder
    )
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / manifest_lib.MANIFEST).write_text(text, encoding="utf-8")
    _rename(folder, output)
  return manifest


def refuse_existing(output: pathlib.Path) -> None:
  """Raises a `UserError` unless `output` is free to write."""
  if output.exists() and not output.is_dir():
    raise UserError(f"output {output} is a file; give --output a new folder")
  if output.is_dir() and any(output.iterdir()):
    raise UserError(
      f"output {output} exists and is not empty; remove it or give --output"
      " another folder"
    )


class _OfflineInfo(tfds.core.DatasetInfo):
  """Without TFDS's look-up of a public data set of the same name."""

  def initialize_from_bucket(self) -> None:
    """Nothing: what is converted here is on no public server."""


class _DeterministicWriter(tfds_writer.ExampleWriter):
  """Protobuf's maps come in any order unless the writer asks for one."""

  def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
    def ordered() -> Iterator[tuple[Any, bytes]]:
      for key, data in examples:
        message = tf_example_pb2.Example.FromString(data)
        yield key, message.SerializeToString(deterministic=True)

    return super().write(path, ordered())


with tfds.core.registered.skip_registration():

  class _Builder(tfds.core.GeneratorBasedBuilder):
    """Writes any corpus; the features come from its description."""

    VERSION = tfds.core.Version("1.0.0")
    name = "corpus"

    def __init__(
      self, corpus: corpus_lib.Corpus, examples: Any, **kwargs: Any
    ) -> None:
      # The class attribute names the files; a corpus's name is known only now.
      self.name = corpus.name
      self._corpus = corpus
      self._examples = examples
      super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
      return _OfflineInfo(
        builder=self,
        description=f"{self._corpus.source}: {self._corpus.layout}",
        features=examples_lib.features(self._corpus),
      )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
      del dl_manager
      return {schema.TFDS_SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
      return self._examples()

    def _example_writer(self) -> tfds_writer.ExampleWriter:
      return _DeterministicWriter(self.info.file_format)


def _write_shards(
  corpus: corpus_lib.Corpus,
  examples: Any,
  folder: pathlib.Path,
  options: options_lib.Options,
) -> None:
  tfds.disable_progress_bar()
  builder = _Builder(
    corpus, examples, data_dir=folder / "tfds", file_format=options.file_format
  )
  # TFDS prints where it "downloads" to, which is a folder about to be renamed.
  silent = contextlib.redirect_stdout(io.StringIO())
  try:
    with silent:
      builder.download_and_prepare(
        download_dir=folder / "downloads",
        download_config=tfds.download.DownloadConfig(
          try_download_gcs=False,
          num_shards=options.num_shards or None,
        ),
      )
  except ImportError as error:
    raise UserError(
      f"--file_format={options.file_format} needs a package that is not"
      f" installed ({error}); pip install 'mmer_jax[prep]'"
    ) from error
  for path in sorted(pathlib.Path(builder.data_path).iterdir()):
    path.rename(folder / path.name)
  for leftover in ("tfds", "downloads"):
    shutil.rmtree(folder / leftover, ignore_errors=True)


def _write_emotions(vectors: schema.EmotionVectors, path: pathlib.Path) -> None:
  np.savez(
    path,
    names=np.array(vectors.names, np.str_),
    words=np.array(vectors.words, np.str_),
    vectors=np.asarray(vectors.vectors, np.float32),
  )


@contextlib.contextmanager
def _workspace(output: pathlib.Path) -> Iterator[pathlib.Path]:
  """A hidden folder beside `output`, locked, empty, gone unless renamed."""
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.parent / f".{output.name}.incomplete"
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
  except OSError as error:
    raise UserError(f"cannot write beside {output}: {error}") from error
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f"another conversion is writing {output}; wait for it or give --output"
        " another folder"
      ) from error
    # What a killed conversion has left.
    for path in folder.iterdir():
      shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
      yield folder
    finally:
      # After the rename there is nothing here; after an error, everything.
      shutil.rmtree(folder, ignore_errors=True)
  finally:
    os.close(lock)


def _rename(folder: pathlib.Path, output: pathlib.Path) -> None:
  """The last act; on disk before it, so that a power cut cannot undo half."""
  for path in folder.iterdir():
    with path.open("rb") as file:
      os.fsync(file.fileno())
  # An empty folder of that name is replaced; one that filled up meanwhile not.
  refuse_existing(output)
  folder.rename(output)


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
