"""Rows of files, streamed, and what is wrong with them."""

import gzip
import json

import numpy as np
import pytest

from data_prep.readers import tables
from mmer_jax.base.errors import UserError


def rows(path, *wanted):
  return list(tables.open_table(path).rows(wanted))


def test_arrays_are_streamed_in_blocks_and_equal_what_was_saved(tmp_path):
  rng = np.random.default_rng(0)
  frames = rng.normal(size=(600, 3))
  names = np.array([f"name {i}" for i in range(600)])
  np.savez_compressed(
    tmp_path / "a.npz",
    frames=frames,
    fortran=np.asfortranarray(frames),
    names=names,
    other=np.zeros(7),
  )
  read = rows(tmp_path / "a.npz", "frames", "fortran", "names")
  assert read[599].where == "a.npz row 599"
  np.testing.assert_array_equal([row.cells["frames"] for row in read], frames)
  np.testing.assert_array_equal([row.cells["fortran"] for row in read], frames)
  assert [tables.as_text(row.cells["names"]) for row in read] == names.tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_a_csv_row_is_named_by_its_line(tmp_path, packed):
  text = 'id,text\r\n1,"two\nlines, quoted"\r\n2,é\r\n'
  path = tmp_path / ("a.csv.gz" if packed else "a.csv")
  data = ("\ufeff" + text).encode()
  path.write_bytes(gzip.compress(data) if packed else data)
  read = rows(path, "id")
  assert [row.cells for row in read] == [
    {"id": "1", "text": "two\nlines, quoted"},
    {"id": "2", "text": "é"},
  ]
  assert read[1].where == f"{path.name} line 4"


def test_a_jsonl_row_is_an_object_of_its_own(tmp_path):
  path = tmp_path / "a.jsonl"
  path.write_text('{"id": 1, "x": [1, 2]}\n\n{"id": 2, "x": null}\n')
  first, second = rows(path, "id", "x")
  assert tables.as_text(first.cells["id"]) == "1"
  assert tables.as_vector(second.cells["x"], "", "x") is None
  assert second.where == "a.jsonl line 3"


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("a.csv", b"id,x\n1,2,3\n", "a.csv line 2: 3 fields, expected 2"),
    ("a.csv", b"id,x\n1,\xff\n", "after line .*: cannot be read"),
    ("a.csv", b'id,x\n1,"2\n', "after line .*: cannot be read"),
    ("a.csv", b"", "is empty"),
    ("a.csv", b"id,id\n", "'id' appears more than once"),
    ("a.csv", b"name\n", "no column 'id'; it has name"),
    ("a.csv.gz", gzip.compress(b"id\n" * 99, mtime=0)[:-9], "cannot be read"),
    ("a.jsonl", b'{"id": 1}\n{"id":\n', "a.jsonl line 2: not JSON"),
    ("a.jsonl", b"[1]\n", "line 1: expected a JSON object, got list"),
    ("a.jsonl", b'{"x": 1}\n', "line 1: no column 'id'"),
    ("a.npz", b"PK not a zip file", "not a readable .npz"),
    ("a.xlsx", b"", "unknown kind of table"),
  ],
)
def test_a_broken_file_is_named_with_the_place(
  tmp_path, name, content, message
):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(UserError, match=message):
    rows(tmp_path / name, "id")


def test_pickled_arrays_are_never_loaded(tmp_path):
  np.savez(tmp_path / "a.npz", id=np.array([{"a": 1}], object))
  with pytest.raises(UserError, match="column 'id' holds pickled Python"):
    rows(tmp_path / "a.npz", "id")


def test_columns_of_different_lengths_are_refused(tmp_path):
  np.savez(tmp_path / "a.npz", id=np.arange(3), x=np.arange(4))
  with pytest.raises(UserError, match="'x' has 4 rows and column 'id' 3"):
    rows(tmp_path / "a.npz", "id", "x")


def test_a_truncated_archive_is_refused(tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, id=np.arange(1000))
  path.write_bytes(path.read_bytes()[:2000])
  with pytest.raises(UserError, match="is it truncated"):
    rows(path, "id")


def test_a_damaged_array_is_refused(tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, id=np.arange(1000))
  data = bytearray(path.read_bytes())
  data[3000] ^= 1
  path.write_bytes(data)
  with pytest.raises(UserError, match="'id' cannot be read"):
    rows(path, "id")


def test_cells_become_numbers_or_are_named():
  assert np.isnan(tables.as_vector("", "a", "x"))
  assert tables.as_vector(json.loads("[1, NaN]"), "a", "x").shape == (2,)
  for value in ("high", [[1], [2, 3]], ["a"]):
    with pytest.raises(UserError, match="a: column 'x' holds"):
      tables.as_vector(value, "a", "x")
