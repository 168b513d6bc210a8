"""Damaged .csd files, odd structures and flags: a right answer, or one line.

What is right is told by another reader (`by_loop` of `csd_files`, on what h5py
reads of the same file). `MMER_FUZZ=N pytest -m long
tests/data_prep/csd_fuzz_test.py` tries N of each (10000 by default).
"""

import pathlib
import tempfile
import warnings

import h5py
import numpy as np
import pytest
import rich.console
from hypothesis import given
from hypothesis import strategies as st

from data_prep.readers import describe
from data_prep.sources import registry
from data_prep.sources.csd import folds
from data_prep.writing import options, write
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards
from tests import fuzzing
from tests.data_prep import fuzz_test
from tests.data_prep.sources import csd_files
from tests.data_prep.sources.csd_files import frames_of, words_of

SHORT = fuzzing.short(15)
LONG = fuzzing.LONG

ENTRIES = {
  "words": {
    "one": words_of("sp", "I", "am", "happy"),
    "two": words_of("sad", "sp"),
    "twofold": words_of("I"),
  },
  "acoustic": {
    "one": frames_of(15, 2),
    "two[0]": frames_of(4, 2),
    "two[1]": frames_of(6, 2, first=0.4),
  },
  "labels": {
    "one": (np.eye(7)[1:3], [[0, 1.2], [1.2, 2]]),
    "two": (np.eye(7)[[6]] * 2, [[0.1, 1]]),
    "twofold": (np.eye(7)[[3]], [[0, 0.5]]),
  },
}


def content_of(role):
  with tempfile.TemporaryDirectory() as name:
    path = pathlib.Path(name) / "x.csd"
    csd_files.write_csd(path, role, ENTRIES[role])
    return path.read_bytes()


CONTENT = {role: content_of(role) for role in ENTRIES}


def arguments_for(folder, *more):
  listed = ",".join(f"{role}={folder / role}.csd" for role in ENTRIES)
  return f"--input={listed}", *more


def examples_of(folder, *more):
  """The utterances of the folder's files by id, or None: refused in a line."""
  try:
    corpus = csd_files.build(*arguments_for(folder, *more))
    found = {example.id: example for example in corpus.examples()}
  except UserError as error:
    assert "\n" not in str(error) and len(str(error)) > 20
    return None
  return found


def raw_entries(path):
  """Entries as h5py reads them; what has no time has no length."""
  with h5py.File(path) as file:
    data = file[next(iter(file))]["data"]
    found = {}
    for name in data:
      features = np.asarray(data[name]["features"][()])
      width = int(np.prod(features.shape[1:], dtype=int))
      features = features.reshape(len(features), width)
      intervals = np.asarray(data[name]["intervals"][()], np.float64)
      with np.errstate(invalid="ignore"):
        bad = ~(intervals[:, 1] >= intervals[:, 0])
        bad |= ~np.isfinite(intervals).all(axis=1)
      found[name] = features, np.where(bad[:, None], 0.0, intervals)
    return found


def by_another_reader(folder, collapse):
  """Order of words, acoustic rows and label of each segment."""
  raw = {role: raw_entries(folder / f"{role}.csd") for role in ENTRIES}
  names = [{key.split("[")[0] for key in raw[role]} for role in raw]
  common = set.intersection(*names)
  raw = {
    role: {k: rows for k, rows in entries.items() if k.split("[")[0] in common}
    for role, entries in raw.items()
  }
  labels = raw.pop("labels")
  first = csd_files.by_loop(raw, "words", collapse)
  # Each word's number goes where its text was, and beside its frames.
  number = {key: i for i, key in enumerate(first["words"])}
  words = {
    k: (np.array([[number[k]]]), v[1]) for k, v in first["words"].items()
  }
  frames = {
    key: (np.column_stack([np.full(len(rows), number[key]), rows]), times)
    for key, (rows, times) in first["acoustic"].items()
  }
  parts = {"words": words, "acoustic": frames, "labels": labels}
  last = csd_files.by_loop(parts, "labels", "none")
  found = {}
  for key in last["labels"]:
    if key in last["words"]:
      order = last["words"][key][0][:, 0].tolist()
      rows = last["acoustic"].get(key, (np.zeros((0, 1)), 0))[0]
      found[key] = order, rows, last["labels"][key][0][0]
  return found


def same_as_another_reader(found, expected, collapse):
  assert found.keys() == expected.keys()
  for key, (order, rows, label) in expected.items():
    if len(label) == 1:
      # One column is the sentiment; entries of seven were left out.
      wanted = None if np.isnan(label[0]) else np.sign(label[0]) == (-1, 0, 1)
    else:
      wanted = None if np.isnan(label[1:]).all() else label[1:] > 0
    if wanted is None:
      assert found[key].labels is None
    else:
      np.testing.assert_array_equal(found[key].labels, wanted)
    acoustic = found[key].streams.get("acoustic")
    with np.errstate(over="ignore", invalid="ignore"):
      if collapse == "none":
        assert (acoustic is None) == (not len(rows))
        by_word = [row[1:] for word in order for row in rows if row[0] == word]
        if acoustic is None:
          continue
        wanted = np.array(by_word).astype(np.float32)
      else:
        own = {row[0]: row[1:] for row in rows}
        if acoustic is None:
          assert not own
          continue
        zeros = np.zeros(acoustic.shape[1])
        wanted = [own.get(word, zeros) for word in order]
        wanted = np.array(wanted).astype(np.float32)
      np.testing.assert_allclose(acoustic, wanted, rtol=1e-5)


@st.composite
def folders(draw, kinds):
  """Bytes of each file, one of them damaged."""
  role = draw(st.sampled_from(sorted(ENTRIES)))
  return {**CONTENT, role: draw(kinds(CONTENT[role]))}


@st.composite
def flips(draw, content):
  """Bytes of the same length; what they say is another."""
  content = bytearray(content)
  for _ in range(draw(st.integers(1, 3))):
    content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
  return bytes(content)


def written(folder, contents):
  for role, content in contents.items():
    (folder / f"{role}.csd").write_bytes(content)


def damaged_bytes_are_right_or_refused(contents):
  with fuzz_test.workplace() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    written(folder, contents)
    found = examples_of(folder, "--sp=keep")
    try:
      expected = by_another_reader(folder, "mean")
    except Exception:  # noqa: BLE001
      # What h5py or the loop cannot read is not compared.
      return
    if found is not None:
      same_as_another_reader(found, expected, "mean")


ODD_TIMES = st.sampled_from(
  [-1.0, 0.0, 5e-6, 1e-5, 0.3, 0.5, 0.5000001, 1.2, 2.0, 1e9, np.nan, np.inf]
)
ODD_VALUES = st.sampled_from(
  [0.0, 1.0, -2.5, 3.0, np.nan, np.inf, -np.inf, 1e300, 1e-300]
)
TYPES = st.sampled_from(["f8", "f4", "f2", "i4", "u1", ">f8", "?", "c8", "O"])


@st.composite
def structures(draw):
  """Entries of odd names, shapes and types, mostly sound ones."""
  entries = {role: dict(each) for role, each in ENTRIES.items()}
  for _ in range(draw(st.integers(1, 4))):
    role = draw(st.sampled_from(sorted(entries)))
    if not entries[role]:
      continue
    name = draw(st.sampled_from(sorted(entries[role])))
    features, times = map(np.array, entries[role][name])
    kind = draw(
      st.sampled_from(
        ["time", "value", "drop", "rename", "cut", "type", "wide"]
      )
    )
    if kind == "time" and times.size:
      at = draw(st.integers(0, times.size - 1))
      times.flat[at] = draw(ODD_TIMES)
    elif kind == "value" and role == "words" and features.size:
      word = draw(
        st.sampled_from(["", " ", "sp", "SP", "é", "a b", "\n", "x" * 40])
      )
      features = features.astype("U40")
      features.flat[draw(st.integers(0, features.size - 1))] = word
    elif kind == "value" and features.size and features.dtype.kind in "fiu":
      at = draw(st.integers(0, features.size - 1))
      features = features.astype(np.float64)
      features.flat[at] = draw(ODD_VALUES)
    elif kind == "drop":
      del entries[role][name]
      continue
    elif kind == "rename":
      new = draw(
        st.sampled_from(["one[0]", "two", "on", "[1]", "a[b]c", "twof"])
      )
      entries[role][new] = entries[role].pop(name)
      continue
    elif kind == "cut":
      features = features[: draw(st.integers(0, len(features)))]
      if draw(st.booleans()):
        times = times[: len(features)]
    elif kind == "type" and features.dtype.kind in "fiub":
      with np.errstate(all="ignore"):
        dtype = draw(TYPES)
        if dtype == "O":
          features = np.char.encode(features.astype(str), "ascii")
        else:
          features = features.astype(dtype)
    elif kind == "wide" and features.ndim == 2:
      features = draw(
        st.sampled_from(
          [features[:, :1], features.T, features[:, None], features[:0]]
        )
      )
    entries[role][name] = features, times
  return entries


COMMANDS = st.sampled_from(["mean", "overlap", "none"])


def odd_structures_are_right_or_refused(entries, collapse):
  with fuzz_test.workplace() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for role, each in entries.items():
      csd_files.write_csd(folder / f"{role}.csd", role, each)
    found = examples_of(folder, "--sp=keep", f"--collapse={collapse}")
    if found is None:
      return
    expected = by_another_reader(folder, collapse)
    same_as_another_reader(found, expected, collapse)


FLAG_VALUES = {
  "align": ["words", "labels", "label"],
  "collapse": ["mean", "overlap", "none", ""],
  "sp": ["drop", "keep"],
  "unify": ["exact", "reference"],
  "impute": ["true", "false"],
  "seq_len": ["0", "1", "3", "-1"],
  "seq_keep": ["last", "first"],
  "oov": ["skip", "zero"],
  "emotions": ["", "sad", "sad,fear", "sentiment", "joy", ",,"],
  "label_type": ["auto", "single", "multi"],
  "label_columns": ["", "a,b,c,d,e,f,g", "a"],
  "sentiment_bins": ["0,0", "x", "1,-1", "nan,nan"],
  "positive_above": ["0", "0.5", "nan", "inf"],
  "name_columns": ["facet_42", "x", ""],
  "folds": ["folds.json", "none.json"],
  "word_vectors": ["", "vectors.txt"],
  "nonfinite": ["zero", "clip", "drop"],
}


@st.composite
def commands(draw):
  names = draw(st.lists(st.sampled_from(sorted(FLAG_VALUES)), unique=True))
  return {name: draw(st.sampled_from(FLAG_VALUES[name])) for name in names}


def flags_give_shards_or_one_line(entries, command):
  with fuzz_test.workplace() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for role, each in entries.items():
      csd_files.write_csd(folder / f"{role}.csd", role, each)
    (folder / "folds.json").write_text('{"train": ["one"], "test": ["two"]}')
    in_folder = ("folds", "word_vectors")
    given_flags = [
      f"--{name}={folder / value if value and name in in_folder else value}"
      for name, value in command.items()
    ]
    output = folder / "out"
    try:
      values = csd_files.values_of(*arguments_for(folder, *given_flags))
    except csd_files.flags.Error:
      # What absl refuses itself, in one line.
      return
    try:
      corpus = registry.build(values)
      manifest = write.write(
        corpus,
        output,
        options.Options(values.nonfinite, 1, "array_record"),
        rich.console.Console(quiet=True),
      )
    except UserError as error:
      assert "\n" not in str(error)
      assert not output.exists()
    else:
      read_back = [example for _, example in shards.read_examples(output)]
      assert len(read_back) == manifest["counts"]["examples"] > 0
      assert manifest == manifest_lib.load_manifest(output)
      if "seq_len" in command and command.get("collapse") != "none":
        longest = int(command["seq_len"]) or 99
        sizes = manifest["modalities"].values()
        assert all(entry["max_length"] <= longest for entry in sizes)
    assert not (folder / ".out.incomplete").exists()


def damaged_files_are_described_or_refused(contents):
  with fuzz_test.workplace() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    written(folder, contents)
    for path in (folder, *(folder / f"{role}.csd" for role in ENTRIES)):
      try:
        describe.describe(path)
      except UserError as error:
        assert "\n" not in str(error)


FOLDS = {
  "f.json": b'{"train": ["a", "-b"], "valid": ["c"], "test": ["d"]}',
  "f.py": b"standard_train_fold = ['a', '-b']\nstandard_test_fold = ['d']\n",
  "f.txt": b"train:\na\n-b\nvalid\nc\nd test\n",
  "f.csv": b"id,split\na,train\nc,dev\n",
}


@st.composite
def damaged_folds(draw):
  name = draw(st.sampled_from(sorted(FOLDS)))
  return name, draw(fuzz_test.damage(FOLDS[name]))


def damaged_folds_are_splits_or_refused(name, content):
  with fuzz_test.workplace() as folder:
    path = folder / name
    path.write_bytes(content)
    try:
      found = folds.read([path])
    except UserError as error:
      assert "\n" not in str(error)
    else:
      assert found and set(found.values()) <= {"train", "validation", "test"}
      assert all(key and "[" not in key for key in found)


@pytest.mark.parametrize(
  "how",
  [SHORT, pytest.param(LONG, marks=[pytest.mark.long])],
  ids=["short", "long"],
)
class TestFuzz:
  """Every boundary, a few times and, with `-m long`, many."""

  def test_damaged_bytes(self, how):
    drawn = folders(fuzz_test.damage)
    how(given(drawn)(damaged_bytes_are_right_or_refused))()

  def test_flipped_bytes(self, how):
    how(given(folders(flips))(damaged_bytes_are_right_or_refused))()

  def test_odd_structures(self, how):
    how(given(structures(), COMMANDS)(odd_structures_are_right_or_refused))()

  def test_odd_flags(self, how):
    how(given(structures(), commands())(flags_give_shards_or_one_line))()

  def test_damaged_files_are_described(self, how):
    how(given(folders(flips))(damaged_files_are_described_or_refused))()

  def test_damaged_folds(self, how):
    def check(drawn):
      damaged_folds_are_splits_or_refused(*drawn)

    how(given(damaged_folds())(check))()
