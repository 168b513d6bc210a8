"""The command: what it writes, and how it ends on its user's mistakes."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from absl import flags

from data_prep import convert as convert_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest, shards
from tests.data_prep.conftest import ROOT

SPEC = """
import ml_collections

def get_config(variant="full"):
  return ml_collections.ConfigDict({
    "name": "own", "label_type": "single", "files": (), "id": "{id}",
    "speaker": "", "session": "", "dialogue": "", "split": "{split}",
    "split_values": (("train", "train"), ("test", "test")),
    "text": "{text}", "label": "{emotion}",
    "label_values": (("hap", "happy"), ("sad", "sad")), "unlabelled": ("",),
    "label_columns": (), "crop": {"min_words": 0, "max_words": 0},
    "emotions": ("happy", "sad"), "emotion_words": (),
    "features": {
      "acoustic": {"columns": ("f_*",), "names": (), "padding": "none"}
    },
  }).lock()
"""
ROWS = [
  "id,split,text,emotion,f_1,f_2",
  "1,train,I am happy,hap,1,2",
  "2,train,I am sad,sad,3,4",
  "3,test,zzz,,5,6",
]


@pytest.fixture
def own(tmp_path, word_vectors):
  """The arguments that convert a small corpus of one's own."""
  (tmp_path / "spec.py").write_text(SPEC)
  (tmp_path / "rows.csv").write_text("\n".join(ROWS))
  return [
    "--source=utterances",
    f"--spec={tmp_path / 'spec.py'}",
    f"--input={tmp_path / 'rows.csv'}",
    f"--word_vectors={word_vectors}",
    f"--output={tmp_path / 'out'}",
    "--file_format=array_record",
  ]


def refused(done, *parts):
  """One line on stderr, status 2, nothing on stdout."""
  assert done.returncode == 2, done.stderr
  assert done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ")
  for part in parts:
    assert part in line


def test_a_corpus_of_ones_own_is_converted(own, convert, tmp_path):
  done = convert(*own)
  assert done.returncode == 0, done.stderr
  assert "3 utterances (2 labelled) in 1 shards" in done.stdout.replace(
    "\n", " "
  )
  assert done.stderr == ""
  read = {e["id"]: e for _, e in shards.read_examples(tmp_path / "out")}
  assert read["1"]["lexical"].shape == (3, 3)
  assert read["3"]["lexical"].shape == (0, 3)
  vectors = manifest.load_emotion_vectors(tmp_path / "out")
  assert vectors.words == ("happy", "sad")


def rows_with(index, row):
  return "\n".join([*ROWS[:index], row, *ROWS[index + 1 :]])


def command(*arguments):
  """What the verb does, without a process of its own."""
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(["convert", *map(str, arguments)])
  convert_lib.convert(values)


@pytest.mark.parametrize(
  ("content", "parts"),
  [
    (
      rows_with(2, "2,train,a,bored,3,4"),
      ["rows.csv line 3", "label 'bored'", "{emotion}"],
    ),
    (rows_with(0, "id,split,text,label,f_1,f_2"), ["rows.csv", "'emotion'"]),
    (
      rows_with(2, "1,train,a,sad,3,4"),
      ["rows.csv line 3", "id '1'", "rows.csv line 2"],
    ),
    (
      rows_with(3, "1,test,a,sad,3,4"),
      ["rows.csv line 4", "'test'", "'train'", "one side"],
    ),
    (rows_with(2, "2,train,a,sad,3"), ["rows.csv line 3", "5 fields"]),
    (rows_with(2, "2,train,a,sad,3,x"), ["rows.csv line 3", "'f_2'", "'x'"]),
    (rows_with(2, "2,train,a,sad,3,nan"), ["line 3", "acoustic", "'f_2'"]),
  ],
)
def test_bad_rows_end_it_with_nothing_written(own, tmp_path, content, parts):
  (tmp_path / "rows.csv").write_text(content)
  before = {*tmp_path.iterdir()}
  with pytest.raises(UserError) as caught:
    command(*own, "--nonfinite=error")
  for part in parts:
    assert part in str(caught.value)
  # Python itself keeps the spec's bytecode, unless the environment forbids it.
  assert {*tmp_path.iterdir()} - {tmp_path / "__pycache__"} == before


def test_a_bad_label_ends_the_command_with_one_line(own, convert, tmp_path):
  (tmp_path / "rows.csv").write_text(rows_with(2, "2,train,a,bored,3,4"))
  refused(convert(*own), "rows.csv line 3", "label 'bored'")
  assert not (tmp_path / "out").exists()


def test_a_truncated_hdf5_file_ends_the_command_with_one_line(
  convert, tmp_path
):
  folder = tmp_path / "mosei"
  folder.mkdir()
  with h5py.File(folder / "audio_train.h5", "w") as file:
    file["d1"] = np.ones((3, 4, 5))
  data = (folder / "audio_train.h5").read_bytes()
  (folder / "audio_train.h5").write_bytes(data[: len(data) // 2])
  refused(
    convert(
      "--source=cmu_processed",
      f"--input={folder}",
      f"--output={tmp_path / 'o'}",
    ),
    "audio_train.h5",
    "truncated",
  )
  assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ([], "--source is missing"),
    (["--source=synthetic"], "--output is missing"),
    (["--source=utterances", "--output=x"], "needs --spec=FILE"),
    (["--source=cmu_processed", "--output=x"], "--input is missing"),
    (
      ["--source=cmu_processed", "--output=x", "--input=nowhere"],
      "--input=nowhere does not exist",
    ),
    (
      ["--source=synthetic", "--output=x", "--oov=zero"],
      "--oov does nothing .* belongs to utterances",
    ),
  ],
)
def test_wrong_commands_end_with_what_to_do(
  arguments, message, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match=message):
    command(*arguments)
  assert list(tmp_path.iterdir()) == []


def test_help_shows_an_example(convert):
  done = convert("--help")
  assert "python -m data_prep.convert --source=utterances" in done.stdout


def tiny(output, *arguments):
  return [
    "--source=synthetic",
    "--preset=tiny",
    "--num_examples=40",
    "--num_shards=2",
    f"--output={output}",
    *arguments,
  ]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
  """One corpus: twice as ArrayRecord, once as TFRecord, in three processes."""
  folder = tmp_path_factory.mktemp("converted")
  formats = {"one": "array_record", "two": "array_record", "three": "tfrecord"}
  processes = [
    subprocess.Popen(
      [
        *(sys.executable, "-m", "data_prep.convert"),
        *tiny(folder / name, f"--file_format={file_format}"),
      ],
      cwd=ROOT,
      stderr=subprocess.PIPE,
      text=True,
    )
    for name, file_format in formats.items()
  ]
  for process in processes:
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors == ""
  return folder


def test_the_same_input_gives_the_same_bytes(converted):
  one, two = (converted / name for name in ("one", "two"))
  names = sorted(path.name for path in one.iterdir())
  assert len(names) == 6
  for name in names:
    assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_both_formats_hold_the_same_examples(converted):
  one, three = (
    [example for _, example in shards.read_examples(converted / name)]
    for name in ("one", "three")
  )
  assert len(one) == len(three) == 40
  for left, right in zip(one, three, strict=True):
    assert left.keys() == right.keys()
    for key, value in left.items():
      np.testing.assert_array_equal(value, right[key])


_WITHOUT_TENSORFLOW = """
import sys

class Without:
  def __init__(self, finder):
    self.finder = finder

  def __getattr__(self, name):
    return getattr(self.finder, name)

  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] == "tensorflow":
      return None
    return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from data_prep import convert
from mmer_jax.base import cli
convert.define_flags()
cli.run(convert.main)
"""


def without_tensorflow(*arguments):
  return subprocess.run(
    [sys.executable, "-c", _WITHOUT_TENSORFLOW, *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


def test_array_record_is_written_without_tensorflow(tmp_path):
  done = without_tensorflow(
    *tiny(tmp_path / "out", "--file_format=array_record")
  )
  assert done.returncode == 0, done.stderr
  assert len(list(shards.read_examples(tmp_path / "out"))) == 40


def test_tfrecord_without_tensorflow_says_what_to_install(tmp_path):
  refused(
    without_tensorflow(*tiny(tmp_path / "out")),
    "--file_format=tfrecord needs",
    "pip install 'mmer_jax[prep]'",
  )
  assert list(tmp_path.iterdir()) == []
