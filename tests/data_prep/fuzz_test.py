"""Damaged tables, arrays, specs and shards: a right answer, or one line.

Never a traceback, never a number that the file does not hold, never half an
output. `MMER_FUZZ=N pytest -m long tests/data_prep/fuzz_test.py` tries N of
each (10000 by default).
"""

import contextlib
import copy
import csv
import gzip
import io
import json
import pathlib
import pickle
import shutil
import tempfile
import unicodedata
import warnings

import ml_collections
import numpy as np
import pytest
import rich.console
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.corpus import classes
from data_prep.features import text_features
from data_prep.readers import describe
from data_prep.sources import spec as spec_lib
from data_prep.sources import utterances, word_aligned
from data_prep.writing import options, write
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards, word_vectors
from tests import fuzzing
from tests.data_prep.conftest import make_corpus, make_example, make_spec

SHORT = fuzzing.short(80)
LONG = fuzzing.LONG

TEXTS = ("I am happy", "don't, you?", "über café", 'she said "no"', "")
ROWS = [
  {
    "id": f"u{number}",
    "text": TEXTS[number % len(TEXTS)],
    "emotion": ("hap", "sad")[number % 2],
    "f_1": 0.5 + number,
    "f_2": -1e-3 * number,
  }
  for number in range(7)
]
COLUMNS = tuple(ROWS[0])
VECTORS = "i 1 0\nam 0 1\nhappy 1 1\nsad 2 1\ncafé 3 1\n"


def spec_of(columns=("f_1", "f_2")):
  entry = {"columns": columns, "names": (), "padding": "none"}
  return make_spec(features={"acoustic": entry})


@contextlib.contextmanager
def workplace():
  """An empty folder with word vectors."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "vectors.txt").write_text(VECTORS, encoding="utf-8")
    yield folder


def read(folder, name, content, spec=None):
  """The utterances of a table, by id, or None where it was refused."""
  path = folder / name
  path.write_bytes(content)
  try:
    corpus = utterances.build(
      spec or spec_of(),
      path,
      text_features.Choice(folder / "vectors.txt", "zero"),
    )
    examples = list(corpus.examples())
    labels = [e.labels for e in examples if e.labels is not None]
    having = (np.array(labels) > 0).sum(axis=0)
    classes.require_two(corpus, len(labels), having)
  except UserError as error:
    assert "\n" not in str(error) and len(str(error)) > 20
    return None
  return [
    (e.id, e.words, None if e.labels is None else e.labels.tolist(), e.streams)
    for e in examples
  ]


def same(one, other):
  """Whether two readings hold the same utterances."""
  if one is None or other is None or len(one) != len(other):
    return False
  for a, b in zip(one, other, strict=True):
    if a[:3] != b[:3] or a[3].keys() != b[3].keys():
      return False
    if not all(np.array_equal(a[3][m], b[3][m]) for m in a[3]):
      return False
  return True


def as_csv(rows=ROWS, separator=",", end="\n", quoting=csv.QUOTE_MINIMAL):
  text = io.StringIO()
  writer = csv.writer(
    text, delimiter=separator, lineterminator=end, quoting=quoting
  )
  writer.writerow(rows[0])
  writer.writerows(row.values() for row in rows)
  return text.getvalue()


def as_jsonl(rows=ROWS, ascii_only=True):
  lines = (json.dumps(row, ensure_ascii=ascii_only) for row in rows)
  return "".join(line + "\n" for line in lines)


def as_npz(compressed):
  arrays = {c: np.array([row[c] for row in ROWS]) for c in COLUMNS}
  file = io.BytesIO()
  (np.savez_compressed if compressed else np.savez)(file, **arrays)
  return file.getvalue()


@st.composite
def harmless(draw):
  """A name and bytes that hold the same rows in another dress."""
  order = draw(st.permutations(COLUMNS))
  rows = [{column: row[column] for column in order} for row in ROWS]
  form = draw(st.sampled_from(["NFC", "NFD"]))
  mark = draw(st.sampled_from(["", "\ufeff"]))
  if draw(st.booleans()):
    text = as_jsonl(rows, draw(st.booleans()))
    return "a.jsonl", (mark + unicodedata.normalize(form, text)).encode()
  text = as_csv(
    rows,
    draw(st.sampled_from([",", ";", "\t"])),
    draw(st.sampled_from(["\n", "\r\n", "\n\n"])),
    draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
  )
  content = (mark + unicodedata.normalize(form, text)).encode()
  if draw(st.booleans()):
    return "a.csv.gz", gzip.compress(content)
  return "a.csv", content


def harmless_changes_nothing(table):
  with workplace() as folder:
    expected = read(folder, "plain.csv", as_csv().encode())
    assert len(expected) == len(ROWS)
    assert same(read(folder, *table), expected)


@st.composite
def damage(draw, content):
  """Bytes with some of them flipped, cut, doubled, moved or replaced."""
  content = bytearray(content)
  for _ in range(draw(st.integers(1, 3))):
    if not content:
      break
    at = draw(st.integers(0, len(content) - 1))
    kind = draw(st.sampled_from(["flip", "cut", "insert", "delete", "double"]))
    if kind == "flip":
      content[at] ^= draw(st.integers(1, 255))
    elif kind == "cut":
      del content[at:]
    elif kind == "insert":
      more = draw(st.sampled_from(MORE) | st.binary(min_size=1, max_size=4))
      content[at:at] = more
    elif kind == "delete":
      del content[at : at + draw(st.integers(1, 9))]
    else:
      content[at:at] = content[at : at + draw(st.integers(1, 40))]
  return bytes(content)


MORE = [
  *(b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\0", b"nan", b"inf"),
  *(b"1e300", b"1e999", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\\ud800"),
  *(b"[", b"{", b"null", b"true", b"1j", b"0x1", b"1_0", b"-", b"  "),
]


def by_another_reader(content):
  """Ids and numbers of a comma-separated text, as plain Python reads them."""
  text = content.decode("utf-8-sig")
  header, *records = [
    record for record in csv.reader(io.StringIO(text, newline="")) if record
  ]
  names = [name.strip() for name in header]
  return [dict(zip(names, record, strict=True)) for record in records]


def number(cell):
  cell = cell.strip()
  with np.errstate(over="ignore"):
    return np.float32(float(cell)) if cell else np.float32(np.nan)


def damaged_csv_is_right_or_refused(content):
  with workplace() as folder:
    found = read(folder, "a.csv", content)
    if found is None or b";" in content or b"\t" in content:
      return
    rows = by_another_reader(content)
    assert [e[0] for e in found] == [row["id"].strip() for row in rows]
    for (_, _, _, streams), row in zip(found, rows, strict=True):
      expected = [number(row["f_1"]), number(row["f_2"])]
      if "acoustic" in streams:
        np.testing.assert_array_equal(streams["acoustic"][0], expected)
      else:
        assert np.isnan(expected).all()


def damaged_jsonl_is_right_or_refused(content):
  with workplace() as folder:
    found = read(folder, "a.jsonl", content)
    if found is None:
      return
    lines = content.decode("utf-8-sig").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    assert len(found) == len(rows)
    for (name, _, _, streams), row in zip(found, rows, strict=True):
      assert name == str("" if row["id"] is None else row["id"]).strip()
      for value, cell in zip(
        streams.get("acoustic", [()])[0], (row["f_1"], row["f_2"]), strict=False
      ):
        if isinstance(cell, (int, float)):
          with np.errstate(over="ignore"):
            np.testing.assert_array_equal(value, np.float32(cell))


def damaged_npz_is_the_same_or_refused(content):
  with workplace() as folder, warnings.catch_warnings():
    # Headers of Python 2; a name twice.
    warnings.simplefilter("ignore")
    expected = read(folder, "plain.npz", as_npz(False))
    assert len(expected) == len(ROWS)
    found = read(folder, "a.npz", content)
    assert found is None or same(found, expected)


ODD = st.sampled_from(
  [
    *(None, 0, 1, -1, 2.5, True, "", "x", "{id}", "{nothing}", "{", "{}"),
    *((), (1,), ("a",), ("f_1", 2), (("a", "b"),), (("a",),), ((1, "happy"),)),
    *([], {}, {"columns": ()}, {"min_words": 1}, b"x", float("nan")),
  ]
)


@st.composite
def odd_specs(draw):
  """A spec with keys that are missing, unknown or hold something odd."""
  spec = spec_of().to_dict()
  for _ in range(draw(st.integers(1, 3))):
    key = draw(st.sampled_from(sorted(spec)))
    kind = draw(st.sampled_from(["odd", "drop", "rename", "inner"]))
    if kind == "odd":
      spec[key] = draw(ODD)
    elif kind == "drop":
      del spec[key]
    elif kind == "rename":
      spec[key[:-1] or "x"] = spec.pop(key)
    elif isinstance(spec.get("features"), dict) and spec["features"]:
      entry = copy.deepcopy(spec["features"])
      inner = entry.get("acoustic")
      if isinstance(inner, dict):
        inner[draw(st.sampled_from(["columns", "names", "padding", "z"]))] = (
          draw(ODD)
        )
      spec["features"] = entry
    if len(spec) < 3:
      break
  return spec


def odd_spec_is_read_or_refused(fields):
  with workplace() as folder:
    try:
      spec = ml_collections.ConfigDict(fields)
    except (TypeError, ValueError, AttributeError):
      # Never a spec: ml_collections refuses such a dict itself.
      return
    read(folder, "a.csv", as_csv().encode(), spec)
    with contextlib.suppress(UserError):
      spec_lib.check_spec(spec)


def made_shards(folder):
  vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
  emotions = manifest_lib.schema.EmotionVectors(
    ("happy", "sad"), ("happy", "sad"), vectors
  )
  examples = [
    make_example(f"{i}", [[i, 0.5]], [[1, 2, i]], label=i % 2, speaker=f"s{i}")
    for i in range(6)
  ]
  write.write(
    make_corpus(examples, vectors=emotions),
    folder,
    options.Options("zero", 1, "array_record"),
    rich.console.Console(quiet=True),
  )


def everything(folder):
  """All that a training reads of a shard folder, as comparable values."""
  vectors = manifest_lib.load_emotion_vectors(folder)
  examples = [
    {key: np.asarray(value).tolist() for key, value in example.items()}
    for _, example in shards.read_examples(folder)
  ]
  return examples, vectors.words, vectors.vectors.tolist()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
  """A shard folder, and what it holds."""
  folder = tmp_path_factory.mktemp("fuzz") / "shards"
  made_shards(folder)
  return folder, everything(folder)


def damaged_shards_are_the_same_or_refused(data, sound):
  folder, expected = sound
  with tempfile.TemporaryDirectory() as name:
    copied = pathlib.Path(name) / "shards"
    shutil.copytree(folder, copied)
    path = data.draw(st.sampled_from(sorted(copied.iterdir())))
    path.write_bytes(data.draw(damage(path.read_bytes())))
    try:
      found = everything(copied)
    except UserError as error:
      assert "\n" not in str(error)
      return
    assert found == expected, path.name


def an_output_is_whole_or_not_there(content):
  with workplace() as folder:
    (folder / "a.csv").write_bytes(content)
    output = folder / "out"
    try:
      corpus = utterances.build(
        spec_of(),
        folder / "a.csv",
        text_features.Choice(folder / "vectors.txt"),
      )
      write.write(
        corpus,
        output,
        options.Options("zero", 1, "array_record"),
        rich.console.Console(quiet=True),
      )
    except UserError:
      assert not output.exists()
    else:
      read_back = list(shards.read_examples(output))
      manifest = manifest_lib.load_manifest(output)
      assert len(read_back) == manifest["counts"]["examples"] > 0
    assert not (folder / ".out.incomplete").exists()


def aligned_npz():
  file = io.BytesIO()
  np.savez(
    file,
    audio=np.ones((3, 2, 4, 5)),
    word_embeddings=np.ones((3, 2, 5)),
    sentence_len=np.array([1, 0, 5]),
    label=np.array([0, 1, 1]),
    label_names=np.array(["happy", "sad"]),
    name=np.array(["a", "b", "c"]),
  )
  return file.getvalue()


OTHER = {
  "a.txt": VECTORS.encode(),
  "a.pkl": pickle.dumps(
    {"x": np.arange(6.0).reshape(2, 3), "y": [np.float32(2), ("a", b"b")]}
  ),
  "a.npz": aligned_npz(),
}


def other_files_are_described_or_refused(data):
  name = data.draw(st.sampled_from(sorted(OTHER)))
  with workplace() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    path = folder / name
    path.write_bytes(data.draw(damage(OTHER[name])))
    readers = [describe.describe]
    if name == "a.npz":
      readers.append(lambda path: list(word_aligned.build(path).examples()))
    elif name == "a.txt":
      readers.append(lambda path: word_vectors.read(path, {"i", "café"}))
    for reader in readers:
      try:
        reader(path)
      except UserError as error:
        assert "\n" not in str(error)


CSV = as_csv().encode()
JSONL = as_jsonl(ascii_only=False).encode()


@pytest.mark.parametrize(
  "how",
  [SHORT, pytest.param(LONG, marks=[pytest.mark.long])],
  ids=["short", "long"],
)
class TestFuzz:
  """Every boundary, a few dozen times and, with `-m long`, many."""

  def test_another_dress_changes_nothing(self, how):
    how(given(harmless())(harmless_changes_nothing))()

  def test_damaged_csv(self, how):
    how(given(damage(CSV))(damaged_csv_is_right_or_refused))()

  def test_damaged_jsonl(self, how):
    how(given(damage(JSONL))(damaged_jsonl_is_right_or_refused))()

  @pytest.mark.parametrize("compressed", [False, True])
  def test_damaged_npz(self, how, compressed):
    content = as_npz(compressed)
    how(given(damage(content))(damaged_npz_is_the_same_or_refused))()

  def test_odd_specs(self, how):
    how(given(odd_specs())(odd_spec_is_read_or_refused))()

  def test_damaged_shards(self, how, sound):
    def check(data):
      damaged_shards_are_the_same_or_refused(data, sound)

    how(given(st.data())(check))()

  # NumPy tells so, and goes on, of an array that a pickle begins and drops.
  @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
  def test_other_damaged_files(self, how):
    how(given(st.data())(other_files_are_described_or_refused))()

  def test_no_half_output(self, how):
    few = settings(parent=how, max_examples=max(how.max_examples // 10, 8))
    few(given(damage(CSV))(an_output_is_whole_or_not_there))()
