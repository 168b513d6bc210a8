"""Formats that are not read name the line of Python that gets out of them."""

import ast
import pickle
import re

import pytest
from absl import flags

from data_prep import convert as convert_lib
from data_prep.readers import describe, other_formats
from data_prep.sources import registry
from mmer_jax.base.errors import UserError

# File to the call that reads it, and the flag that takes what comes out.
DRAWN = {
  "words.TextGrid": ("textgrid.TextGrid.fromFile", "--source=folder --input="),
  "covarep.mat": ("scipy.io.loadmat", "--source=folder --acoustic_features="),
  "features.pt": ("torch.load", "--source=folder --acoustic_features="),
  "frame.parquet": ("pandas.read_parquet", "--source=folder --input="),
  "GoogleNews.bin": ("load_word2vec_format", "--word_vectors="),
  "frame.pkl": ("pandas.read_pickle", "--source=folder --input="),
}
MADE = {
  "a.xlsx": ("pandas.read_excel", "--input=a.csv"),
  "a.pth": ("torch.load", "--acoustic_features=a.npz"),
  "A.MAT": ("scipy.io.loadmat", "--acoustic_features=DIR"),
}


def refused(call, path, reader, flag):
  with pytest.raises(UserError) as caught:
    call(path)
  text = str(caught.value)
  assert text.startswith(str(path)) and "\n" not in text
  assert reader in text and flag in text
  (line,) = re.findall(r"`(.*)`", text)
  # A program, of the file's own name.
  ast.parse(line)
  assert repr(path.name) in line


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_file_is_refused_with_the_way_out(data_dir, name):
  path = data_dir / "layouts" / name
  refused(describe.describe, path, *DRAWN[name])


@pytest.mark.parametrize("name", MADE)
def test_a_made_file_is_refused_with_the_way_out(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b"anything")
  refused(other_formats.refuse, path, *MADE[name])


def test_matlab_of_version_7_is_hdf5_and_the_line_says_so(tmp_path):
  path = tmp_path / "a.mat"
  path.write_bytes(b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n")
  refused(other_formats.refuse, path, "h5py.File", "--acoustic_features=DIR")


def test_what_is_read_is_not_refused(tmp_path):
  for name in ("a.npz", "a.csv", "a.pkl", "a.txt"):
    (tmp_path / name).write_bytes(b"pandas")
    other_formats.refuse(tmp_path / name)
  other_formats.refuse(tmp_path)


SOURCES = sorted(set(registry.SOURCES) - {"synthetic"})


def conversions(source, path, output, *names):
  """Conversions with a file in the place of each flag that the source has."""
  for flag in set(names) & registry.SOURCES[source].flags:
    values = flags.FlagValues()
    convert_lib.define_flags(values)
    values(["", f"--source={source}", f"--{flag}={path}", f"--output={output}"])
    yield lambda values=values: convert_lib.convert(values)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_refuses_them(tmp_path, source):
  path = tmp_path / "a.mat"
  path.write_bytes(b"MATLAB")
  output = tmp_path / "out"
  for convert in conversions(source, path, output, "input", "word_vectors"):
    with pytest.raises(UserError, match="a.mat is a MATLAB file"):
      convert()
  assert not output.exists()


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_refuses_a_pickle_of_pandas(data_dir, tmp_path, source):
  path = data_dir / "layouts" / "frame.pkl"
  for convert in conversions(source, path, tmp_path / "out", "input"):
    with pytest.raises(UserError, match="read_pickle.*--source=folder"):
      convert()


def test_a_pickle_of_arrays_names_its_source(tmp_path):
  path = tmp_path / "a.pkl"
  path.write_bytes(pickle.dumps({"a": 1}))
  for convert in conversions("utterances", path, tmp_path / "out", "input"):
    with pytest.raises(UserError, match="a.pkl is a pickle.*--source=pickle"):
      convert()
