"""Random arrays and damaged tables: a right answer, or one line.

`MMER_FUZZ=N pytest -m long tests/serving/fuzz_test.py` tries N of each (10000
by default).
"""

import csv
import io
import json
import pathlib
import re
import tempfile

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmer_jax.base import errors
from mmer_jax.serving import predictions
from tests import fuzzing
from tests.serving import fake

MODEL = fake.make()
SHORT = fuzzing.short(60)
LONG = fuzzing.LONG
# Small whole numbers, which every type below holds exactly.
DTYPES = ("f2", "f4", "f8", "g", "i1", "<i2", ">i4", ">f4", ">f8", "i8", "bf16")
CONTAINERS = {
  "array": lambda x: x,
  "fortran": np.asfortranarray,
  "strided": lambda x: np.repeat(x, 3, axis=0)[::3],
  "reversed": lambda x: x[::-1].copy()[::-1],
  "jax": lambda x: jnp.asarray(x.astype(x.dtype.newbyteorder("="))),
  "list": lambda x: x.tolist(),
  "rows": list,
  "tuple": lambda x: tuple(x.tolist()),
  "memory": lambda x: memoryview(np.ascontiguousarray(x, "f4")),
}


@st.composite
def arrays(draw, shape):
  """An array as float32, and the same in another type and container."""
  size = int(np.prod(shape))
  values = draw(st.lists(st.integers(-9, 9), min_size=size, max_size=size))
  plain = np.array(values, np.float32).reshape(shape)
  dtype = draw(st.sampled_from(DTYPES))
  container = draw(st.sampled_from(sorted(CONTAINERS)))
  if container == "jax" and dtype in ("g", "f8", ">f8", "i8"):
    dtype = "f4"
  kind = jnp.bfloat16 if dtype == "bf16" else np.dtype(dtype)
  if not size and container in ("list", "tuple", "memory"):
    # An empty list has no shape but (0,).
    container = "array"
  return plain, CONTAINERS[container](plain.astype(kind))


@st.composite
def requests(draw):
  """Features of one utterance or a batch, plain and otherwise."""
  count = draw(st.integers(0, 3))
  length = draw(st.integers(1, 10))
  if draw(st.booleans()):
    shapes = {"lexical": (length, 3), "acoustic": draw(_ONE)}
  else:
    sound = draw(st.sampled_from([(count, 4), (count, 2, 4)]))
    shapes = {"lexical": (count, length, 3), "acoustic": sound}
  chosen = draw(st.sampled_from([["lexical", "acoustic"], *(["lexical"],)]))
  pairs = {modality: draw(arrays(shapes[modality])) for modality in chosen}
  return (
    {modality: plain for modality, (plain, _) in pairs.items()},
    {modality: other for modality, (_, other) in pairs.items()},
  )


_ONE = st.sampled_from([(4,), (1, 4)])


def check_arrays(request):
  plain, other = request
  expected = MODEL.predict(plain, check_scale=False)
  found = MODEL.predict(other, check_scale=False)
  np.testing.assert_array_equal(found.probs, expected.probs)
  assert found.chosen == expected.chosen
  if expected.probs.ndim == 1:
    sound = plain.get("acoustic", np.zeros(1))
    by_hand = fake.probs(plain["lexical"], sound)
  else:
    sounds = plain.get("acoustic", np.zeros((len(plain["lexical"]), 1)))
    by_hand = [
      fake.probs(*each) for each in zip(plain["lexical"], sounds, strict=True)
    ]
  by_hand = np.reshape(by_hand, expected.probs.shape)
  np.testing.assert_allclose(found.probs, by_hand, rtol=1e-4, atol=1e-12)


@SHORT
@given(requests())
def test_every_array_means_its_float32_reading(request):
  check_arrays(request)


@pytest.mark.long
@LONG
@given(requests())
def test_every_array_means_its_float32_reading_many_times(request):
  check_arrays(request)


def mostly(value, others):
  """A value four times of five."""
  return st.integers(0, 4).flatmap(lambda n: st.just(value) if n else others)


ANYTHING = st.one_of(
  st.none(),
  st.booleans(),
  st.integers(-(10**30), 10**30),
  st.floats(),
  st.complex_numbers(),
  st.text(max_size=3),
  st.binary(max_size=3),
  st.just(np.float32(2)),
  st.just(np.ma.masked),
  st.just(np.datetime64("2020")),
  st.just(np.ones((2, 3))),
  st.just(np.ones((2, 2, 3))),
)
NESTED = st.recursive(ANYTHING, lambda inner: st.lists(inner, max_size=4))


FRAMES = st.one_of(
  st.builds(
    np.full, st.tuples(st.integers(0, 9), st.just(3)), st.floats(-9, 9)
  ),
  st.builds(
    np.full,
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.just(3)),
    st.floats(-1e39, 1e39),
  ),
  st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), max_size=3),
)
FEATURES = st.one_of(FRAMES, st.lists(st.one_of(st.none(), FRAMES)), NESTED)
COUNTS = st.one_of(st.integers(-1, 9), st.lists(st.integers(-1, 9), max_size=3))
MASKS = st.recursive(st.booleans(), lambda inner: st.lists(inner, max_size=3))
PADDING = mostly(
  {},
  st.one_of(
    st.fixed_dictionaries({"lengths": st.one_of(COUNTS, NESTED)}),
    st.fixed_dictionaries({"mask": st.one_of(MASKS, NESTED)}),
  ),
)
ARGUMENTS = st.tuples(FEATURES, mostly(None, FEATURES), PADDING)


def check_anything(lexical, acoustic, padding):
  features = {"lexical": lexical, "acoustic": acoustic}
  named = {key: {"lexical": each} for key, each in padding.items()}
  try:
    found = MODEL.predict(features, check_scale=False, **named)
  except errors.UserError as error:
    assert "\n" not in str(error)
  else:
    assert np.isfinite(found.probs).all() and found.probs.shape[-1] == 3


@SHORT
@given(ARGUMENTS)
def test_anything_is_predicted_or_refused_in_one_line(arguments):
  check_anything(*arguments)


@pytest.mark.long
@LONG
@given(ARGUMENTS)
def test_anything_is_predicted_or_refused_many_times(arguments):
  check_anything(*arguments)


HEADER = ["id", *(f"acoustic:c{column}" for column in range(4))]
TOKENS = (
  *("", " ", "nan", "inf", "1e300", "-0", "1,5", "0x1", "1_0", "u1", "1+2j"),
  *(",", ";", "\t", '"', '""', "'", "\n", "\r", "\r\n", "\0", "\\", "\ufeff"),
  *("[", "]", "{", "}", ":", "null", "true", "[]", "{}", "NaN", "1e999"),
  *("\\ud800", "\ud7ff", "é", "\u2028", "id", "acoustic", "lexical", "words"),
)


def valid_text(suffix):
  """A table of three utterances; one lacks acoustic."""
  if suffix == ".csv":
    rows = [["u1", 1, 2, 3, 4], ["u2", "", "", "", ""], ["u,3", 5, 6, 7.5, -8]]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue()
  rows = [
    {"id": "u1", "lexical": [[1, 2, 3], [4, 5, 6]], "acoustic": [1, 2, 3, 4]},
    {"id": "u2", "lexical": [[0.5, -1, 0]], "words": ["so"]},
    {"id": 3, "acoustic": None, "lexical": []},
  ]
  return "".join(json.dumps(row) + "\n" for row in rows)


@st.composite
def damaged_texts(draw):
  """A table with some characters replaced, in any encoding."""
  suffix = draw(st.sampled_from([".csv", ".jsonl"]))
  text = valid_text(suffix)
  for _ in range(draw(st.integers(0, 2))):
    start = draw(st.integers(0, len(text)))
    stop = start + draw(st.integers(0, 3))
    text = text[:start] + draw(st.sampled_from(TOKENS)) + text[stop:]
  if draw(st.booleans()):
    lines = text.splitlines(keepends=True)
    text = "".join([lines[0], *draw(st.permutations(lines[1:]))])
  if draw(st.booleans()):
    # A number becomes another one.
    numbers = list(re.finditer(r"\d+", text))
    at = draw(st.sampled_from(numbers))
    number = draw(st.one_of(st.integers(), st.floats()))
    text = text[: at.start()] + str(number) + text[at.end() :]
  encoding = draw(
    st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "latin-1"])
  )
  content = text.encode(encoding, "replace")
  return suffix, content[: draw(st.sampled_from([None] * 8 + [-1, -9]))]


def expected_of_text(suffix, content):
  """Ids and probabilities as the standard library reads a table."""
  text = content.decode("utf-8-sig")
  if suffix == ".jsonl":
    cells = [
      json.loads(line) for line in re.split("[\r\n]+", text) if line.strip()
    ]
    numbered = list(enumerate(cells, 1))
    return [
      (
        str(row.get("id", number)),
        fake.probs(row.get("lexical") or (), row.get("acoustic") or [0.0]),
      )
      for number, row in numbered
    ]
  first = text.lstrip("\r\n").splitlines()[0]
  separator = max(",;\t", key=re.sub('"[^"]*"', "", first).count)
  reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
  header, *rows = [row for row in reader if row]
  found = []
  for number, row in enumerate(rows, 1):
    cells = dict(zip([name.strip() for name in header], row, strict=True))
    sound = cells.get("acoustic:c0", "").strip() or "0"
    found.append((cells.get("id", str(number)), fake.probs((), float(sound))))
  return found


def predict(suffix, content):
  """The rows that are written; None where the table is refused."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    path, out = folder / f"in{suffix}", folder / "out.jsonl"
    path.write_bytes(content)
    try:
      predictions.predict_file(MODEL, path, out, check_scale=False)
    except errors.UserError as error:
      assert "\n" not in str(error)
      assert [each.name for each in folder.iterdir()] == [path.name]
      return None
    assert len(list(folder.iterdir())) == 2
    return [json.loads(line) for line in out.read_text().splitlines()]


def check_rows(rows, expected):
  assert [row["id"] for row in rows] == [name for name, _ in expected]
  np.testing.assert_allclose(
    np.reshape([list(row["probs"].values()) for row in rows], (-1, 3)),
    np.reshape([each for _, each in expected], (-1, 3)),
    rtol=1e-4,
    atol=1e-12,
  )


def check_text(damaged):
  rows = predict(*damaged)
  if rows is not None:
    check_rows(rows, expected_of_text(*damaged))


@SHORT
@given(damaged_texts())
def test_a_damaged_text_is_read_right_or_refused(damaged):
  check_text(damaged)


@pytest.mark.long
@LONG
@given(damaged_texts())
def test_a_damaged_text_is_read_right_or_refused_many_times(damaged):
  check_text(damaged)


def valid_npz(compress):
  content = io.BytesIO()
  (np.savez_compressed if compress else np.savez)(
    content,
    id=np.array(["u1", "u2"]),
    acoustic=np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
    lexical=np.array([[[1, 2, 3]] * 2, [[4, 5, 6]] * 2], ">f8"),
    lexical_lengths=np.array([1, 2]),
  )
  return content.getvalue()


def _saved(**arrays):
  content = io.BytesIO()
  np.savez(content, **arrays)
  return content.getvalue()


@st.composite
def other_npz(draw):
  """A sound .npz whose arrays may have other names, shapes and types."""
  count = draw(st.integers(0, 3))
  rows = st.sampled_from([count] * 6 + [count + 1])
  length = st.integers(0, 9)
  arrays = {
    "acoustic": (draw(rows), 4),
    "lexical": (draw(rows), draw(length), 3),
    "id": (draw(rows),),
    draw(st.sampled_from(["lexical_lengths", "lexical_mask"] * 3 + ["x"])): (
      draw(st.sampled_from([(count,), (count, 9), (count, 1)]))
    ),
  }
  kept = draw(st.lists(st.sampled_from(sorted(arrays)), unique=True))
  saved = {}
  for name in kept:
    kinds = ["f4", ">f8", "i2", "?", "f2"] * 3 + ["c8", "U3", "S3", "M8[s]"]
    kind = draw(st.sampled_from(kinds))
    values = np.full(arrays[name], draw(st.integers(0, 3)))
    saved[name] = values.astype(kind, order=draw(st.sampled_from("CF")))
  return _saved(**saved)


@st.composite
def damaged_npz(draw):
  """A .npz with some bytes replaced, inserted or cut off."""
  content = valid_npz(draw(st.booleans()))
  for _ in range(draw(st.integers(0, 3))):
    start = draw(st.integers(0, len(content)))
    stop = start + draw(st.integers(0, 4))
    content = content[:start] + draw(st.binary(max_size=4)) + content[stop:]
  return content[: draw(st.sampled_from([None, None, -1, -30, -400]))]


def check_npz(content):
  rows = predict(".npz", content)
  if rows is None:
    return
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      read = {name: file[name] for name in file.files}
  except Exception:  # noqa: BLE001
    # NumPy may read less of a damaged file than row by row is possible.
    return
  found = []
  for row in range(len(rows)):
    name = read["id"][row] if "id" in read else row
    lexical = read["lexical"][row] if "lexical" in read else ()
    if "lexical_lengths" in read:
      lexical = lexical[: read["lexical_lengths"].item(row)]
    if "lexical_mask" in read:
      lexical = lexical[read["lexical_mask"][row].astype(bool)]
    sound = read["acoustic"][row] if "acoustic" in read else [0.0]
    name = name.decode() if isinstance(name, bytes) else str(name)
    found.append((name, fake.probs(lexical, sound)))
  check_rows(rows, found)


@SHORT
@given(st.one_of(damaged_npz(), other_npz()))
def test_a_damaged_npz_is_read_right_or_refused(content):
  check_npz(content)


@pytest.mark.long
@LONG
@given(st.one_of(damaged_npz(), other_npz()))
def test_a_damaged_npz_is_read_right_or_refused_many_times(content):
  check_npz(content)


def test_what_is_not_damaged_is_read():
  for suffix in (".csv", ".jsonl"):
    rows = predict(suffix, valid_text(suffix).encode())
    assert len(rows) == 3
    check_rows(rows, expected_of_text(suffix, valid_text(suffix).encode()))
  for compress in (False, True):
    assert len(predict(".npz", valid_npz(compress))) == 2
    check_npz(valid_npz(compress))
