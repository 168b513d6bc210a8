"""What is in a pickle: a line for each member, whatever the nesting."""

import io
import json
import pickle

import numpy as np
import pytest
import rich.console

from data_prep import inspect
from data_prep.readers import describe, describe_tables
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import drawn_pickles


def described(folder, content, name="a.pkl"):
  path = folder / name
  path.write_bytes(pickle.dumps(content))
  found = describe.describe(path)
  json.dumps(found)
  return found


def lines(description):
  """The table, as a wide terminal shows it."""
  shown = io.StringIO()
  console = rich.console.Console(file=shown, width=220)
  for table in describe_tables.tables_of(description):
    console.print(table)
  return shown.getvalue()


def holds(folder, content):
  columns = described(folder, content)["columns"]
  return {name: entry.get("holds") for name, entry in columns.items()}


def test_dialogues_are_one_line_a_member(tmp_path):
  rng = np.random.default_rng(0)
  members = drawn_pickles.dialogues()
  features = {
    f"Ses01F_impro{i:02d}": [rng.normal(size=1582) for _ in range(2 + i % 5)]
    for i in range(151)
  }
  counts = {name: len(rows) for name, rows in features.items()}

  def by_dialogue(value):
    return {name: [value] * count for name, count in counts.items()}

  content = (
    *(by_dialogue("a"), by_dialogue("F"), by_dialogue(3)),
    *(by_dialogue(np.ones(100)), features, by_dialogue(np.ones(342))),
    *(by_dialogue("hello"), set(counts), set()),
  )
  found = described(tmp_path, content)
  assert len(found["columns"]) == len(members) == 9
  audio = found["columns"]["/4"]
  assert audio["holds"] == (
    "dict of 151 dialogues, each a list of 2 to 6 arrays (1582,)"
  )
  assert audio["note"] == "audio" and audio["dtype"] == "float64"
  every = np.concatenate([row for rows in features.values() for row in rows])
  assert (audio["min"], audio["max"]) == (every.min(), every.max())
  text = lines(found)
  assert "DialogueRNN" in text and "..." not in text
  (line,) = [each for each in text.splitlines() if "/4 audio" in each]
  assert "dict of 151 dialogues, each a list of 2 to 6 arrays (1582,)" in line
  assert found["columns"]["/8"]["holds"] == "set of 0 nothing"


def test_members_of_records_are_named(tmp_path):
  content = {
    "train": {"x": np.ones((2, 3)), "id": ["a", "b"], "n": 3},
    "valid": {"x": np.full((1, 3), np.nan), "id": ["c"], "n": 1},
  }
  columns = described(tmp_path, content)["columns"]
  assert list(columns) == [
    *("/train/x", "/train/id", "/train/n"),
    *("/valid/x", "/valid/id", "/valid/n"),
  ]
  assert columns["/train/x"]["shape"] == [2, 3]
  assert columns["/train/id"]["values"] == {"a": 1, "b": 1}
  assert columns["/valid/x"]["nonfinite"] == 3
  assert columns["/valid/n"] == {
    **{"shape": [], "dtype": "int"},
    **{"min": 1.0, "max": 1.0, "nonfinite": 0},
  }


def test_samples_are_one_line_an_entry(tmp_path):
  found = described(tmp_path, drawn_pickles.misa(n=9))
  assert found["layout"] == "MISA lists"
  assert {name: e["holds"] for name, e in found["columns"].items()} == {
    "[]/0/0": "list of 9, in each an array (3 to 5,)",
    "[]/0/1": "list of 9, in each an array (3 to 5, 3)",
    "[]/0/2": "list of 9, in each an array (3 to 5, 4)",
    "[]/0/3": "list of 9, in each a list of 3 to 5 texts",
    "[]/1": "list of 9, in each an array (1, 1)",
    "[]/2": "list of 9, in each a text",
  }


@pytest.mark.parametrize(
  ("content", "expected"),
  [
    ([[1.0] * 9] * 4, {"": "list of 4, each a list of 9 floats"}),
    (
      [np.ones(3), "a", None] * 7,
      {
        "<array>": "list of 21 arrays (3,)",
        "<text>": "list of 21 texts",
        "<NoneType>": "list of 21 NoneTypes",
      },
    ),
    (
      {i: [np.ones(3), np.ones((2, 2)), np.ones((i, 2))] for i in range(3)},
      {"[]/0": "dict of 3, in each an array (3,)"}
      | {
        "[]/1": "dict of 3, in each an array (2, 2)",
        "[]/2": "dict of 3, in each an array (0 to 2, 2)",
      },
    ),
    (
      [np.ones(3), *[np.ones((i, 2)) for i in range(20)]],
      {"": "list of 21 arrays (3,) or (0 to 19, 2)"},
    ),
    (
      np.array([np.ones(2), np.ones(3)], object),
      {"": "object array of 2 arrays (2 to 3,)"},
    ),
    ({i: {j: "a" for j in range(i)} for i in range(3)}, None),
    ([], {"": "list of 0 nothing"}),
    ({"a": []}, {"/a": "list of 0 nothing"}),
    (3.5, {"": None}),
    (
      [({"x": [1, 2], "y": "b"}, i) for i in range(30)],
      {
        "[]/0/x": "list of 30, in each a list of 2 ints",
        "[]/0/y": "list of 30, in each a text",
        "[]/1": "list of 30, in each an int",
      },
    ),
  ],
)
def test_nesting_is_said_in_words(tmp_path, content, expected):
  found = holds(tmp_path, content)
  if expected is None:
    expected = {"": "dict of 3, each a dict of 0 to 2 texts"}
  assert found == expected


def test_many_members_are_all_there(tmp_path):
  # Unlike each other, so that none stands for another.
  content = {f"m{i}": np.ones(i + 1) if i % 2 else "a" for i in range(20)}
  found = described(tmp_path, content)
  assert len(found["columns"]) == 20
  assert all(f"/m{i} " in lines(found) for i in range(20))
  # More of one kind are summed up, by kind.
  content = {f"m{i}": np.ones(i + 1) if i % 2 else "a" for i in range(500)}
  assert holds(tmp_path, content) == {
    "<text>": "dict of 500 texts",
    "<array>": "dict of 500 arrays (2 to 500,)",
  }


def test_keys_that_look_alike_keep_their_lines(tmp_path):
  content = {"a/b": np.ones(1), "a": {"b": np.ones(2)}, "[red]": "[bold]"}
  columns = described(tmp_path, content)["columns"]
  assert list(columns) == ["/a/b", "/a/b'", "/[red]"]
  assert "[bold]" in lines(describe.describe(tmp_path / "a.pkl"))


def test_half_a_character_is_shown_as_a_mark(tmp_path):
  content = {"\ud800": ["a\udfff"]}
  text = lines(described(tmp_path, content))
  text.encode("utf-8")
  assert "a?" in text


def test_a_pickle_that_holds_itself_ends(tmp_path):
  loop = []
  loop.append(loop)
  assert len(described(tmp_path, loop)["columns"]) == 1
  record = {"b": 1}
  record["a"] = record
  assert len(described(tmp_path, record)["columns"]) == 25
  record["c"] = record
  with pytest.raises(UserError, match="does it hold itself"):
    described(tmp_path, record)
  # A file of a few hundred bytes, of 10 ** 12 values.
  many = [0] * 100
  for _ in range(5):
    many = [many] * 100
  with pytest.raises(UserError, match="values, expected at most"):
    described(tmp_path, many)


def test_a_folder_of_pickles_is_described_together(tmp_path):
  for name in ("train", "dev"):
    drawn_pickles.save(tmp_path, drawn_pickles.misa(), f"{name}.pkl")
  found = describe.describe(tmp_path)
  assert found["layout"] == "MISA lists"
  assert "train.pkl[]/1" in found["columns"]
  assert len(found["columns"]) == 12
  # Shards and CMU's files are what they were.
  (tmp_path / "y_train.h5").write_bytes(b"")
  with pytest.raises(UserError):
    describe.describe(tmp_path)


@pytest.mark.parametrize(
  ("name", "layout", "count"),
  [
    ("IEMOCAP_features.pkl", "DialogueRNN", 9),
    ("MELD_features_raw1.pkl", "DialogueRNN", 10),
    ("aligned_50.pkl", "MMSA", 27),
    ("unaligned_50.pkl", "MMSA", 33),
    ("iemocap_data.pkl", "MulT", 12),
    ("mosi_data.pkl", "MulT", 15),
    ("mosei_senti_data.pkl", "MulT", 15),
    ("mosei_senti_data_noalign.pkl", "MulT", 15),
    ("misa_train.pkl", "MISA lists", 6),
    ("object_arrays.pkl", None, 2),
  ],
)
def test_the_drawn_files_have_a_line_a_member(data_dir, name, layout, count):
  found = describe.describe(data_dir / "layouts" / name)
  assert (found["layout"], len(found["columns"])) == (layout, count)
  # Head, rule and foot are four lines, the title one; nothing is folded.
  assert len(lines(found).strip().splitlines()) == count + 5
  if name == "IEMOCAP_features.pkl":
    assert found["columns"]["/4"]["holds"] == (
      "dict of 20 dialogues, each a list of 5 to 11 arrays (1582,)"
    )


def test_a_pipe_has_no_width_that_folds_a_line(tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("COLUMNS", "30")
  path = drawn_pickles.save(tmp_path, drawn_pickles.dialogues())
  inspect._show_description(path, as_json=False)
  printed = capsys.readouterr().out
  assert "dict of 3 dialogues, each a list of " in printed
  assert len(printed.strip().splitlines()) == 9 + 5


def test_the_pooled_videos_are_described_though_of_no_layout(data_dir):
  found = describe.describe(data_dir / "mosei")
  columns = found["columns"]
  assert columns["test_data.pkl/acoustic"]["nonfinite"] == 458
  assert columns["val_data.pkl/language"]["shape"] == [264, 768]
