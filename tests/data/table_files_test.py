"""Rows of files, streamed, and what is wrong with them."""

import gzip
import json

import numpy as np
import pytest

from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files


def rows(path, *wanted):
  return list(table_files.open_table(path).rows(wanted))


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
  assert [
    table_files.as_text(row.cells["names"]) for row in read
  ] == names.tolist()


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
  assert table_files.as_text(first.cells["id"]) == "1"
  assert table_files.as_vector(second.cells["x"], "", "x") is None
  assert second.where == "a.jsonl line 3"


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("a.csv", b"id,x\n1,2,3\n", "a.csv line 2: 3 fields, expected 2"),
    ("a.csv", b"id,x\n1,2\n1,\xff\n", "line 3 is not UTF-8 .byte 0xff.*iconv"),
    ("a.csv", b'id,x\n1,2\n1,"2\n3,4', "line 3: .* opened and never closed"),
    ("a.csv", b'id,x\n"1" a,2\n', "line 2: cannot be read"),
    ("a.csv", "id,x\n1,2\n".encode("utf-16"), "UTF-16.*iconv -f UTF-16"),
    ("a.csv", "id,x\n".encode("utf-16-le"), "NUL bytes, as UTF-16"),
    ("a.csv", "id,x\n".encode("utf-32"), "is UTF-32"),
    ("a.csv", b"id,x" + b"\nabcdef,2" * 20 + b"\na\0b,2", "line 22: a NUL"),
    ("a.csv", b"id;x;y\n1,2,3\n", "line 2: 1 fields.*semicolon"),
    ("a.jsonl", b'{"id": 1}\n{"id": "\xe9"}\n', "line 2 is not UTF-8"),
    ("a.jsonl", b'{"id": "\\ud83d"}\n', "line 1: .*surrogate .*ud83d"),
    ("a.jsonl", b'{"id": 1, "id": 2}\n', "line 1: .*'id' appears more than"),
    ("a.jsonl", b'{"id": ' + b"[" * 9999 + b"\n", "line 1: not JSON"),
    ("a.jsonl", b'{"id": ' + b"1" * 9999 + b"}\n", "line 1: not JSON"),
    ("a.csv", b"", "is empty"),
    ("a.csv", b"id,id\n", "'id' appears more than once"),
    ("a.csv", b"name\n", "no column 'id'; it has name"),
    ("a.csv.gz", gzip.compress(b"id\n" * 99, mtime=0)[:-9], "cannot be read"),
    ("a.jsonl", b'{"id": 1}\n{"id":\n', "a.jsonl line 2: not JSON"),
    ("a.jsonl", b"[1]\n", "line 1: expected a JSON object, got list"),
    ("a.jsonl", b'{"x": 1}\n', "line 1: no column 'id'"),
    ("a.csv", b"id, x, y\n1, 2\n", "line 2: 2 fields, expected 3"),
    ("a.arff", b"", "no line @data"),
    ("a.arff", b"id,x\n1,2\n", "line 1: 'id,x' is no line of an ARFF header"),
    ("a.arff", b"% a\n@DATA\n1\n", "no @attribute before @data, line 2"),
    ("a.arff", b"@attribute id\n@data\n", "line 1: .*TYPE, with a type of n"),
    ("a.arff", b"@attribute id {a,'b}\n@data\n", "line 1: .*TYPE"),
    ("a.arff", b"@attribute id relational\n@data\n", "line 1: '@attribute"),
    ("a.arff", b"@attribute x real\n@data\n", "no column 'id'; it has x"),
    ("a.arff", b"@attribute id real\n" * 2 + b"@data\n", "'id' appears more"),
    ("a.arff", b"@attribute id real\n@data\n\n1,2\n", "line 4: 2 fields"),
    ("a.arff", b"@attribute id real\n@data\n{0 1}\n", "line 3: a sparse row"),
    ("a.arff", b"@attribute id string\n@data\n'a\n", "line 3: a quote is"),
    ("a.arff", b"@attribute id string\n@data\na'b\n", "line 3: a quote is"),
    ("a.arff", b"@attribute id {a,b}\n@data\nb\nc\n", "line 4: 'c' is no va"),
    ("a.arff", b"@attribute id real\n@data\n\xe9\n", "line 3 is not UTF-8"),
    ("a.arff", b"@attribute id string %s\n@data\n\0" % (b" " * 64), "a NUL"),
    ("a.arff.gz", gzip.compress(b"@data" * 99, mtime=0)[:-9], "cannot be read"),
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
  assert np.isnan(table_files.as_vector("", "a", "x"))
  assert table_files.as_vector(json.loads("[1, NaN]"), "a", "x").shape == (2,)
  for value in ("high", [[1], [2, 3]], ["a"]):
    with pytest.raises(UserError, match="a: column 'x' holds"):
      table_files.as_vector(value, "a", "x")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_separator_and_a_byte_order_mark_are_recognised(
  tmp_path, separator, mark
):
  lines = ["id,text,x", 'a,"one, two; three",1.5', "b,é,2"]
  text = mark + "\n".join(lines).replace(",", separator)
  (tmp_path / "a.csv").write_text(text, encoding="utf-8")
  first, second = rows(tmp_path / "a.csv", "id", "x")
  assert first.cells["x"] == "1.5" and first.cells["id"] == "a"
  assert second.cells == {"id": "b", "text": "é", "x": "2"}


def test_a_byte_order_mark_is_skipped_in_jsonl(tmp_path):
  (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a"}\n{"id": "b"}')
  assert [r.cells["id"] for r in rows(tmp_path / "a.jsonl", "id")] == ["a", "b"]


def test_files_of_opensmile_and_openface_are_read(tmp_path):
  (tmp_path / "smile.csv").write_text(
    "name;frameTime;F0 mean\n'Ses01F_000';0.0;2.5e+01\n'b';0.5;1\n"
  )
  first, second = rows(tmp_path / "smile.csv", "name", "F0 mean")
  assert first.cells["name"] == "Ses01F_000" and second.cells["name"] == "b"
  assert table_files.as_vector(first.cells["F0 mean"], "", "") == 25.0
  (tmp_path / "face.csv").write_text(
    "frame, face_id, AU01_r\n1, 0, 2.55\n2, 0, 3.84\n"
  )
  read = rows(tmp_path / "face.csv", "frame", "AU01_r")
  assert [
    float(table_files.as_vector(row.cells["AU01_r"], "", "")) for row in read
  ] == [2.55, 3.84]


def test_blanks_behind_the_separators_of_the_first_line_are_none(tmp_path):
  path = tmp_path / "a.csv"
  path.write_text('id, text, x\na, "one, two", 1\nb,  , 2\nc,d,3\n')
  assert [row.cells for row in rows(path, "id")] == [
    {"id": "a", "text": "one, two", "x": "1"},
    {"id": "b", "text": "", "x": "2"},
    {"id": "c", "text": "d", "x": "3"},
  ]
  # Where the first line has none they are the cells' own.
  path.write_text("id,text\na, b\n")
  assert rows(path, "id")[0].cells == {"id": "a", "text": " b"}
  (tmp_path / "a.tsv").write_text("id\t text\na\t b\n")
  assert rows(tmp_path / "a.tsv", "id")[0].cells["text"] == " b"


@pytest.mark.parametrize("packed", [False, True])
def test_arff_is_read_with_its_quotes_and_classes(tmp_path, packed):
  text = r"""% made here
@RELATION 'a relation'

@attribute name string
@Attribute 'F0 mean' NUMERIC
@attribute "it's" real
@attribute class{neutral,'very happy', "sad" }
@attribute day date "yyyy-MM-dd"

@DATA
% no row
'Ses01_F000', 2.5e+01 ,-1,neutral,?

'it\'s, "so"',?,2,'very happy','a\tb\\c'
"?",3	4,sad,2001-01-01
"""
  path = tmp_path / ("a.arff.gz" if packed else "a.arff")
  data = ("\ufeff" + text.replace("\n", "\r\n")).encode()
  path.write_bytes(gzip.compress(data) if packed else data)
  columns = ("name", "F0 mean", "it's", "class", "day")
  table = table_files.open_table(path)
  assert table.columns == columns and table.total is None
  read = list(table.rows(["class"]))
  assert [tuple(row.cells.values()) for row in read] == [
    ("Ses01_F000", "2.5e+01", "-1", "neutral", ""),
    ('it\'s, "so"', "", "2", "very happy", "a\tb\\c"),
    ("?", "3", "4", "sad", "2001-01-01"),
  ]
  assert read[1].where == f"{path.name} line 14"
  assert np.isnan(table_files.as_vector(read[1].cells["F0 mean"], "", ""))
  # A second pass yields the same.
  assert list(table.rows([])) == read


def test_drawn_arff_equals_the_csv_of_the_same_features(data_dir):
  arff, csv_row = (
    next(table_files.open_table(data_dir / "layouts" / name).rows([])).cells
    for name in ("opensmile.arff", "opensmile_csv.csv")
  )
  assert arff.pop("class") == ""
  assert list(arff) == list(csv_row) and arff["name"] == csv_row["name"]
  for column in list(arff)[1:]:
    np.testing.assert_allclose(
      float(arff[column]), float(csv_row[column]), rtol=1e-2
    )


def test_a_row_over_several_lines_is_named_by_its_first(tmp_path):
  (tmp_path / "a.csv").write_text('id,x\n"1\n1",2\n"3\n3"\n')
  with pytest.raises(UserError, match="a.csv line 4: 1 fields"):
    rows(tmp_path / "a.csv", "id")


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.ones(3, np.complex64), "'x' holds complex numbers"),
    (np.zeros(3, [("a", int)]), "'x' holds .*expected numbers or text"),
    (np.zeros(3, "datetime64[s]"), "'x' holds datetime64"),
  ],
)
def test_arrays_of_neither_real_numbers_nor_text_are_refused(
  tmp_path, array, message
):
  np.savez(tmp_path / "a.npz", x=array)
  with pytest.raises(UserError, match=message):
    rows(tmp_path / "a.npz", "x")


def test_a_flipped_bit_behind_the_last_whole_block_is_found(tmp_path):
  """Also where a reader has every byte that it needs."""
  path = tmp_path / "a.npz"
  np.savez(path, id=np.arange(6000))
  data = bytearray(path.read_bytes())
  at = data.index(np.int64(5999).tobytes())
  data[at] ^= 1
  path.write_bytes(data)
  with pytest.raises(UserError, match="'id' cannot be read: Bad CRC"):
    rows(path, "id")


def test_a_cell_of_several_values_is_no_text():
  assert table_files.as_text(np.array(["a"])) == "a"
  assert table_files.as_text(b"caf\xc3\xa9") == "café"
  for value in ([1], {"a": 1}, np.array(["a", "b"]), b"\xe9", "\ud800"):
    with pytest.raises(UserError, match="f line 1: column 'x'"):
      table_files.as_text(value, "f line 1", "x")


def test_a_decimal_comma_is_named():
  with pytest.raises(UserError, match="'0,5', expected numbers; write a decim"):
    table_files.as_vector("0,5", "a", "x")
