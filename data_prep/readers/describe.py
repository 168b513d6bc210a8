"""Describes a file of features or a folder of shards, as plain values."""

import pathlib
from typing import Any

from data_prep.readers import (
  describe_ami,
  describe_arrays,
  describe_cmu,
  describe_csd,
  describe_files,
  describe_iemocap,
  describe_pickles,
  describe_shards,
  describe_spoken,
  other_formats,
)
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import table_files

_WORD_VECTOR_SUFFIXES = (".txt", ".vec", ".txt.gz", ".vec.gz")
_BY_SUFFIX = (
  ((".npz",), describe_files.describe_npz),
  ((".npy",), describe_arrays.describe_npy),
  (table_files.SUFFIXES, describe_files.describe_table),
  ((".h5", ".hdf5"), describe_files.describe_hdf5),
  ((".csd",), describe_csd.describe_csd),
  ((".pkl", ".p", ".pickle"), describe_pickles.describe_pickle),
  (_WORD_VECTOR_SUFFIXES, describe_files.describe_word_vectors),
)


def describe(path: pathlib.Path) -> dict[str, Any]:
  """Describes what is in a file or folder, as plain values.

  Args:
    path: A file or folder of any kind that `data_prep.inspect` reads.

  Returns:
    `kind`, and what that kind has. Shards also have `damaged`: a sentence for
    every file that does not agree with the manifest.

  Raises:
    UserError: There is nothing at the path, or nothing that can be read.
  """
  if not path.exists():
    raise UserError(f"{path} does not exist")
  if path.is_dir():
    if (path / manifest_lib.MANIFEST).is_file():
      return describe_shards.describe_shards(path)
    if describe_iemocap.is_release(path):
      return describe_iemocap.describe_iemocap(path)
    if describe_ami.is_corpus(path):
      return describe_ami.describe_ami(path)
    if describe_pickles.is_folder(path):
      return describe_pickles.describe_folder(path)
    if describe_csd.is_folder(path):
      return describe_csd.describe_csd(path)
    if describe_spoken.is_meld(path):
      return describe_spoken.describe_meld(path)
    recipe = describe_spoken.recipe_of(path)
    if recipe is not None:
      return describe_spoken.describe_recordings(path, recipe)
    if describe_arrays.is_folder(path):
      return describe_arrays.describe_folder(path)
    return describe_cmu.describe_cmu(path)
  other_formats.refuse(path)
  for suffixes, describe_file in _BY_SUFFIX:
    if path.name.lower().endswith(suffixes):
      return describe_file(path)
  raise UserError(
    f"{path}: unknown kind of file; inspect reads shard folders, folders of"
    f" HDF5 or arrays, {', '.join(table_files.SUFFIXES)}, .npy, .h5, .csd,"
    f" .pkl, {', '.join(_WORD_VECTOR_SUFFIXES)}"
  )
