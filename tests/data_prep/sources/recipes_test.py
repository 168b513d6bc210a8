"""File names that are labels; the files are empty but for one test."""

import numpy as np
import pytest
import soundfile

from data_prep.features import text_features
from data_prep.sources import label_names, recipes, recordings
from mmer_jax.base.errors import UserError

RATINGS = """Evaluation of turns
UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.6; V:3.0; D:2.4; N:3.4;
WORKER00000001; Angry; A:3; V:3; D:2; N:4;
UTD-IMPROV-S01A-M01-S-FM02.avi; A; A:2.6;
UTD-IMPROV-S20H-F06-T-MF11.avi; X; A:2.6;
UTD-IMPROV-S20S-M06-R-MF12.avi; O; A:2.6;
"""
MSP = [
  "MSP-IMPROV-S01A-F01-P-FM01",
  "MSP-IMPROV-S01A-M01-S-FM02",
  "MSP-IMPROV-S20H-F06-T-MF11",
  "MSP-IMPROV-S20S-M06-R-MF12",
]


def touch(folder, *names):
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  return folder


def facts(reading):
  return [(e.id, e.label, e.speaker, e.text) for e in reading.utterances]


def test_ravdess(tmp_path):
  touch(
    tmp_path,
    "Actor_12/03-01-06-01-02-01-12.wav",
    "Actor_01/03-01-01-01-01-02-01.WAV",
    "Actor_24/03-02-08-02-01-02-24.wav",
  )
  reading = recipes.read("ravdess", tmp_path, None)
  kids, dogs = "Kids are talking by the door", "Dogs are sitting by the door"
  assert facts(reading) == [
    ("03-01-01-01-01-02-01", "neutral", "01", kids),
    ("03-01-06-01-02-01-12", "fearful", "12", dogs),
    ("03-02-08-02-01-02-24", "surprised", "24", kids),
  ]
  assert reading.emotions == (
    *("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust"),
    "surprised",
  )
  assert "recordings sung, not spoken: 1 of 3" in reading.notes
  assert (
    "RAVDESS as published has 1440 recordings, the folder 2" in reading.notes
  )
  assert reading.utterances[0].where == "Actor_01/03-01-01-01-01-02-01.WAV"


def test_cremad(tmp_path):
  names = ("1001_DFA_ANG_XX", "1040_ITH_SAD_X", "1091_WSI_HAP_LO")
  touch(tmp_path, *(f"{name}.wav" for name in names))
  assert facts(recipes.read("cremad", tmp_path, None)) == [
    ("1001_DFA_ANG_XX", "anger", "1001", "Don't forget a jacket"),
    ("1040_ITH_SAD_X", "sad", "1040", "I think I have a doctor's appointment"),
    ("1091_WSI_HAP_LO", "happy", "1091", "We'll stop in a couple of minutes"),
  ]


def test_emodb(tmp_path):
  touch(tmp_path, "wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/08a02Na.wav")
  assert facts(recipes.read("emodb", tmp_path, None)) == [
    ("03a01Fa", "joy", "03", "Der Lappen liegt auf dem Eisschrank."),
    ("08a02Na", "neutral", "08", "Das will sie am Mittwoch abgeben."),
    (
      *("16b10Wb", "anger", "16"),
      "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    ),
  ]


def test_msp_improv_takes_what_people_heard_for_the_label(tmp_path):
  folder = touch(tmp_path / "audio", *(f"session/{name}.wav" for name in MSP))
  touch(folder, "MSP-IMPROV-S02A-F01-P-FM01.wav")
  (folder / "Evalution.txt").write_text(RATINGS)
  for ratings in (None, folder / "Evalution.txt"):
    reading = recipes.read("msp_improv", folder, ratings)
    assert [(e.label, e.speaker, e.session) for e in reading.utterances] == [
      ("neutral", "F01", "1"),
      ("anger", "M01", "1"),
      ("", "F01", "1"),
      ("", "F06", "6"),
      ("", "M06", "6"),
    ]
    assert reading.tally == {
      "unlabelled, their rating is O": 1,
      "unlabelled, their rating is X": 1,
    }
    assert reading.notes[-1] == (
      "recordings without a rating, unlabelled: 1 (MSP-IMPROV-S02A-F01-P-FM01)"
    )
  assert reading.utterances[0].dialogue == "S01A-F01-P"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (None, "has no file of ratings, expected one"),
    ("nothing\n", "rates no recording"),
    (RATINGS.replace("; N; A", "; Q; A"), "line 2: 'Q' is no label"),
    (
      RATINGS + RATINGS.replace("; N;", "; A;"),
      "line 8: .*F01-P.* further up, N",
    ),
    (RATINGS.encode() + b"\xe9", "is not UTF-8"),
  ],
)
def test_ratings_that_are_none_are_named(tmp_path, text, message):
  touch(tmp_path, f"{MSP[0]}.wav")
  if text is not None:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "Evaluation.txt").write_bytes(data)
  with pytest.raises(UserError, match=message):
    recipes.read("msp_improv", tmp_path, None)


@pytest.mark.parametrize(
  ("recipe", "names"),
  [
    (
      "ravdess",
      # A strong neutral, emotion 9, actor 25, statement 3, one field too few.
      [
        *("03-01-01-02-01-01-01", "03-01-09-01-01-01-01"),
        *("03-01-05-01-01-01-25", "03-01-05-01-03-01-01", "03-01-05-01-01-01"),
      ],
    ),
    (
      "cremad",
      ["1092_DFA_ANG_XX", "1001_DFX_ANG_XX", "1001_DFA_SUR_XX", "1001_DFA_ANG"],
    ),
    ("emodb", ["04a01Fa", "03a03Fa", "03a01Xa", "03a01F", "03a01Faa"]),
  ],
)
def test_names_that_do_not_fit_are_counted_and_named(tmp_path, recipe, names):
  good = recipes.RECIPES[recipe].example
  touch(tmp_path, good, *(f"x/{name}.wav" for name in names))
  touch(tmp_path, f"._{good}", "README.txt", "a.mp4", "b.mp4", "LICENCE")
  reading = recipes.read(recipe, tmp_path, None)
  assert [e.id for e in reading.utterances] == [good.removesuffix(".wav")]
  shown = ", ".join(f"x/{name}.wav" for name in sorted(names))
  assert reading.notes[:3] == [
    f".wav files whose names do not fit --recipe={recipe}, left out:"
    f" {len(names)} ({shown})",
    "files that are no .wav, not read: .mp4 2, .txt 1, without an ending 1",
    "files ._* (AppleDouble), not read: 1",
  ]
  (tmp_path / good).unlink()
  with pytest.raises(UserError, match="no .wav file whose name fits --recipe"):
    recipes.read(recipe, tmp_path, None)


def test_folders_that_cannot_be_right_are_named(tmp_path):
  touch(tmp_path, "03a01Fa.wav", "copy/03a01Fa.wav")
  with pytest.raises(UserError, match="have the same name; .* one copy"):
    recipes.read("emodb", tmp_path, None)
  with pytest.raises(UserError, match="is a file; --recipe=emodb reads"):
    recipes.read("emodb", tmp_path / "03a01Fa.wav", None)
  with pytest.raises(UserError, match="does nothing with --recipe=emodb"):
    recipes.read("emodb", tmp_path, tmp_path / "a.txt")
  touch(tmp_path / "msp", f"{MSP[0]}.wav")
  with pytest.raises(UserError, match="--ratings=.*a.txt is not a file"):
    recipes.read("msp_improv", tmp_path / "msp", tmp_path / "a.txt")


def test_sentences_are_as_many_as_published():
  counts = {name: len(r.texts) for name, r in recipes.RECIPES.items()}
  assert counts == {"ravdess": 2, "cremad": 12, "emodb": 10, "msp_improv": 0}
  for recipe in recipes.RECIPES.values():
    assert recipe.name.fullmatch(recipe.example.removesuffix(".wav"))


@pytest.fixture(scope="module")
def emodb(tmp_path_factory):
  """Six recordings of noise under names of EMO-DB."""
  folder = tmp_path_factory.mktemp("emodb")
  rng = np.random.default_rng(0)
  for name in (
    "03a01Fa",
    "03a01Ta",
    "08a01Fa",
    "08a01La",
    "09b01Wa",
    "09b01Na",
  ):
    soundfile.write(folder / f"{name}.wav", rng.normal(size=3200) / 9, 16000)
  return folder


def test_a_folder_becomes_sound_and_words(emodb, write_corpus, tmp_path):
  vectors = tmp_path / "vectors.txt"
  vectors.write_text("der 1 0\nlappen 0 1\nsadness 2 2\nneutral 3 3\n")
  corpus = recordings.build_corpus(
    emodb,
    acoustic="egemaps",
    choice=text_features.Choice(vectors),
    names=label_names.read(["joy=happy", "sadness=sad"], ["boredom"]),
    recipe="emodb",
  )
  # The corpus's order: anger, boredom, disgust, fear, joy, sadness, neutral.
  assert corpus.emotions == ("anger", "happy", "sad", "neutral")
  manifest, examples = write_corpus(corpus)
  assert manifest["counts"]["by_emotion"] == {
    **{"anger": 1, "happy": 2, "sad": 1, "neutral": 1}
  }
  assert manifest["counts"]["speakers"] == 3
  assert manifest["counts"]["labelled"] == 5
  assert corpus.tally == {"unlabelled, their label is 'boredom'": 1}
  assert examples["08a01La"]["speaker"] == "08"
  assert examples["03a01Fa"]["acoustic"].shape == (1, 88)
  assert examples["03a01Ta"]["words"].tolist() == [b"der", b"lappen"]
  options = manifest["converter"]["options"]
  assert options["label_map"] == {"joy": "happy", "sadness": "sad"}
  assert options["recipe"] == "emodb"
  assert any("10 sentences are the same" in note for note in corpus.notes)


def test_without_sentences_only_emotions_have_vectors(tmp_path):
  rng = np.random.default_rng(0)
  for name in MSP:
    sound = rng.normal(size=3200) / 9
    soundfile.write(tmp_path / f"{name}.wav", sound, 16000)
  (tmp_path / "Evaluation.txt").write_text(RATINGS)
  (tmp_path / "vectors").write_text("anger 1 0\nneutral 0 1\n")
  corpus = recordings.build_corpus(
    tmp_path,
    acoustic="egemaps",
    choice=text_features.Choice(tmp_path / "vectors"),
    recipe="msp_improv",
  )
  assert list(corpus.modalities) == ["acoustic"] and not corpus.has_words
  assert corpus.emotions == ("anger", "neutral")
  np.testing.assert_array_equal(corpus.vectors.vectors, np.eye(2))
  assert corpus.notes[-1].startswith("what is said in MSP-IMPROV is not known")
