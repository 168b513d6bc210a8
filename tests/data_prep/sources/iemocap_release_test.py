"""IEMOCAP's release folder, drawn from the real utterances' ids and labels."""

import shutil

import numpy as np
import pytest

from data_prep.features import text_features
from data_prep.sources import utterances
from data_prep.sources.iemocap import labels, release, source
from data_prep.specs import iemocap as spec
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import iemocap_files


@pytest.fixture(scope="module")
def real(data_dir):
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  with np.load(path) as file:
    return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def drawn(real, tmp_path_factory):
  """The whole release, without sound: true ids, labels, times and texts."""
  rng = np.random.default_rng(0)
  agree = rng.integers(0, 4, size=len(real["utt_id"]))
  rows = [
    iemocap_files.utterance(
      str(name),
      label=str(real["emotion"][i]),
      text=str(real["text"][i]),
      start=real["start"][i],
      end=real["end"][i],
      vad=real["vad"][i],
      agree=int(agree[i]),
    )
    for i, name in enumerate(real["utt_id"])
  ]
  folder = tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release"
  return iemocap_files.release(folder, rows), rows


@pytest.fixture(scope="module")
def read(drawn):
  return release.read(drawn[0])


def build(folder, variant="4", vectors=None, acoustic="compare2013"):
  return source.build_corpus(
    folder,
    variant=labels.variant(variant),
    acoustic=acoustic,
    choice=text_features.Choice(vectors),
  )


def test_all_labels_times_ratings_and_texts_come_back(real, read):
  assert len(read.utterances) == 10039 and read.dialogues == 151
  found = {each.evaluation.id: each for each in read.utterances}
  assert len(found) == 10039
  for i, name in enumerate(real["utt_id"]):
    each = found[str(name)]
    evaluation = each.evaluation
    assert evaluation.label == real["emotion"][i]
    assert np.float32(evaluation.start) == real["start"][i]
    assert np.float32(evaluation.end) == real["end"][i]
    assert tuple(np.float32(evaluation.vad)) == tuple(real["vad"][i])
    assert each.text == real["text"][i].strip()
    assert evaluation.name.speaker == real["speaker"][i]
    assert evaluation.name.session == real["session"][i]
    assert evaluation.name.dialogue == real["dialog_id"][i]


def test_votes_are_those_of_raters_and_never_of_actors(drawn, read):
  for row, each in zip(
    sorted(drawn[1], key=lambda row: row["id"]),
    sorted(read.utterances, key=lambda each: each.evaluation.id),
    strict=True,
  ):
    evaluation = each.evaluation
    assert set(evaluation.votes) == {"E1", "E2", "E3"}
    assert set(evaluation.ratings) == {"E1", "E2"}
    assert set(evaluation.self_reports) <= {"F1", "M1"}
    # A comment in brackets is no vote.
    chosen = set().union(*evaluation.votes.values())
    assert chosen <= set(labels.CATEGORIES.values())
    if row["label"] != "xxx":
      assert evaluation.agreement() == (row["agree"], 3)
  assert read.tally == {
    **{"of ratings with a value left blank": 10039},
    **{"of transcripts without an id left out": 151},
    "of transcripts of turns that nobody rated (_MXX0) left out": 151,
    **{release.WITHOUT_TEXT: 0, release.WITHOUT_EVALUATION: 0},
  }


def test_rows_are_those_of_the_spec(drawn, word_vectors, data_dir):
  own = build(drawn[0], "4", word_vectors)
  config = spec.get_config("4").copy_and_resolve_references()
  with config.unlocked():
    del config["features"]
  other = utterances.build(
    config,
    data_dir / "iemocap" / "iemocap_utterances.npz",
    text_features.Choice(word_vectors),
  )

  def rows(corpus):
    return {
      each.id: (
        *(each.speaker, each.session, each.dialogue, each.split),
        *(() if each.labels is None else each.labels.tolist(), each.words),
      )
      for each in corpus.examples()
    }

  assert rows(own) == rows(other)
  assert (own.name, own.emotions) == (other.name, other.emotions)
  assert own.text == other.text and own.vectors.words == other.vectors.words
  np.testing.assert_array_equal(own.vectors.vectors, other.vectors.vectors)
  # What is printed at the end, beside the published counts.
  assert own.tally == {
    "rated, published are 10039": 10039,
    "of the variant's emotions, published are 5531": 5531,
    "of ratings with a value left blank": 10039,
    "whose valence is off its scale: unrated": 4,
    "whose dominance is off its scale: unrated": 3,
    "of transcripts without an id left out": 151,
    "of transcripts of turns that nobody rated (_MXX0) left out": 151,
  }
  (note,) = own.notes
  assert "no recording" in note
  assert own.options["release"]["labels"] == labels.PUBLISHED
  assert own.total == 10039


@pytest.mark.parametrize("name", ["4", "6", "all"])
def test_variants_are_those_of_the_spec(name):
  config = spec.get_config(name)
  variant = labels.variant(name)
  assert variant.emotion == dict(config.label_values)
  assert list(variant.emotion) == [label for label, _ in config.label_values]
  assert not variant.emotion.keys() & set(config.unlabelled)
  assert labels.CATEGORIES.keys() == variant.emotion.keys() | set(
    config.unlabelled
  )


@pytest.mark.parametrize(
  ("name", "joined", "emotions", "kind"),
  [
    ("improvised", "4_improvised", 4, "_impro"),
    ("scripted", "4_scripted", 4, "_script"),
    ("6_improvised", "6_improvised", 6, "_impro"),
    ("all_scripted", "all_scripted", 9, "_script"),
  ],
)
def test_a_kind_is_joined_with_classes(name, joined, emotions, kind):
  variant = labels.variant(name)
  assert (variant.name, variant.kind) == (joined, kind)
  assert len(variant.emotions) == emotions


@pytest.mark.parametrize("name", ["", "5", "4_", "_4", "scripted_4", "4_a_b"])
def test_another_variant_is_named(name):
  with pytest.raises(UserError, match=f"--variant={name} is no variant of"):
    labels.variant(name)


def test_the_drawn_folder_is_read(data_dir):
  glove = data_dir / "glove" / "glove.twitter.27B.25d.subset.txt"
  corpus = build(data_dir / "layouts" / "IEMOCAP_full_release", "4", glove)
  rows = list(corpus.examples())
  assert len(rows) == corpus.total == 10
  first, second = rows[:2]
  assert (first.id, first.speaker) == ("Ses01F_impro01_F000", "Ses01_F")
  assert first.labels.tolist() == [1, 0, 0, 0] and second.labels is None
  assert (second.speaker, second.session) == ("Ses01_M", "1")
  assert first.words == ["excuse", "me"]
  differ, _ = corpus.notes
  assert "holds 10 rated utterances, the whole release 10039" in differ
  assert "neu 5 (1708)" in differ and "exc 0 (1041)" in differ
  # C-F1's `Neutral; Anger` is the actor's, and xxx agrees with nobody.
  assert corpus.options["release"]["agreement"] == {"2 of 2": 5}
  assert corpus.options["release"]["self_reports"] == 5


@pytest.fixture
def small(tmp_path):
  rows = [
    iemocap_files.utterance("Ses01F_impro01_F000"),
    iemocap_files.utterance("Ses01F_impro01_M000", "ang"),
    iemocap_files.utterance("Ses01F_script01_1_M000", "exc"),
  ]
  return iemocap_files.release(tmp_path / "release", rows)


def evaluations(folder, name="Ses01F_impro01"):
  return folder / "Session1" / "dialog" / "EmoEvaluation" / f"{name}.txt"


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (("\tang\t", "\tangry\t"), r"line 12: label 'angry', expected one of neu"),
    (("[1.0000 - 2.5000]", "[1.0000 - ]"), "line 3: .* cannot be read, expec"),
    (("[1.0000 - 2.5000]", "[2.5 - 1.0]"), "goes from 2.5 to 1.0 s"),
    (("[2.5000, 3", "[nan, 3"), "cannot be read"),
    (("_F000", "_X000"), "'Ses01F_impro01_X000' is no id of an utterance"),
    (("Ses01F_impro01_M000", "Ses01F_impro02_M000"), "of another dialogue"),
    (("val 3; act 2; dom  2", "val 3; act 2.2.2; dom"), "rating of '2.2.2'"),
  ],
)
def test_a_damaged_evaluation_is_named(small, change, message):
  path = evaluations(small)
  path.write_text(path.read_text().replace(*change))
  with pytest.raises(UserError, match=message):
    release.read(small)


def test_a_dialogue_in_the_folder_of_another_session_is_named(small):
  shutil.move(small / "Session1", small / "Session2")
  with pytest.raises(UserError, match="is of session 1 and lies in Session2"):
    release.read(small)


def test_texts_that_are_missing_or_of_nobody_are_counted(small):
  path = small / "Session1" / "dialog" / "transcriptions"
  (path / "Ses01F_script01_1.txt").unlink()
  file = path / "Ses01F_impro01.txt"
  file.write_text(
    file.read_text()
    + "Ses01F_impro01_F000 [1-2]: again\n"
    + "Ses01F_impro01_F009 [1-2]: of nobody\n"
  )
  found = release.read(small)
  assert (
    found.tally["of transcripts that give an id a second text left out"] == 1
  )
  assert found.tally[release.WITHOUT_TEXT] == 1
  assert found.tally[release.WITHOUT_EVALUATION] == 1
  assert [each.text for each in found.utterances] == ["I am happy."] * 2 + [""]


def test_an_evaluation_that_says_nothing_known_is_counted(small):
  path = evaluations(small)
  path.write_text(path.read_text() + "X-E1:\tNeutral;\t()\n")
  tally = release.read(small).tally
  assert tally["of evaluations not understood and left out"] == 1


def test_transcripts_of_another_encoding_are_named(small):
  path = small / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"
  path.write_bytes(path.read_bytes() + b"Ses01F_impro01_F007 [1-2]: caf\xe9\n")
  with pytest.raises(UserError, match="is not UTF-8"):
    release.read(small)


@pytest.mark.parametrize("inside", ["Session1", "nothing"])
def test_another_folder_is_named(small, inside):
  (small / "nothing").mkdir()
  with pytest.raises(UserError, match="has no folder Session1/dialog/EmoEval"):
    release.read(small / inside)


def test_a_release_without_evaluations_is_named(small):
  for name in ("Ses01F_impro01", "Ses01F_script01_1"):
    evaluations(small, name).write_text("% nothing\n")
  with pytest.raises(UserError, match="holds no evaluation"):
    release.read(small)


def test_without_vectors_and_sound_there_is_nothing(small):
  with pytest.raises(UserError, match="there is nothing to convert"):
    build(small)


def test_one_kind_is_read_alone_and_the_rest_counted(small, word_vectors):
  corpus = build(small, "6_scripted", word_vectors)
  (example,) = corpus.examples()
  assert example.id == "Ses01F_script01_1_M000"
  assert corpus.emotions[int(example.labels.argmax())] == "excited"
  assert corpus.name == "iemocap_6_scripted" and corpus.total == 1
  assert corpus.tally == {
    "rated, published are 10039": 3,
    "left out, their dialogue is of the other kind": 2,
    "of ratings with a value left blank": 3,
    "of transcripts without an id left out": 2,
    "of transcripts of turns that nobody rated (_MXX0) left out": 2,
  }


def test_a_kind_that_the_folder_lacks_is_named(small, word_vectors):
  shutil.rmtree(small / "Session1" / "dialog" / "transcriptions")
  evaluations(small, "Ses01F_script01_1").unlink()
  with pytest.raises(UserError, match="no dialogue whose name holds '_script'"):
    build(small, "scripted", word_vectors)
