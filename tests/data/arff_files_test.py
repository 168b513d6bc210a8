"""ARFF against SciPy's reader, back and forth, and damaged."""

import io

import numpy as np
import pytest
import scipy.io.arff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmer_jax.base.errors import UserError
from mmer_jax.data import arff_files, table_files

SHORT = settings(
  max_examples=60,
  deadline=None,
  derandomize=True,
  database=None,
  suppress_health_check=list(HealthCheck),
)
# Any text of a line; Weka's escapes cannot hold other characters of control.
TEXTS = st.text(
  st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\r"),
  max_size=8,
)


def quoted(text, mark):
  """Writes a text as Weka does."""
  for plain, code in (("\\", "\\"), ("\n", "n"), ("\t", "t"), ("\r", "r")):
    text = text.replace(plain, "\\" + code)
  return mark + text.replace(mark, "\\" + mark) + mark


def parsed(text):
  file = io.StringIO(text, newline="")
  header = arff_files.read_header(file, "a.arff")
  return header, [
    row for _, row in arff_files.read_rows(file, header, "a.arff")
  ]


def test_numbers_and_classes_are_those_that_scipy_reads(tmp_path):
  rng = np.random.default_rng(0)
  classes = np.array(["neutral", "happy", "sad"])
  lines = ["% drawn", "@relation drawn", "", "@attribute f1 numeric"]
  lines += [
    "@ATTRIBUTE f2 real",
    "@attribute class {neutral,happy,sad}",
    "@data",
  ]
  for _ in range(50):
    one, two = rng.normal(3, 5, 2).tolist()
    name = classes[rng.integers(3)]
    blank = " " * rng.integers(3)
    cell = "?" if rng.random() < 0.2 else repr(two)
    lines.append(f"{one!r},{blank}{cell} ,{name}")
  path = tmp_path / "a.arff"
  path.write_text("\n".join(lines) + "\n")
  data, meta = scipy.io.arff.loadarff(path)
  table = table_files.open_table(path)
  assert table.columns == tuple(meta.names())
  read = list(table.rows(meta.names()))
  for column in ("f1", "f2"):
    values = [table_files.as_vector(r.cells[column], "", column) for r in read]
    np.testing.assert_array_equal(values, data[column])
  assert np.isnan(data["f2"]).any()
  assert [row.cells["class"].encode() for row in read] == data["class"].tolist()


@SHORT
@given(
  names=st.lists(TEXTS, min_size=1, max_size=4, unique=True),
  cells=st.lists(TEXTS, min_size=1, max_size=9),
  mark=st.sampled_from(["'", '"']),
)
def test_texts_come_back_as_they_were_written(names, cells, mark):
  rows = [
    [cells[(row + column) % len(cells)] for column in range(len(names))]
    for row in range(3)
  ]
  lines = [f"@attribute {quoted(name, mark)} string" for name in names]
  lines += ["@data"]
  lines += [",".join(quoted(cell, mark) for cell in row) for row in rows]
  header, read = parsed("\n".join(lines))
  assert [each.name for each in header.attributes] == names
  assert read == rows


@SHORT
@given(
  at=st.integers(0, 400),
  put=st.text(st.sampled_from("'\"\\{},?%@ \tab\n"), max_size=4),
  cut=st.integers(0, 9),
)
def test_damage_is_one_line_or_a_row_of_as_many_fields(at, put, cut):
  text = (
    "@relation 'a b'\n@attribute name string\n@attribute 'f 1' numeric\n"
    "@attribute class {a,'b c'}\n@data\n'x, y',1.5,a\n\"it's\",?,'b c'\n"
  )
  at = min(at, len(text))
  try:
    header, read = parsed(text[:at] + put + text[at + cut :])
  except UserError as error:
    assert "\n" not in str(error) and "a.arff" in str(error)
  else:
    assert all(len(row) == len(header.attributes) for row in read)


@pytest.mark.parametrize(
  "text", ["'" * 200_001, " " * 200_000 + "'", "\\" * 200_000]
)
def test_long_lines_take_no_longer_than_their_length(text):
  """Quadratic time would be minutes."""
  with pytest.raises(UserError):
    parsed(f"@attribute a string\n@attribute b string\n@data\n{text}\n")
