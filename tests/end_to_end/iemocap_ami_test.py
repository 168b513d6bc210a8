"""From IEMOCAP's release and AMI's meetings to shards, and into training."""

import numpy as np
import pytest
import soundfile
from absl import flags

from configs.dae_mmd import semi
from configs.multiview import multimodal
from data_prep import convert as convert_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.experiment import build
from tests import word_shards
from tests.data_prep.sources import ami_files, iemocap_files

TEXTS = {"neu": "I am here.", "ang": "I don't!", "sad": "Sad.", "exc": "Happy"}
FRAMES = 8
RATE = 16000


def convert(output, source, folder, *arguments):
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(
    [
      *("convert", f"--source={source}", f"--input={folder}"),
      *(f"--output={output}", "--file_format=array_record", *arguments),
    ]
  )
  convert_lib.convert(values)
  return output


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
  path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
  words = "i am here do n't sad happy neutral angry"
  rng = np.random.default_rng(7)
  path.write_text(
    "".join(
      f"{word} {' '.join(f'{x:.3f}' for x in rng.normal(size=3))}\n"
      for word in words.split()
    )
  )
  return path


@pytest.fixture(scope="module")
def released(tmp_path_factory):
  """Three sessions, two speakers each, an utterance of every label."""
  folder = tmp_path_factory.mktemp("iemocap")
  rng = np.random.default_rng(0)
  rows = [
    iemocap_files.utterance(
      f"Ses0{session}F_impro01_{letter}{turn:03}", label, text
    )
    for session in (1, 2, 3)
    for letter in "FM"
    for turn, (label, text) in enumerate([*TEXTS.items(), ("xxx", "I")])
  ]
  iemocap_files.release(folder, rows)
  for each in rows:
    words = each["text"].upper().strip(".!").split()
    aligned = [
      (word, 5 + FRAMES * n, 5 + FRAMES * (n + 1) - 1)
      for n, word in enumerate(words)
    ]
    iemocap_files.wdseg(folder, each["id"], [("<s>", 0, 4), *aligned])
    iemocap_files.wav(folder, each["id"], 0.3, rng)
  return folder


@pytest.fixture(scope="module")
def iemocap(released, vectors, tmp_path_factory):
  return convert(
    tmp_path_factory.mktemp("shards") / "iemocap",
    "iemocap",
    released,
    f"--word_vectors={vectors}",
    "--acoustic=egemaps_lld",
  )


def test_the_command_writes_frames_with_their_words(iemocap):
  rows = {
    example["id"]: example for _, example in shards.read_examples(iemocap)
  }
  manifest = manifest_lib.load_manifest(iemocap)
  assert manifest["counts"]["by_emotion"] == {
    **{"neutral": 6, "happy": 6, "sad": 6, "angry": 6}
  }
  assert manifest["counts"]["labelled"] == 24 and len(rows) == 30
  assert (manifest["counts"]["speakers"], manifest["counts"]["sessions"]) == (
    (6, 3)
  )
  options = manifest["converter"]["options"]
  assert options["release"]["labels"]["exc"] == 6
  # 3 + 2 + 1 + 1 + 1 words of six speakers.
  assert options["alignment"]["matched by their letters"] == 48
  example = rows["Ses02F_impro01_M000"]
  assert [word.decode() for word in example["words"]] == ["i", "am", "here"]
  word = example["acoustic_word"]
  expected = np.full(len(word), -1)
  for number in range(3):
    expected[5 + FRAMES * number :][:FRAMES] = number
  np.testing.assert_array_equal(word, expected)


@pytest.mark.parametrize(
  ("source", "arguments", "message"),
  [
    ("iemocap", ["--word_vectors=", "--crop=7.2"], "--crop does nothing with"),
    ("iemocap", [], "--source=iemocap needs --word_vectors=FILE"),
    (
      "iemocap",
      ["--word_vectors=", "--variant=5"],
      "--variant=5 is no variant",
    ),
    ("ami", [], "--source=ami needs --word_vectors=FILE"),
    ("ami", ["--word_vectors=", "--crops=9"], "--crops is of crops; give --cr"),
    ("ami", ["--word_vectors="], "has no words/MEETING.A.words.xml"),
  ],
)
def test_a_wrong_flag_is_named(tmp_path, source, arguments, message):
  with pytest.raises(UserError, match=message):
    convert(tmp_path / "out", source, tmp_path, *arguments)
  assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_a_model_of_acoustic_words_is_trained_on_a_release(iemocap, tmp_path):
  config = word_shards.small(
    multimodal.get_config("smoke"),
    iemocap,
    **{
      "model.view": "h_mm_4",
      "protocol.split": "leave_one_speaker_out",
      "protocol.folds": (1,),
      "training.batch_size": 8,
    },
  )
  folder = tmp_path / "work"
  assert train_and_evaluate.train_and_evaluate(
    config, folder, console=word_shards.QUIET
  )
  outcome = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  assert outcome["runs"]
  assert all(np.isfinite(run["metrics"]["accuracy"]) for run in outcome["runs"])


@pytest.mark.long
def test_crops_of_meetings_are_unlabelled_rows_beside_a_release(
  iemocap, vectors, tmp_path
):
  folder = tmp_path / "ami"
  rng = np.random.default_rng(0)
  elements = [
    ("i am sad happy".split()[n % 4], n / 5, n / 5 + 0.15) for n in range(60)
  ]
  ami_files.words(folder, "ES2002a.A", *elements)
  ami_files.meetings(folder, {"ES2002a": {"A": ("MEE006", "0")}})
  soundfile.write(
    folder / "ES2002a.Headset-0.wav", 0.1 * rng.normal(size=13 * RATE), RATE
  )
  meetings = convert(
    tmp_path / "meetings",
    "ami",
    folder,
    *(f"--word_vectors={vectors}", "--acoustic=egemaps_lld"),
    *("--crop=1", "--crops=20", "--seed=3"),
  )
  manifest = manifest_lib.load_manifest(meetings)
  assert manifest["counts"]["examples"] == 20
  assert manifest["counts"]["labelled"] == 0
  config = semi.get_config("smoke")
  with config.unlocked():
    config.data.dir = str(iemocap)
    config.data.modalities = ("acoustic", "lexical")
    config.data.normalise = ("acoustic", "lexical")
    config.unlabelled.dir = str(meetings)
    config.training.batch_size = 8
    config.protocol.split = "leave_one_session_out"
    config.protocol.folds = (1,)
  experiment = build.build_experiment(config)
  for record in experiment.records:
    speakers = experiment.corpus.columns["speaker"][record.pool]
    assert (speakers == "ami: MEE006").sum() == 20
