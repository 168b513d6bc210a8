"""Pickles of any family: recognised by structure, damaged, on the command."""

import copy
import json
import pathlib
import pickle
import tempfile

import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from data_prep import convert as convert_lib
from data_prep.corpus import corpus as corpus_lib
from data_prep.readers import describe, describe_tables
from data_prep.sources.pickles import recognise
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards
from tests import fuzzing
from tests.data_prep.sources import drawn_pickles
from tests.data_prep.sources.drawn_pickles import FAMILIES, build, save


def sound_examples(corpus):
  """Counts the utterances, each of which a writer can take."""
  names = set()
  for example in corpus.examples():
    names.add(example.id)
    for name, frames in example.streams.items():
      modality = corpus.modalities[name]
      corpus_lib.check_dim(modality, name, frames, example.where)
      assert frames.dtype == np.float32
    assert example.labels.shape == (len(corpus.emotions),)
    if corpus.label_type == "single":
      assert example.labels.sum() == 1
    assert example.split in (*corpus_lib.SPLITS, "")
    if corpus.has_words:
      assert len(example.words) == len(example.streams.get("lexical", ()))
  return len(names)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_recognised_whatever_its_name(tmp_path, family):
  path = save(tmp_path, FAMILIES[family](), "x.p")
  name = family.partition(",")[0]
  corpus = build(path)
  assert corpus.layout.startswith(name)
  assert recognise.name_of(FAMILIES[family]()).startswith(name)
  assert sound_examples(corpus) == corpus.total > 0


@pytest.mark.parametrize("protocol", range(6))
def test_protocols_change_nothing(tmp_path, protocol):
  expected = build(save(tmp_path, drawn_pickles.mmsa())).examples()
  path = save(tmp_path, drawn_pickles.mmsa(), "p.pkl", protocol)
  for one, two in zip(build(path).examples(), expected, strict=True):
    assert one.id == two.id
    for name, frames in one.streams.items():
      np.testing.assert_array_equal(frames, two.streams[name])


@pytest.mark.parametrize(
  ("content", "found"),
  [
    (
      {"text": np.ones((2, 3))},
      r"a dict of 1 \(text, the first an array 2 x 3",
    ),
    ({"train": {"text": 1}}, "a dict of 1 .train, the first a dict of 1: text"),
    ([1, "a"], r"a list of 2 \(a int, a str\)"),
    (np.ones(3), "an array 3 of float64"),
    ([], "a list of 0"),
    ({}, "a dict of 0"),
    (None, "a NoneType"),
  ],
)
def test_what_matches_no_family_is_named_with_the_way_out(
  tmp_path, content, found
):
  path = save(tmp_path, content)
  with pytest.raises(UserError, match=f"it holds {found}") as raised:
    build(path)
  message = str(raised.value)
  assert "\n" not in message
  for part in ("MulT", "MISA", "DialogueRNN", "MELD", "--source=folder"):
    assert part in message
  # inspect says the same.
  assert describe.describe(path)["layout"] is None


def test_a_folder_without_a_pickle_is_refused(tmp_path):
  with pytest.raises(UserError, match="holds no .pkl, .p, .pickle"):
    build(tmp_path)
  save(tmp_path, drawn_pickles.mult())
  # One file is that file.
  assert build(tmp_path).layout.startswith("MulT")


def command(*arguments):
  """What the verb does, without a process of its own."""
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(["convert", *map(str, arguments)])
  convert_lib.convert(values)


def test_the_command_converts_a_pickle(tmp_path, capsys):
  content = drawn_pickles.mult()
  content["train"]["audio"][0, -1, 0] = -np.inf
  path = save(tmp_path, content, "mosi_data.pkl")
  arguments = [
    "--source=pickle",
    f"--input={path}",
    f"--output={tmp_path / 'out'}",
    "--file_format=array_record",
    "--nonfinite=clip",
    "--drop_columns=visual:visual_01",
  ]
  command(*arguments)
  manifest = manifest_lib.load_manifest(tmp_path / "out")
  assert manifest["name"] == "mosi_data"
  assert manifest["layout"] == (
    "MulT, aligned, train, valid, test; sentiment scores cut at 0 and 0"
  )
  assert manifest["converter"]["options"]["sentiment_bins"] == [0.0, 0.0]
  assert manifest["modalities"]["visual"]["dim"] == 2
  read = [each for _, each in shards.read_examples(tmp_path / "out")]
  assert len(read) == 9
  printed = capsys.readouterr().out
  assert "rows of zeros at the left of lexical, removed as padding" in printed
  assert "1 acoustic value blank or not finite" in printed


@pytest.mark.parametrize(
  ("argument", "message"),
  [
    ("--labels=ey", "--labels=ey does nothing with --source=pickle"),
    ("--spec=a.py", "--spec does nothing with --source=pickle"),
    ("--input=none.pkl", "none.pkl does not exist"),
    ("--name_columns=facet_42", "names 35 visual columns, and there are 3"),
    ("--text_from=words", "--text_from=words, and .* holds no transcripts"),
  ],
)
def test_the_command_refuses_in_one_line(tmp_path, argument, message):
  path = save(tmp_path, drawn_pickles.mult())
  with pytest.raises(UserError, match=message):
    command(
      "--source=pickle",
      f"--input={path}",
      f"--output={tmp_path / 'out'}",
      argument,
    )
  assert not (tmp_path / "out").exists()


def test_labels_of_pickles_are_not_those_of_other_sources(tmp_path):
  with pytest.raises(UserError, match="--labels=sentiment does nothing with"):
    command(
      "--source=cmu_processed",
      f"--input={tmp_path}",
      f"--output={tmp_path / 'out'}",
      "--labels=sentiment",
    )


ODD = [
  *(None, "", "x", b"x", 0, -1, 2.5, 10**30, True, [], (), {}, set(), [[]]),
  *(float("nan"), float("-inf"), {"a": 1}, ["a"], [None], (1, 2, 3), {1: [2]}),
  *(np.array(3.0), np.ones((2, 3)), np.zeros((0, 4)), np.ones((1, 2, 3, 4))),
  *(np.array(["a"]), np.array([None]), np.array([1j]), np.full((3, 1, 1), 9e9)),
]


def places_of(content, depth=0):
  """Every place of a structure that can be changed, some of long lists."""
  found = []
  if depth > 4 or not isinstance(content, (dict, list)):
    return found
  keys = list(content) if isinstance(content, dict) else range(len(content))
  for key in list(keys)[:8]:
    found.append((content, key))
    found += places_of(content[key], depth + 1)
  return found


def listed(content):
  """The same with lists for tuples and sets, which can be changed."""
  if isinstance(content, dict):
    return {key: listed(value) for key, value in content.items()}
  if isinstance(content, (list, tuple, set)):
    return [listed(value) for value in content]
  return content


@st.composite
def changed(draw):
  """A file of some family with odd things in it."""
  content = listed(FAMILIES[draw(st.sampled_from(list(FAMILIES)))]())
  for _ in range(draw(st.integers(1, 2))):
    places = places_of(content)
    if not places:
      break
    holder, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(["odd", "odd", "drop", "double", "reshape"]))
    value = holder[key]
    if kind == "odd":
      holder[key] = draw(st.sampled_from(ODD))
    elif kind == "drop":
      del holder[key]
    elif kind == "double" and isinstance(holder, list):
      holder.insert(key, copy.deepcopy(value))
    elif isinstance(value, np.ndarray) and value.ndim:
      reshaped = [value[:-1], value[..., None], value.T, value.astype(object)]
      holder[key] = draw(st.sampled_from(reshaped))
  return content


def right_or_one_line(path):
  """Builds, describes and reads everything, or is refused in a line."""
  try:
    corpus = build(path)
    assert sound_examples(corpus) == corpus.total
  except UserError as error:
    assert "\n" not in str(error) and len(str(error)) > 20
  try:
    described = describe.describe(path)
    json.dumps(described)
    describe_tables.tables_of(described)
  except UserError as error:
    assert "\n" not in str(error)


def odd_content_is_right_or_refused(content):
  with tempfile.TemporaryDirectory() as name:
    right_or_one_line(save(pathlib.Path(name), content))


BYTES = {
  name: pickle.dumps(make(), protocol)
  for protocol, (name, make) in enumerate(FAMILIES.items(), -5)
  for protocol in [abs(protocol) % 6]
}


@st.composite
def damaged(draw):
  """The bytes of some family's file, some of them changed."""
  content = bytearray(BYTES[draw(st.sampled_from(list(BYTES)))])
  for _ in range(draw(st.integers(1, 3))):
    at = draw(st.integers(0, len(content) - 1))
    kind = draw(st.sampled_from(["flip", "cut", "delete", "double"]))
    if kind == "flip":
      content[at] ^= draw(st.integers(1, 255))
    elif kind == "cut":
      del content[at + 1 :]
    elif kind == "delete":
      del content[at : at + draw(st.integers(1, 9))]
    else:
      content[at:at] = content[at : at + draw(st.integers(1, 40))]
    if not content:
      break
  return bytes(content)


def damaged_bytes_are_right_or_refused(content):
  with tempfile.TemporaryDirectory() as name:
    path = pathlib.Path(name) / "a.pkl"
    path.write_bytes(content)
    right_or_one_line(path)


SHORT = fuzzing.short(60)
LONG = fuzzing.LONG


@pytest.mark.parametrize(
  "how",
  [SHORT, pytest.param(LONG, marks=[pytest.mark.long])],
  ids=["short", "long"],
)
# NumPy tells so, and goes on, of an array that a pickle begins and drops.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestFuzz:
  """Files with odd content or odd bytes: a right answer, or one line."""

  def test_odd_content(self, how):
    how(given(changed())(odd_content_is_right_or_refused))()

  def test_damaged_bytes(self, how):
    how(given(damaged())(damaged_bytes_are_right_or_refused))()
