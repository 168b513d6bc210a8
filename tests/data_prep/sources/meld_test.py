"""MELD's tables and media, drawn; its real tables where they are at hand."""

import csv
import os

import numpy as np
import pytest
import soundfile
from absl import flags

from data_prep.corpus import text
from data_prep.features import text_features
from data_prep.sources import flags as source_flags
from data_prep.sources import registry, utterances
from data_prep.sources.meld import media, source, tables
from data_prep.specs import meld as spec
from mmer_jax.base.errors import UserError
from tests.data_prep.readers import media_test

HEADER = (
  "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,"
  "Episode,StartTime,EndTime"
).split(",")
# Split, dialogue, utterance.
ROWS = [
  *(("train", 0, 0), ("train", 0, 1), ("train", 125, 3), ("train", 309, 0)),
  *(("dev", 110, 7), ("dev", 0, 0), ("dev", 0, 1)),
  *(("test", 38, 4), ("test", 220, 0), ("test", 0, 0)),
]
FOLDERS = {
  "train": "train/train_splits",
  "dev": "dev/dev_splits_complete",
  "test": "test/output_repeated_splits_test",
}
VECTORS = "i 1 0\nam 0 1\nhere 1 1\njoy 2 0\nanger 0 2\npositive 3 3\n"


def write_tables(folder, rows=ROWS, **changes):
  """Writes the three tables; the emotions are joy and anger in turn."""
  folder.mkdir(parents=True, exist_ok=True)
  for split in tables.SPLITS:
    with open(folder / f"{split}_sent_emo.csv", "w", encoding="utf-8") as file:
      writer = csv.DictWriter(file, HEADER)
      writer.writeheader()
      for number, (own, dialogue, utterance) in enumerate(rows):
        if own == split:
          row = {
            **dict.fromkeys(HEADER, "1"),
            "Utterance": f"I am here {number}",
            "Speaker": f"Speaker {number % 3}",
            "Emotion": ("joy", "anger")[number % 2],
            "Sentiment": ("positive", "negative")[number % 2],
            "Dialogue_ID": dialogue,
            "Utterance_ID": utterance,
          }
          writer.writerow({**row, **changes})
  return folder


def noise(seconds=0.3, seed=0):
  samples = int(seconds * 16000)
  return np.random.default_rng(seed).normal(size=samples) / 9


@pytest.fixture
def raw(tmp_path, monkeypatch):
  """MELD.Raw with its faults, and an ffmpeg that reads what the tests write."""
  media_test.put_ffmpeg(tmp_path / "bin", monkeypatch)
  folder = tmp_path / "MELD.Raw"
  for number, (split, dialogue, utterance) in enumerate(ROWS):
    path = folder / FOLDERS[split] / f"dia{dialogue}_utt{utterance}.mp4"
    if (split, dialogue) == ("dev", 110):
      continue
    if (split, dialogue) == ("train", 125):
      path.write_bytes(b"broken")
    else:
      media_test.write_video(path, noise(seed=number))
  for name in ("dev", "test"):
    (folder / FOLDERS[name] / "._dia0_utt0.mp4").write_bytes(b"Mac OS X")
  for name in ("final_videos_testdia1_utt0", "dia77_utt0"):
    (folder / FOLDERS["test"] / f"{name}.mp4").write_bytes(b"video\n")
  for name in ("dia49_utt4", "dia66_utt10"):
    (folder / FOLDERS["dev"] / f"{name}.mp4").write_bytes(b"video\n")
  (folder / "README.txt").touch()
  return folder


def build(given, folder=None, **changes):
  return source.build_corpus(
    str(given),
    **{
      "variant": "emotion",
      "folder": folder,
      "keep_badly_cut": False,
      "acoustic": "egemaps",
      "choice": text_features.Choice(),
      **changes,
    },
  )


@pytest.fixture
def vectors(tmp_path):
  path = tmp_path / "vectors.txt"
  path.write_text(VECTORS)
  return text_features.Choice(path)


def test_tables_alone_are_the_text(tmp_path, vectors, write_corpus):
  folder = write_tables(tmp_path / "data" / "MELD")
  corpus = build(tmp_path, choice=vectors)
  manifest, examples = write_corpus(corpus)
  assert corpus.name == "meld_emotion" and list(corpus.modalities) == [
    "lexical"
  ]
  assert corpus.emotions == (
    *("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
  )
  assert manifest["counts"]["by_split"] == {
    "train": 4,
    "validation": 3,
    "test": 3,
  }
  row = examples["train_dia125_utt3"]
  assert row["speaker"] == "Speaker 2" and row["dialogue"] == "train_dia125"
  assert row["words"].tolist() == [b"i", b"am", b"here"]
  np.testing.assert_array_equal(row["labels"], np.eye(7)[1])
  assert corpus.tally == {
    "of train in 3 dialogues by 3 speakers, published: 9989 rows, 1038"
    " dialogues, 260 speakers": 4,
    "of dev in 2 dialogues by 3 speakers, published: 1109 rows, 114 dialogues,"
    " 47 speakers": 3,
    "of test in 3 dialogues by 3 speakers, published: 2610 rows, 280"
    " dialogues, 100 speakers": 3,
  }
  assert corpus.notes[0] == (
    "train_sent_emo.csv has 4 rows, the published file 9989"
  )
  # The same rows as by the spec.
  config = spec.get_config("emotion")
  other = utterances.build(config, folder, vectors, None)
  for one, two in zip(corpus.examples(), other.examples(), strict=True):
    for field in ("id", "speaker", "dialogue", "split", "words"):
      assert getattr(one, field) == getattr(two, field), field
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(
      one.streams["lexical"], two.streams["lexical"]
    )


def test_splits_may_be_named_one_by_one(tmp_path, vectors):
  write_tables(tmp_path)
  names = [str(tmp_path / f"{split}_sent_emo.csv") for split in ("test", "dev")]
  corpus = build(",".join(names), choice=vectors, variant="sentiment")
  assert [e.split for e in corpus.examples()] == ["validation"] * 3 + [
    "test"
  ] * 3
  assert corpus.emotions == ("negative", "neutral", "positive")
  labels = [int(e.labels.argmax()) for e in corpus.examples()]
  assert labels == [2, 0, 2, 0, 2, 0]


def test_media_are_read_and_what_is_broken_is_named(raw, tmp_path, vectors):
  write_tables(tmp_path / "csv")
  corpus = build(tmp_path / "csv", raw, choice=vectors)
  read = {e.id: e for e in corpus.examples()}
  with_sound = [name for name, e in read.items() if "acoustic" in e.streams]
  assert with_sound == [
    *("train_dia0_utt0", "train_dia0_utt1", "dev_dia0_utt0", "dev_dia0_utt1"),
    "test_dia0_utt0",
  ]
  assert len(read) == 10 and all("lexical" in e.streams for e in read.values())
  tally = {
    reason.removeprefix("without sound: "): count
    for reason, count in corpus.tally.items()
    if reason.startswith("without")
  }
  assert tally == {
    "no file, known to be missing or broken (dev_dia110_utt7)": 1,
    "not readable in the release (train_dia125_utt3)": 1,
    "badly cut in the release, --keep_badly_cut keeps it"
    " (train_dia309_utt0, test_dia38_utt4, test_dia220_utt0)": 3,
  }
  assert corpus.notes[3:] == (
    "files of --media without a row, as in the release: 3"
    " (dev/dev_splits_complete/dia49_utt4.mp4,"
    " dev/dev_splits_complete/dia66_utt10.mp4,"
    " test/output_repeated_splits_test/final_videos_testdia1_utt0.mp4)",
    "files of --media without a row: 1"
    " (test/output_repeated_splits_test/dia77_utt0.mp4)",
    "files ._* (AppleDouble), not read: 2",
  )
  assert corpus.options["ffmpeg"] == "ffmpeg version 7.1"
  assert corpus.options["rate_hz"] == 16000
  # Features are those of the sound that was put into the video.
  wav = tmp_path / "a.wav"
  soundfile.write(wav, noise(seed=1), 16000)
  alone = media_test.sound.Sound("egemaps")(
    media_test.sound.Recording(0, "", wav)
  )
  np.testing.assert_array_equal(
    read["train_dia0_utt1"].streams["acoustic"], alone
  )
  # Every file once, though there were two passes.
  before = len((tmp_path / "bin" / "calls").read_text().splitlines())
  assert len(list(corpus.examples())) == 10
  assert len((tmp_path / "bin" / "calls").read_text().splitlines()) == before


def test_badly_cut_media_are_kept_on_request(raw, tmp_path):
  write_tables(tmp_path / "csv")
  corpus = build(tmp_path / "csv", raw, keep_badly_cut=True)
  read = {e.id: e for e in corpus.examples()}
  assert len(read) == 8 and list(corpus.modalities) == ["acoustic"]
  assert "test_dia220_utt0" in read and "dev_dia110_utt7" not in read
  assert corpus.tally["left out, without sound"] == 2
  assert not any("badly cut" in reason for reason in corpus.tally)


def test_wavs_stand_in_for_videos_and_short_ones_are_counted(
  tmp_path, monkeypatch, vectors
):
  rows = [("train", 0, 0), ("train", 0, 1), ("train", 125, 3), ("dev", 1, 1)]
  write_tables(tmp_path / "csv", rows)
  with open(tmp_path / "csv" / "test_sent_emo.csv", "a") as file:
    file.write("1,I am here,Joey,joy,positive,0,0,1,1,a,b\n")
  folder = tmp_path / "media" / "train"
  folder.mkdir(parents=True)
  for name, seconds in (("0_utt0", 0.2), ("0_utt1", 0.05), ("125_utt3", 0.2)):
    soundfile.write(folder / f"dia{name}.wav", noise(seconds), 16000)
  # Not asked for, as the .wav is preferred: there is no ffmpeg.
  monkeypatch.setenv("PATH", str(tmp_path))
  (folder / "dia0_utt0.mp4").write_bytes(b"video\n")
  corpus = build(tmp_path / "csv", tmp_path / "media", choice=vectors)
  read = {e.id: "acoustic" in e.streams for e in corpus.examples()}
  assert read == {
    **{"train_dia0_utt0": True, "train_dia0_utt1": False},
    # A wav of what is not readable as .mp4 is.
    **{"train_dia125_utt3": True, "dev_dia1_utt1": False},
    "test_dia0_utt0": False,
  }
  assert (
    corpus.tally["without sound: no file (dev_dia1_utt1, test_dia0_utt0)"] == 2
  )
  short = "without sound: too short (train_dia0_utt1)"
  assert corpus.tally[short] == 1 and corpus.options["ffmpeg"] is None
  (folder / "dia0_utt0.wav").unlink()
  with pytest.raises(UserError, match="needs the program ffmpeg .*apt install"):
    build(tmp_path / "csv", tmp_path / "media", choice=vectors)


def test_a_video_of_a_moment_leaves_its_row_without_sound(
  raw, tmp_path, vectors
):
  rows = [("dev", 0, 0), ("dev", 0, 1), ("train", 0, 0), ("test", 0, 0)]
  write_tables(tmp_path / "csv", rows)
  media_test.write_video(raw / FOLDERS["dev"] / "dia0_utt1.mp4", noise(0.05))
  corpus = build(tmp_path / "csv", raw, choice=vectors)
  without = [e.id for e in corpus.examples() if "acoustic" not in e.streams]
  assert without == ["dev_dia0_utt1"]


def test_a_video_that_cannot_be_read_is_named(raw, tmp_path):
  write_tables(tmp_path / "csv")
  video = raw / FOLDERS["dev"] / "dia0_utt1.mp4"
  video.write_bytes(b"broken")
  corpus = build(tmp_path / "csv", raw)
  with pytest.raises(
    UserError,
    match="dev_sent_emo.csv line 4: ffmpeg .*dia0_utt1.mp4 .moov atom",
  ):
    list(corpus.examples())


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"Emotion": "happy"},
      "line 2: Emotion is 'happy', expected one of neutral",
    ),
    ({"Dialogue_ID": "x"}, "line 2: Dialogue_ID is 'x', expected a number"),
    ({"Utterance_ID": "-1"}, "Utterance_ID is '-1', expected a number"),
    (
      {"Utterance_ID": "0", "Dialogue_ID": "0"},
      "line 3: dialogue 0, utterance 0 is there already, at .* line 2",
    ),
  ],
)
def test_tables_that_are_not_melds_are_named(
  tmp_path, vectors, changes, message
):
  write_tables(tmp_path, **changes)
  with pytest.raises(UserError, match=message):
    build(tmp_path, choice=vectors)


def test_folders_that_are_not_melds_are_named(tmp_path, raw, vectors):
  write_tables(tmp_path / "csv")
  train = tmp_path / "csv" / "train_sent_emo.csv"
  with pytest.raises(UserError, match="has no train_sent_emo.csv"):
    build(raw)
  with pytest.raises(UserError, match="is neither a folder nor a file"):
    build(tmp_path / "nothing")
  with pytest.raises(UserError, match="is a split's second"):
    build(f"{train},{train}")
  with pytest.raises(UserError, match="is of no split"):
    build(tmp_path / "vectors.txt")
  with pytest.raises(UserError, match="no column 'Sentiment'"):
    train.write_text("Utterance,Speaker,Dialogue_ID,Utterance_ID,Emotion\n")
    build(train, variant="sentiment")
  with pytest.raises(UserError, match="has no rows"):
    build(train)
  write_tables(tmp_path / "csv")
  with pytest.raises(UserError, match="--media=.* has no file of any row"):
    build(tmp_path / "csv", tmp_path / "csv")
  with pytest.raises(UserError, match="--media=.*is not a folder"):
    build(tmp_path / "csv", train)
  os.link(
    raw / FOLDERS["train"] / "dia0_utt0.mp4", raw / "train" / "dia0_utt0.mp4"
  )
  with pytest.raises(
    UserError, match="are both of train_dia0_utt0; expected o"
  ):
    build(tmp_path / "csv", raw)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ([], "needs --word_vectors=FILE"),
    (["--word_vectors=", "--keep_badly_cut"], "--keep_badly_cut does nothing"),
    (["--word_vectors="], "goes without text; there is nothing"),
    (["--word_vectors=a", "--variant=4"], "expected emotion or sentiment"),
  ],
)
def test_flags_that_do_not_go_together_are_refused(arguments, message):
  values = flags.FlagValues()
  source_flags.define(values)
  values(["convert", "--source=meld", "--input=x", *arguments])
  registry.refuse_foreign(values)
  with pytest.raises(UserError, match=message):
    registry.build(values)


def test_the_real_tables_are_as_published(data_dir, tmp_path):
  words = tmp_path / "vectors.txt"
  words.write_text("he 1 0\nhe's 0 1\n's 1 1\nlost 2 1\ncafé 3 3\n")
  corpus = build(data_dir / "meld", choice=text_features.Choice(words))
  assert corpus.total == 13708 and corpus.notes == ()
  read = {e.id: e for e in corpus.examples()}
  assert corpus.tally == {
    "of train in 1038 dialogues by 260 speakers, as published": 9989,
    "of dev in 114 dialogues by 47 speakers, as published": 1109,
    "of test in 280 dialogues by 100 speakers, as published": 2610,
  }
  counts = sum(e.labels for e in read.values() if e.split == "train")
  assert counts.tolist() == [4710, 1743, 1205, 1109, 683, 271, 268]
  # Each key that is known to be broken is a row, each surplus one is none.
  known = media.UNREADABLE | media.MISSING | media.BADLY_CUT
  assert {str(key) for key in known} <= read.keys()
  assert not {str(key) for key in media.SURPLUS} & read.keys()
  # "Oh my God, he’s lost it. He’s totally lost it."
  assert read["dev_dia0_utt0"].words == ["he's", "lost", "he's", "lost"]


def test_apostrophes_of_windows_are_apostrophes(data_dir, tmp_path):
  """The marks of a Windows code page, where they became control characters."""
  real = data_dir / "meld" / "dev_sent_emo.csv"
  ours = tmp_path / "dev_sent_emo.csv"
  written = real.read_text("utf-8")
  for mark, control in (
    ("’", "\x92"),
    ("‘", "\x91"),
    ("…", "\x85"),
    ("—", "\x97"),
  ):
    assert mark in written
    written = written.replace(mark, control)
  ours.write_text(written, "utf-8")
  one, two = (tables.read("dev", path, "emotion") for path in (real, ours))
  assert [text.tokenise(line.text) for line in one] == [
    text.tokenise(line.text) for line in two
  ]
  # As single bytes they are no UTF-8; nothing guesses.
  ours.write_text(real.read_text("utf-8"), "windows-1252")
  with pytest.raises(
    UserError, match="line 2 is not UTF-8 .*0x92.*iconv -f WIN"
  ):
    tables.read("dev", ours, "emotion")
