"""Writes examples as shards, with a builder of TensorFlow Datasets."""

import contextlib
import io
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import examples as examples_lib
from data_prep.writing import options as options_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# TFDS loads TensorFlow where it writes TFRecord; TensorFlow then reports on its
# host, for which nobody asked. The report on oneDNN heeds no level.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


class _OfflineInfo(tfds.core.DatasetInfo):
  """Skips TFDS's look-up of a public data set of the same name."""

  def initialize_from_bucket(self) -> None:
    """Does nothing: what is converted here is on no public server."""


class _DeterministicWriter(tfds_writer.ExampleWriter):
  """Writes examples with sorted keys: protobuf orders maps at random."""

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


def write_shards(
  corpus: corpus_lib.Corpus,
  examples: Any,
  folder: pathlib.Path,
  options: options_lib.Options,
) -> None:
  """Writes the shards of a corpus into a folder.

  Args:
    corpus: Describes the examples.
    examples: Starts a pass over pairs of an id and a record.
    folder: The folder to write into.
    options: Shards and file format.

  Raises:
    UserError: The file format needs a package that is not installed.
  """
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
