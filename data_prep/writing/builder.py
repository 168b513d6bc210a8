"""Writes prepared records as shards, with a builder of TensorFlow Datasets."""

import contextlib
import importlib.util
import io
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import file_adapters, naming
from tensorflow_datasets.core import splits as tfds_splits

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import examples as examples_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# TFDS loads TensorFlow where it writes TFRecord; TensorFlow then reports on its
# host, for which nobody asked. The report on oneDNN heeds no level.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# What writes each format.
_PACKAGES = {"tfrecord": "tensorflow", "array_record": "array_record"}

# Writes shards to the paths that a template gives, and returns how many records
# are in each and how many bytes in all.
WriteShards = Callable[[naming.ShardedFileTemplate], tuple[list[int], int]]


class _OfflineInfo(tfds.core.DatasetInfo):
  """Skips TFDS's look-up of a public data set of the same name."""

  def initialize_from_bucket(self) -> None:
    """Does nothing: what is converted here is on no public server."""


with tfds.core.registered.skip_registration():

  class _Builder(tfds.core.GeneratorBasedBuilder):
    """Writes any corpus; the features come from its description."""

    VERSION = tfds.core.Version("1.0.0")
    name = "corpus"

    def __init__(
      self, corpus: corpus_lib.Corpus, write: WriteShards, **kwargs: Any
    ) -> None:
      # The class attribute names the files; a corpus's name is known only now.
      self.name = corpus.name
      self._corpus = corpus
      self._write = write
      super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
      return _OfflineInfo(
        builder=self,
        description=f"{self._corpus.source}: {self._corpus.layout}",
        features=examples_lib.features(self._corpus),
      )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
      raise AssertionError("records are encoded already")

    def _generate_examples(self) -> Any:
      raise AssertionError("records are encoded already")

    def _download_and_prepare(
      self, dl_manager: Any, download_config: Any
    ) -> None:
      """Has the shards written; what is left to TFDS is to describe them."""
      del dl_manager, download_config
      template = self._get_filename_template(split_name=schema.TFDS_SPLIT)
      lengths, size = self._write(template)
      split = tfds_splits.SplitInfo(
        name=schema.TFDS_SPLIT,
        shard_lengths=lengths,
        num_bytes=size,
        filename_template=template,
      )
      self.info.set_splits(tfds_splits.SplitDict([split]))


def write_folder(
  corpus: corpus_lib.Corpus,
  write: WriteShards,
  folder: pathlib.Path,
  file_format: str,
) -> None:
  """Writes shards and their description into a folder.

  Args:
    corpus: Describes the examples.
    write: Writes the shards.
    folder: The folder to write into.
    file_format: One of `examples.FILE_FORMATS`.
  """
  tfds.disable_progress_bar()
  builder = _Builder(
    corpus, write, data_dir=folder / "tfds", file_format=file_format
  )
  # TFDS prints where it "downloads" to, which is a folder about to be renamed.
  silent = contextlib.redirect_stdout(io.StringIO())
  with silent:
    builder.download_and_prepare(
      download_dir=folder / "downloads",
      download_config=tfds.download.DownloadConfig(try_download_gcs=False),
    )
  for path in sorted(pathlib.Path(builder.data_path).iterdir()):
    path.rename(folder / path.name)
  for leftover in ("tfds", "downloads"):
    shutil.rmtree(folder / leftover, ignore_errors=True)


def require(file_format: str) -> None:
  """Raises a `UserError` where a format's package is not installed."""
  package = _PACKAGES[file_format]
  if importlib.util.find_spec(package) is None:
    raise UserError(
      f"--file_format={file_format} needs the package {package}, which is not"
      " installed; pip install 'mmer_jax[prep]'"
    )


def write_records(path: pathlib.Path, records: Any, file_format: str) -> None:
  """Writes one shard, of pairs of a key and the bytes of a record."""
  form = file_adapters.FileFormat.from_value(file_format)
  file_adapters.ADAPTER_FOR_FORMAT[form].write_examples(path, records)
