"""Tables of features: the converter's reader, ids, padding, refusals."""

import csv
import json

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.serving import predictions
from tests.serving import fake

HEADER = "id,acoustic:c0,acoustic:c1,acoustic:c2,acoustic:c3\n"


@pytest.fixture
def model():
  return fake.make()


def predict(model, path, content=None, out="out.jsonl", **arrays):
  """Predicts a file of a content, or of arrays; returns the rows."""
  if arrays:
    np.savez(path, **arrays)
  elif content is not None:
    path.write_bytes(
      content if isinstance(content, bytes) else content.encode()
    )
  out = path.parent / out
  count = predictions.predict_file(
    model, path, out, check_scale=False, explain=True
  )
  rows = [json.loads(line) for line in out.read_text().splitlines()]
  assert count == len(rows)
  return rows


def probs(row):
  return list(row["probs"].values())


def refuse(model, path, content, match, **arrays):
  out = path.parent / "out.jsonl"
  with pytest.raises(errors.UserError, match=match) as caught:
    predict(model, path, content, **arrays)
  assert "\n" not in str(caught.value)
  assert sorted(path.parent.iterdir()) == [path] and not out.exists()


@pytest.mark.parametrize(
  "content",
  [
    HEADER + "u1,1,2,3,4\nu2,,,,\n",
    "\ufeff" + HEADER + "u1,1,2,3,4\nu2,,,,\n",
    HEADER.replace(",", ";") + "u1;1;2;3;4\nu2;;;;\n",
    HEADER.replace(",", "\t") + "u1\t1\t2\t3\t4\r\nu2\t\t \t\t\r\n",
    HEADER + '"u1",1e0,"2",3.,4\n\n"u2",,,,\n',
    # Columns are told by their names, not by their places.
    "acoustic:c2,acoustic:c0,id,acoustic:c3,acoustic:c1\n7,1,u1,7,7\n,,u2,,\n",
  ],
)
def test_csv_is_read_as_the_conversion_reads_it(model, tmp_path, content):
  rows = predict(model, tmp_path / "in.csv", content)
  assert [row["id"] for row in rows] == ["u1", "u2"]
  np.testing.assert_allclose(probs(rows[0]), fake.probs((), 1.0), rtol=1e-6)
  # A blank row is an absent modality.
  present = [row["explain"]["present"]["acoustic"] for row in rows]
  assert present == [True, False]
  np.testing.assert_allclose(probs(rows[1]), [1 / 3] * 3, rtol=1e-6)


@pytest.mark.parametrize(
  "content, match",
  [
    (HEADER + "u1,1,2,3,4\nu2,1,5,2,3,4\n", "line 3: 6 fields, expected 5"),
    (HEADER + 'u1,1,2,3,4\n"u2,1,2,3,4\nu3,1,2,3,4\n', "never closed"),
    ((HEADER + "é,1,2,3,4\n").encode("latin-1"), "line 2 is not UTF-8"),
    ((HEADER + "u,1,2,3,4\n").encode("utf-16"), "UTF-16"),
    (HEADER + "u1,1,2,,4\n", "column 'acoustic:c2' is empty and others"),
    (HEADER + "u1,1,2,x,4\n", "line 2: column 'acoustic:c2' holds 'x'"),
    (HEADER + 'u1,"1,5",2,3,4\n', "decimal point in place of the comma"),
    (HEADER + "u1,1,2,inf,4\n", "line 2: acoustic is not finite in frame 0"),
    (HEADER + "u1,1,2,1e300,4\n", "line 2: acoustic is not finite in frame 0"),
    (HEADER + ",1,2,3,4\n", "line 2: id is empty"),
    (HEADER.replace("c1", "c0") + "u,1,2,3,4\n", "'acoustic:c0' appears more"),
    (
      HEADER.replace("c1", "c9") + "u,1,2,3,4\n",
      "column 2 is 'c9', expected 'c1'",
    ),
    (HEADER.replace(",acoustic:c1", "") + "u,1,2,3\n", "columns lack 'c1'"),
    (HEADER.replace("acoustic:c1", "c1") + "u,1,2,3,4\n", "has a column 'c1'"),
    ("id\nu1\n", "no column of features"),
    ("", "is empty"),
  ],
)
def test_csv_that_does_not_fit_is_refused(model, tmp_path, content, match):
  refuse(model, tmp_path / "in.csv", content, match)


def test_jsonl_is_read_line_by_line(model, tmp_path):
  rows = predict(
    model,
    tmp_path / "in.jsonl",
    '\ufeff{"id": "u1", "lexical": [[1, 0, 0], [2, 0, 0]],'
    ' "acoustic": [5, 0, 0, 0]}\n\n'
    '{"id": 7, "lexical": [0.5, 0, 0], "words": ["so"]}\n'
    '{"acoustic": null, "lexical": []}\n',
  )
  assert [row["id"] for row in rows] == ["u1", "7", "3"]
  for row, logits in zip(
    rows, ([2, 3, 5], [1, 0.5, 0], [0, 0, 0]), strict=True
  ):
    expected = fake.softmax(np.array(logits, float))
    np.testing.assert_allclose(probs(row), expected, rtol=1e-5)


@pytest.mark.parametrize(
  "line, match",
  [
    ('{"id": null, "acoustic": [1, 2, 3, 4]}', "line 1: id is empty"),
    ('{"id": "", "acoustic": [1, 2, 3, 4]}', "line 1: id is empty"),
    ('{"id": [1], "acoustic": [1, 2, 3, 4]}', "expected one text or number"),
    ('{"id": true, "acoustic": [1, 2, 3, 4]}', "id is True, expected a name"),
    ('{"id": "\\ud800", "acoustic": [1, 2, 3, 4]}', "lone surrogate"),
    ('{"words": ["\\ud800"], "lexical": [1, 2, 3]}', "lone surrogate"),
    ('{"acoustic": 1}', r"line 1: acoustic has shape \(\), expected"),
    ('{"acoustic": "1"}', "line 1: acoustic holds no numbers"),
    ('{"acoustic": {}}', "line 1: acoustic holds no numbers"),
    ('{"acoustic": [1, 2, null, 3]}', "line 1: acoustic holds no numbers"),
    ('{"acoustic": [1, 2, NaN, 3]}', "not finite in frame 0, column c2"),
    ('{"lexical": [[1, 2, 3], [4]]}', "rows of different lengths"),
    ('{"lexical": [1, 2, 3], "words": ["a", "b"]}', "2 words and 1 lexical"),
    ('{"lexical": [1, 2, 3], "words": "a"}', "expected a list of texts"),
    ('{"acoustic": [1, 2, 3, 4], "x": 1}', "has 'x', expected id, words and"),
    ('{"x": 1}', "holds none of lexical, acoustic"),
    ("[1]", "expected a JSON object"),
    ("{", "line 1: not JSON"),
    ("[" * 100_000, "line 1: not JSON"),
  ],
)
def test_jsonl_that_does_not_fit_is_refused(model, tmp_path, line, match):
  refuse(model, tmp_path / "in.jsonl", line + "\n", match)


def test_ids_come_back_as_they_went_in(model, tmp_path):
  sound = np.zeros((2, 4))
  for ids in (
    np.array(["u1", "ü2"]),
    np.array([b"u1", "ü2".encode()]),
    np.array([["u1"], ["ü2"]]),
    np.array([[b"u1"], ["ü2".encode()]]),
  ):
    rows = predict(model, tmp_path / "in.npz", id=ids, acoustic=sound)
    assert [row["id"] for row in rows] == ["u1", "ü2"]
  rows = predict(model, tmp_path / "in.npz", id=[3, 1], acoustic=sound)
  assert [row["id"] for row in rows] == ["3", "1"]
  rows = predict(model, tmp_path / "in.npz", acoustic=sound)
  assert [row["id"] for row in rows] == ["0", "1"]


def test_padding_of_npz_is_named_beside_it(model, tmp_path, caplog):
  padded = np.zeros((2, 5, 3), ">f8", "F")
  padded[:, :2, 0] = 1
  path, kept = tmp_path / "in.npz", np.arange(5) < [[1], [2]]
  for padding in ({"lexical_lengths": [1, 2]}, {"lexical_mask": kept}):
    rows = predict(model, path, lexical=padded, **padding)
    for row, count in zip(rows, (1, 2), strict=True):
      expected = fake.probs(padded[0, :count])
      np.testing.assert_allclose(probs(row), expected, rtol=1e-6)
  assert not caplog.records
  # Without, zeros are frames, and a line says so.
  rows = predict(model, path, lexical=padded)
  np.testing.assert_allclose(probs(rows[0]), fake.probs(padded[0]), rtol=1e-6)
  assert "lexical ends in zeros in 2 utterance(s)" in caplog.messages[0]


@pytest.mark.parametrize(
  "arrays, match",
  [
    ({"acoustic": np.ones(4)}, r"shape \(4,\), expected \(n, 4\) or"),
    ({"acoustic": np.ones((2, 3))}, r"shape \(2, 3\), expected \(n, 4\)"),
    ({"acoustic": np.ones((0, 3))}, r"shape \(0, 3\), expected \(n, 4\)"),
    ({"acoustic": np.ones((2, 4)) + 1j}, "complex"),
    ({"acoustic": np.full((2, 4), "1")}, "row 0: acoustic holds no numbers"),
    ({"acoustic": np.full((2, 4), None)}, "pickled"),
    ({"acoustic": np.ones((2, 4)), "id": ["a"]}, "every column needs one"),
    ({"acoustic": np.ones((2, 4)), "id": "a"}, "every column needs one"),
    ({"acoustic": np.ones((2, 4)), "id": ["a", ""]}, "row 1: id is empty"),
    ({"acoustic": np.ones((2, 4)), "id": [["a", "b"]] * 2}, "one text"),
    ({"acoustic": np.ones((2, 4)), "id": [b"\xff", b"b"]}, "not UTF-8"),
    ({"acoustic": np.ones((2, 4)), "x": [1, 2]}, "holds acoustic, x, expected"),
    ({"x": [1, 2]}, "holds x, expected"),
    ({"acoustic": np.ones((1, 4)), "lexical_lengths": [1]}, "expected lexical"),
    (
      {"acoustic": np.ones((1, 4)), "acoustic_lengths": [2]},
      "row 0: acoustic has length 2, expected 0 to its 1",
    ),
    (
      {"lexical": np.ones((1, 4, 3)), "lexical_mask": np.ones((1, 3))},
      "row 0: lexical has 4 frames, and its mask",
    ),
  ],
)
def test_npz_that_does_not_fit_is_refused(model, tmp_path, arrays, match):
  refuse(model, tmp_path / "in.npz", None, match, **arrays)


def test_an_empty_table_has_an_empty_result(model, tmp_path):
  empty = {"acoustic": np.ones((0, 4)), "lexical": np.ones((0, 5, 3))}
  assert (
    predict(model, tmp_path / "in.npz", id=np.zeros(0, "U1"), **empty) == []
  )
  assert predict(model, tmp_path / "in.csv", HEADER) == []
  assert predict(model, tmp_path / "in.jsonl", "\n") == []
  out = tmp_path / "out.csv"
  count = predictions.predict_file(
    model, tmp_path / "in.npz", out, emotions=["c", "a"], explain=True
  )
  assert count == 0
  assert out.read_text() == (
    "id,predicted,prob:c,prob:a,explain:present,explain:per_modality,"
    "explain:frame\n"
  )
  parquet = pytest.importorskip("pyarrow.parquet")
  predictions.predict_file(model, tmp_path / "in.npz", tmp_path / "o.parquet")
  table = parquet.read_table(tmp_path / "o.parquet")
  assert table.num_rows == 0 and table.column_names[:2] == ["id", "predicted"]


def test_columns_that_some_rows_have_are_written(model, tmp_path):
  """Words are explained of the rows that name them, first or not."""
  path, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
  path.write_text(
    '{"lexical": [1, 2, 3]}\n{"lexical": [1, 2, 3], "words": ["so"]}\n'
  )
  predictions.predict_file(model, path, out, explain=True, check_scale=False)
  with out.open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["explain:words"] for row in rows] == ["", '["so"]']
  parquet = pytest.importorskip("pyarrow.parquet")
  out = tmp_path / "out.parquet"
  predictions.predict_file(model, path, out, explain=True, check_scale=False)
  words = parquet.read_table(out)["explain:words"].to_pylist()
  assert words == [None, '["so"]']


def test_rows_keep_their_order_beyond_a_chunk(model, tmp_path):
  """256 utterances are in memory at a time, 64 in a call."""
  sound = np.zeros((600, 4), np.float32)
  sound[:, 0] = np.random.default_rng(0).permutation(600) / 100
  rows = predict(model, tmp_path / "in.npz", acoustic=sound)
  assert [row["id"] for row in rows] == [str(number) for number in range(600)]
  expected = [fake.probs((), row) for row in sound]
  np.testing.assert_allclose([probs(row) for row in rows], expected, rtol=1e-5)


def test_a_file_that_cannot_be_written_is_refused(model, tmp_path):
  path = tmp_path / "in.jsonl"
  path.write_text('{"lexical": [1, 2, 3]}\n')
  (tmp_path / "folder.csv").mkdir()
  for out, match in (
    (tmp_path / "folder.csv", "is a folder, expected another file"),
    (path, "is the input, expected another file"),
    (path / "out.csv", "cannot be written"),
  ):
    with pytest.raises(errors.UserError, match=match) as caught:
      predictions.predict_file(model, path, out, check_scale=False)
    assert "\n" not in str(caught.value)
  assert path.read_text() == '{"lexical": [1, 2, 3]}\n'
