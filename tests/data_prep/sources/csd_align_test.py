"""Alignment of time-stamped rows, against the SDK's values and a plain loop."""

import json

import h5py
import numpy as np
import pytest

from data_prep.sources.csd import align, read, unify
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import csd_files

FILES = {
  "words": "words",
  "COVAREP": "COVAREP",
  "FACET": "FACET",
  "All Labels": "labels",
}
# What is left after 25522, which COVAREP lacks, is dropped by its prefix.
RECORDINGS = ("vid_one", "vid_two", "vid_seg")


def entries_of(sequence, recordings):
  with sequence.opened() as read_entries:
    return {
      key: rows
      for recording in recordings
      for key, rows in read_entries(recording).items()
    }


@pytest.fixture(scope="module")
def drawn(data_dir):
  folder = data_dir / "csd"
  if not folder.is_dir():
    pytest.skip(f"{folder} is absent")
  return folder


@pytest.fixture(scope="module")
def steps(drawn):
  """Each step of the SDK's recipe for CMU-MOSEI, by the name of its file."""
  sequences = {
    name: read.open_sequence(drawn / "csd" / f"{file}.csd")
    for name, file in FILES.items()
  }
  recordings = {name: each.recordings for name, each in sequences.items()}
  kept = unify.common(recordings) - set(unify.dropped_by_prefix(recordings))
  assert kept == set(RECORDINGS)
  entries = {
    name: entries_of(each, RECORDINGS) for name, each in sequences.items()
  }
  labels = entries.pop("All Labels")
  words = align.align(entries, "words", align.MEAN)
  imputed = align.impute(words, "words", {"COVAREP": 2, "FACET": 1})
  labelled = align.align(
    {**imputed, "All Labels": labels}, "All Labels", align.NONE
  )
  return {
    "1_aligned_to_words": words,
    "2_imputed": imputed,
    "3_aligned_to_labels": labelled,
    "4_hard_unified": align.hard_unify(labelled),
  }


@pytest.mark.parametrize(
  "name",
  [
    *("1_aligned_to_words", "2_imputed"),
    *("3_aligned_to_labels", "4_hard_unified"),
  ],
)
def test_a_step_is_equal_to_the_sdks(steps, drawn, name):
  expected = json.loads((drawn / f"{name}.json").read_text())
  found = steps[name]
  assert found.keys() == expected.keys()
  for sequence, entries in expected.items():
    assert found[sequence].keys() == entries.keys()
    for key, entry in entries.items():
      rows = found[sequence][key]
      features = np.array(entry["features"])
      if rows.features.dtype.kind != "U":
        features = features.astype(np.float64)
      np.testing.assert_array_equal(rows.features, features)
      np.testing.assert_array_equal(
        rows.intervals, np.array(entry["intervals"], np.float64)
      )


def random_entries(rng, parts, width, most=9):
  """Entries of two recordings: unsorted, overlapping, some of no length."""
  entries = {}
  for recording in ("a", "ab"):
    for part in range(parts):
      count = rng.integers(0, most)
      begins = rng.uniform(-1, 4, count)
      lengths = rng.choice([0.0, 9e-6, 2e-5, 0.3, 1.7], count)
      # Many borders are shared, as those of forced alignments are.
      begins = np.where(rng.random(count) < 0.5, begins.round(1), begins)
      values = rng.normal(size=(count, width)) * 10 + 3
      values[rng.random(values.shape) < 0.1] = -np.inf
      name = recording if parts == 1 else f"{recording}[{part}]"
      entries[name] = values, np.stack([begins, begins + lengths], axis=1)
  return entries


@pytest.mark.parametrize("collapse", align.COLLAPSE)
@pytest.mark.parametrize("seed", range(6))
def test_random_rows_align_as_a_plain_loop_aligns_them(collapse, seed):
  rng = np.random.default_rng(seed)
  drawn = {
    "reference": random_entries(rng, 1 + seed % 2, 2),
    "dense": random_entries(rng, 1, 3, most=40),
    "parts": random_entries(rng, 3, 1),
  }
  found = align.align(
    {
      name: {key: align.make_rows(*rows) for key, rows in entries.items()}
      for name, entries in drawn.items()
    },
    "reference",
    collapse,
  )
  expected = csd_files.by_loop(drawn, "reference", collapse)
  assert sum(map(len, expected.values())) > 6
  for name, entries in expected.items():
    assert found[name].keys() == entries.keys()
    for key, (features, intervals) in entries.items():
      np.testing.assert_allclose(
        found[name][key].features, features, rtol=1e-12
      )
      np.testing.assert_array_equal(found[name][key].intervals, intervals)


def test_the_overlap_weighs_where_the_mean_does_not():
  # A word from 0 to 1; a frame of 5 inside it for 0.9 s, one of 25 for 0.1 s:
  # the mean is 15, weighted by time 0.9 * 5 + 0.1 * 25 = 7.
  word = align.make_rows(np.array([["a"]]), np.array([[0.0, 1.0]]))
  frames = align.make_rows(
    np.array([[5.0], [25.0]]), np.array([[-3.0, 0.9], [0.9, 1.4]])
  )
  for collapse, expected in (("mean", 15.0), ("overlap", 7.0)):
    found = align.align({"w": {"v": word}, "f": {"v": frames}}, "w", collapse)[
      "f"
    ]["v[0]"]
    np.testing.assert_allclose(found.features, [[expected]], rtol=1e-12)
    np.testing.assert_array_equal(found.intervals, [[0.0, 1.0]])


def test_a_prefix_drops_what_an_exact_name_keeps():
  recordings = {
    "words": ("25522", "255224", "255226", "3", "31"),
    "frames": ("255224", "255226", "31", "4"),
  }
  assert unify.common(recordings) == {"255224", "255226", "31"}
  # 25522 and 3 are in one file alone; 4 begins no other name.
  assert unify.dropped_by_prefix(recordings) == ["255224", "255226", "31"]


def test_rows_without_a_time_belong_to_nothing_and_keep_their_number(tmp_path):
  path = csd_files.write_csd(
    tmp_path / "x.csd",
    "any root",
    {"v": ([[1.0], [2.0], [3.0]], [[2, 1], [np.nan, 3], [0, 1]])},
  )
  tally = {}
  sequence = read.open_sequence(path)
  with sequence.opened(tally) as entries:
    rows = entries("v")
  assert tally == {read.BACKWARDS: 2}
  found = align.align({"x": rows}, "x", "mean")
  assert list(found["x"]) == ["v[2]"]


@pytest.mark.parametrize("width", [9, 12, 17])
def test_words_are_bytes_of_any_length(tmp_path, width):
  path = tmp_path / "words.csd"
  with h5py.File(path, "w") as file:
    group = file.create_group("b'words'/data/v")
    group["features"] = np.array([["sp"], ["café"]]).astype(object)
    group["intervals"] = [[0.0, 1.0], [1.0, 2.0]]
    other = file.create_group("b'words'/data/w")
    other["features"] = np.array([[b"caf\xe9"]], f"S{width}")
    other["intervals"] = [[0.0, 1.0]]
  sequence = read.open_sequence(path)
  assert sequence.text and sequence.root == "b'words'"
  tally = {}
  with sequence.opened(tally) as entries:
    assert entries("v")["v"].features.tolist() == [["sp"], ["café"]]
    assert entries("w")["w"].features.tolist() == [["caf\ufffd"]]
  assert tally == {read.NOT_UTF8: 1}


def test_a_row_without_the_axis_of_rows_is_one(tmp_path):
  path = csd_files.write_csd(
    tmp_path / "x.csd", "x", {"v": ([1.0, 2.0, 3.0], [0.5, 1.5])}
  )
  sequence = read.open_sequence(path)
  assert sequence.width == 3
  with sequence.opened() as entries:
    rows = entries("v")["v"]
  assert rows.features.shape == (1, 3) and rows.intervals.shape == (1, 2)


def broken(path, kind):
  """Writes a file that is wrong in one way."""
  with h5py.File(path, "w") as file:
    if kind == "empty":
      return
    if kind == "no data":
      file["x/metadata/root name"] = [b"x"]
      return
    if kind == "no entry":
      file.create_group("x/data")
      return
    group = file.create_group("x/data/v")
    group["features"] = np.ones((2, 3))
    if kind == "no intervals":
      return
    group["intervals"] = np.ones((3 if kind == "lengths" else 2, 2))
    other = file.create_group("x/data/w")
    other["features"] = {
      "width": np.ones((2, 4)),
      "text": np.array([[b"a"], [b"b"]]),
      "complex": np.ones((2, 3), complex),
    }.get(kind, np.ones((2, 3)))
    other["intervals"] = np.ones((2, 2))


@pytest.mark.parametrize(
  ("kind", "message"),
  [
    ("empty", "is empty, expected the key"),
    ("no data", "no group 'x'/data"),
    ("no entry", "has no entry"),
    ("no intervals", "'v' has no data set 'intervals'"),
    ("lengths", r"shape \(2, 3\) and intervals of shape \(3, 2\)"),
    ("width", "rows of 4 values, expected 3"),
    ("text", "expected numbers as in the first"),
    ("complex", "expected numbers as in the first"),
  ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, kind, message):
  path = tmp_path / "x.csd"
  broken(path, kind)
  with pytest.raises(UserError, match=message):
    sequence = read.open_sequence(path)
    entries_of(sequence, sequence.recordings)


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
  path = tmp_path / "x.csd"
  path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
  with pytest.raises(UserError, match="not a readable HDF5 file"):
    read.open_sequence(path)
