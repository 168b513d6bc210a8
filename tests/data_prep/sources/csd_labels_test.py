"""Labels by the names of their columns, folds, and which file is what."""

import json

import numpy as np
import pytest

from data_prep.sources.csd import folds, labels, read, roles
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import csd_files
from tests.data_prep.sources.csd_files import build, frames_of, words_of

ROW = np.array([1.5, 0.0, 0.66, 0.0, 3.0, 0.0, 0.0])


def make(width=7, **changes):
  return labels.Labels(width, "labels.csd", **changes)


def test_mosei_has_the_emotions_in_the_order_of_the_file():
  reader = make()
  assert reader.names == labels.MOSEI[1:] and reader.label_type == "multi"
  np.testing.assert_array_equal(reader(ROW, "x"), [0, 1, 0, 1, 0, 0])
  assert reader(np.full(7, np.nan), "x") is None


def test_emotions_are_chosen_by_name_and_not_by_place():
  reader = make(emotions=("surprise", "sad", "happy"))
  np.testing.assert_array_equal(reader(ROW, "x"), [1, 1, 0])
  above = make(emotions=("surprise", "sad"), positive_above=1.0)
  np.testing.assert_array_equal(above(ROW, "x"), [1, 0])


@pytest.mark.parametrize(
  ("score", "bins", "expected"),
  [
    (-0.3, None, [1, 0, 0]),
    (0.0, None, [0, 1, 0]),
    (0.3, None, [0, 0, 1]),
    (0.3, "-1,1", [0, 1, 0]),
  ],
)
def test_sentiment_is_cut_into_classes(score, bins, expected):
  for reader in (
    make(1, sentiment_bins=bins),
    make(emotions=("sentiment",), sentiment_bins=bins),
  ):
    assert reader.names == ("negative", "neutral", "positive")
    assert reader.label_type == "single"
    np.testing.assert_array_equal(
      reader(np.full(len(reader.columns), score), "x"), expected
    )


def test_scores_of_another_scale_need_bins_or_a_threshold():
  with pytest.raises(UserError, match="sentiment 4.5; give --sentiment_bins"):
    make(1)(np.array([4.5]), "x")
  reader = make(17)
  reader(np.arange(1.0, 18.0), "x")
  with pytest.raises(UserError, match="never 0.*--positive_above"):
    reader.check("labels.csd")
  # MOSEI's columns are known to be 0 where there is no emotion.
  known = make()
  known(ROW + 1, "x")
  known.check("labels.csd")


def test_a_single_label_corpus_has_rows_of_other_classes_unlabelled():
  reader = make(9, emotions=("happy", "sad"), label_type="single")
  row = np.zeros(9)
  row[labels.IEMOCAP.index("anger")] = 1
  assert reader(row, "x") is None
  row[labels.IEMOCAP.index("sad")] = 1
  np.testing.assert_array_equal(reader(row, "x"), [0, 1])


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"width": 6}, "6 label columns, which nothing names"),
    ({"width": 6, "columns": "abcde"}, "names 5 columns, .* has 6"),
    (
      {"emotions": ("joy",)},
      "'joy', the label columns .* are sentiment, happy",
    ),
    ({"emotions": ("sad", "sad")}, "one twice"),
    ({"emotions": ("sad", "sentiment")}, "sentiment beside emotions"),
    ({"emotions": ("sad",), "sentiment_bins": "0,0"}, "leave one of them out"),
    ({"sentiment_bins": "1,0"}, "LOW must not exceed HIGH"),
    ({"sentiment_bins": "0,0", "positive_above": 1.0}, "holds none"),
  ],
)
def test_a_wrong_choice_of_labels_is_one_line(changes, message):
  with pytest.raises(UserError, match=message):
    make(changes.pop("width", 7), **changes)


def test_a_label_that_is_not_finite_names_its_place():
  with pytest.raises(UserError, match=r"labels.csd one\[3\]"):
    make()(np.where(np.arange(7) == 2, np.inf, ROW), "labels.csd one[3]")


FOLDS = {"a": "train", "-b": "train", "c_1": "validation", "d": "test"}


@pytest.mark.parametrize(
  ("name", "content"),
  [
    ("f.json", '{"train": ["a", "-b"], "valid": ["c_1[4]"], "test": ["d"]}'),
    ("f.json", '{"a": "train", "-b": "train", "c_1": "dev", "d": "test"}'),
    (
      "f.py",
      "# Folds.\nimport os\nstandard_train_fold = ['a',\n '-b']\n"
      "standard_valid_fold=['c_1']\nstandard_test_fold=['d']\nother = f(1)\n",
    ),
    ("f.csv", "id,split\na,train\n-b,train\nc_1,dev\nd,test\ne,\n"),
    ("f.tsv", "video\tfold\na\ttrain\n-b\ttrain\nc_1\tval\nd\ttest\n"),
    ("f.txt", "a train\n-b, train\n\nc_1\tdev\n# none\nd test\n"),
    ("f.txt", "train:\na\n-b\n[valid]\nc_1\ntest\nd\n"),
  ],
)
def test_folds_are_read_from_lists_of_any_form(tmp_path, name, content):
  path = tmp_path / name
  path.write_text(content)
  assert folds.read([path]) == FOLDS


def test_folds_may_be_a_file_each(tmp_path):
  lists = {"train.txt": "a\n-b\n", "dev.txt": "c_1\n", "test.txt": "d\n"}
  for name, content in lists.items():
    (tmp_path / name).write_text(content)
  assert folds.read([tmp_path / name for name in lists]) == FOLDS


def test_nothing_in_a_python_file_is_run(tmp_path):
  path = tmp_path / "folds.py"
  mark = tmp_path / "ran"
  path.write_text(f"train_fold = [open({str(mark)!r}, 'w').name]\n")
  with pytest.raises(UserError, match="line 1: train_fold is not written out"):
    folds.read([path])
  assert not mark.exists()


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("f.json", "[1]", "holds list, expected split to ids"),
    ("f.json", "{", "is not JSON"),
    ("f.json", '{"extra": ["a"]}', "'extra' is no split"),
    ("f.json", '{"train": {"a": 1}}', "is dict, expected a list of ids"),
    ("f.json", '{"train": [["a"]]}', "expected ids"),
    (
      "f.json",
      '{"train": ["a"], "test": ["a"]}',
      "'a' is in test and in train",
    ),
    ("f.json", '{"train": ["\\ud800"]}', "lone surrogate"),
    ("f.json", "{}", "names no recording"),
    ("f.py", "train = [", "is not Python"),
    ("f.py", "x = 1", "names no recording"),
    ("f.py", "train_fold = 'abc'", "is str, expected a list"),
    ("f.csv", "name,split\na,train\n", "no column id or video"),
    ("f.csv", "id,split\na,extra\n", "'extra' is no split"),
    ("f.txt", "a\nb\n", "line 1: 'a', expected ID and SPLIT"),
    ("f.txt", "caf\u00e9", "not UTF-8"),
  ],
)
def test_wrong_folds_are_one_line(tmp_path, name, content, message):
  path = tmp_path / name
  path.write_bytes(content.encode("latin-1"))
  with pytest.raises(UserError, match=message) as error:
    folds.read([path])
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  ("name", "root", "expected"),
  [
    ("CMU_MOSEI_TimestampedWords", "words", "words"),
    ("CMU_MOSI_ModifiedTimestampedWords", "x", "words"),
    ("CMU_MOSEI_TimestampedWordVectors", "glove_vectors", "vectors"),
    ("CMU_MOSEI_TimestampedPhones", "phones", "phones"),
    ("CMU_MOSEI_COVAREP", "COVAREP", "acoustic"),
    ("CMU_MOSI_OpenSmile_EB10", "x", "acoustic"),
    ("CMU_MOSI_openSMILE_IS09", "x", "acoustic"),
    ("CMU_MOSEI_VisualOpenFace2", "OpenFace_2", "visual"),
    ("CMU_MOSEI_VisualFacet_4.1", "x", "visual"),
    ("CMU_MOSI_Visual_Facet_42", "x", "visual"),
    ("CMU_MOSI_Opinion_Labels", "Opinion Segment Labels", "labels"),
    ("CMU_MOSEI_LabelsEmotions", "x", "labels"),
    ("CMU_MOSEI_All_Labels", "x", "labels"),
    ("mine", "FACET 4.2", "visual"),
    ("mine", "b'words'", "words"),
    ("mine", "other", None),
  ],
)
def test_files_are_told_by_their_names(tmp_path, name, root, expected):
  features = [[b"a"]] if expected == "words" else [[1.0]]
  path = csd_files.write_csd(
    tmp_path / f"{name}.csd", root, {"v": (np.array(features), [[0, 1]])}
  )
  assert roles.role_of(read.open_sequence(path)) == expected


@pytest.fixture
def files(tmp_path):
  """A corpus of two recordings, whose files have names of their own."""
  entries = {
    "w": {"a": words_of("x", "y"), "b": words_of("x", "y")},
    "s": {"a": frames_of(9, 2), "b": frames_of(9, 2), "c": frames_of(1, 2)},
    "l": {"a": ([[1.0]], [[0, 1]]), "b": ([[-1.0]], [[0, 1]])},
  }
  return {
    name: csd_files.write_csd(tmp_path / f"{name}.csd", name, each)
    for name, each in entries.items()
  }


def listed(files):
  return f"--input={files['w']},acoustic={files['s']},labels={files['l']}"


def test_a_role_may_stand_before_a_file(files):
  corpus = build(listed(files))
  assert corpus.name == "csd" and corpus.emotions[0] == "negative"
  assert [each.id for each in corpus.examples()] == ["a[0]", "b[0]"]
  assert any("not in all files are left out: c" in n for n in corpus.notes)


def test_a_folder_whose_files_say_nothing_is_refused(files):
  with pytest.raises(UserError, match="says what it is; list the files"):
    build(f"--input={files['w'].parent}")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--input={w},{w},labels={l}"], "two files of words"),
    (["--input={w},acoustic={s}"], "no labels"),
    (["--input=acoustic={s},labels={l}"], "needs a .csd of words"),
    (["--input={w},labels={l}"], "neither frames nor word vectors"),
    (["--input={w},acoustic={w},labels={l}"], "holds text, expected numbers"),
    (["--input={w},labels={none}"], "does not exist"),
    (["--input={empty}"], "holds no .csd file"),
    (["--input=labels={empty}"], "is a folder, expected a file"),
    (["{all}", "--folds={none}"], "is not a file"),
    (["{all}", "--folds={folds}"], "names none of the 2 recordings"),
    (["{all}", "--emotions=happy"], "'happy', the label columns"),
    (["{all}", "--text_layer=2"], "does nothing without --text_encoder"),
    (["{all}", "--spec=x.py"], "does nothing with --source=csd"),
  ],
)
def test_what_does_not_fit_is_one_line(files, tmp_path, arguments, message):
  (tmp_path / "empty").mkdir()
  (tmp_path / "folds.json").write_text(json.dumps({"train": ["z"]}))
  names = {
    "all": listed(files),
    "none": tmp_path / "none",
    "empty": tmp_path / "empty",
    "folds": tmp_path / "folds.json",
    **files,
  }
  command = [argument.format(**names) for argument in arguments]
  with pytest.raises(UserError, match=message) as error:
    build(*command)
  assert "\n" not in str(error.value)


def test_no_recording_in_common_is_refused(files, tmp_path):
  other = csd_files.write_csd(
    tmp_path / "covarep.csd", "x", {"z": frames_of(3, 2)}
  )
  with pytest.raises(UserError, match="no recording is in all files"):
    build(f"--input={files['w']},{other},labels={files['l']}")
