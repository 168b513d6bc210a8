"""Corpora of .csd files: words, frames and labels of segments."""

import json

import numpy as np
import pytest
import rich.console

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import text
from data_prep.features import text_features
from data_prep.readers import describe, describe_tables
from data_prep.sources import registry
from data_prep.sources.csd import read
from data_prep.writing import identity
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import csd_files
from tests.data_prep.sources.csd_files import build, frames_of, words_of

# Sentiment, happy, sad, anger, surprise, disgust, fear.
LABELS = {
  "one": ([[1, 2, 0, 0, 0, 0, 0], [-1, 0, 1, 0, 0, 0, 0.3]], [[0, 1], [1, 3]]),
  "two": ([[0, 0, 0, 3, 0, 0, 0]], [[0.25, 2]]),
}
WORDS = {
  "one": words_of("sp", "I", "don't", "like", "xylophones", "sp"),
  "two": words_of("happy", "films", "sp", "I"),
}
VECTORS = (
  "i 1 0\ndo 2 0\nn't 0 2\nlike 3 0\nhappy 0 1\nfilms 0 4\nsad 5 5\n"
  "anger 6 6\nsurprise 7 7\ndisgust 8 8\nfear 9 9\n"
)
MOSEI = "CMU_MOSEI_{}.csd"


@pytest.fixture(scope="module")
def mosei(tmp_path_factory):
  """Two recordings named as those of CMU-MOSEI; frames of ten a second."""
  folder = tmp_path_factory.mktemp("csd")
  write = csd_files.write_csd
  write(folder / MOSEI.format("TimestampedWords"), "words", WORDS)
  # "two" has no frames behind 1.2 s.
  frames = {"one": frames_of(30, 2), "two": frames_of(12, 2)}
  write(folder / MOSEI.format("COVAREP"), "COVAREP", frames)
  faces = {"one": frames_of(30, 3, first=0.0), "two": frames_of(20, 3)}
  write(folder / MOSEI.format("VisualFacet42"), "FACET 4.2", faces)
  write(folder / MOSEI.format("Labels"), "All Labels", LABELS)
  (folder / "glove.txt").write_text(VECTORS, encoding="utf-8")
  return folder


@pytest.fixture(scope="module")
def vectors(mosei):
  """The same with the corpus's own word vectors, which have no pauses."""
  folder = mosei / "own"
  folder.mkdir()
  own = {}
  for name, (words, times) in WORDS.items():
    spoken = words[:, 0] != "sp"
    numbers = np.arange(spoken.sum())[:, None] + [[1.0, 0.5, 0.25]]
    own[name] = numbers, times[spoken]
  path = folder / MOSEI.format("TimestampedWordVectors")
  return csd_files.write_csd(path, "glove_vectors", own)


def read_all(*arguments):
  corpus = build(*arguments)
  return corpus, {each.id: each for each in corpus.examples()}


def glove(mosei):
  return f"--word_vectors={mosei / 'glove.txt'}"


def test_a_segment_has_its_words_and_the_mean_of_their_frames(mosei):
  corpus, found = read_all(f"--input={mosei}", glove(mosei), "--oov=zero")
  assert corpus.name == "cmu_mosei" and corpus.label_type == "multi"
  assert corpus.emotions == (
    *("happy", "sad", "anger", "surprise", "disgust", "fear"),
  )
  assert list(found) == ["one[0]", "one[1]", "two[0]"]
  first = found["one[0]"]
  # The pause from 0 to 0.5 went with its frames 0 to 4; "I" has 5 to 9.
  assert first.words == ["i"]
  np.testing.assert_array_equal(first.streams["lexical"], [[1, 0]])
  np.testing.assert_allclose(first.streams["acoustic"], [[7, 107]])
  np.testing.assert_allclose(first.streams["visual"], [[7, 107, 207]])
  np.testing.assert_array_equal(first.labels, [1, 0, 0, 0, 0, 0])
  second = found["one[1]"]
  # Both pieces of a compound have its frames, 10 to 14.
  assert second.words == ["do", "n't", "like", "xylophones"]
  np.testing.assert_allclose(second.streams["acoustic"][:, 0], [12, 12, 17, 22])
  np.testing.assert_array_equal(second.streams["lexical"][3], [0, 0])
  np.testing.assert_array_equal(second.labels, [0, 1, 0, 0, 0, 1])
  third = found["two[0]"]
  # "happy" is cut at 0.25 s, and its frames are those of the whole word.
  assert third.words == ["happy", "films", "i"]
  np.testing.assert_allclose(third.streams["acoustic"][:, 0], [2, 7, 0])
  np.testing.assert_allclose(third.streams["visual"][:, 0], [2, 7, 17])
  assert (third.speaker, third.session, third.dialogue) == ("two",) * 3
  assert all(each.split == "" for each in found.values())
  assert corpus.tally == {
    "of pauses (sp) dropped with their frames": 3,
    "of words without acoustic frames": 1,
  }


def test_a_word_without_a_vector_goes_with_its_frames(mosei):
  corpus, found = read_all(f"--input={mosei}", glove(mosei))
  second = found["one[1]"]
  assert second.words == ["do", "n't", "like"]
  np.testing.assert_allclose(second.streams["acoustic"][:, 0], [12, 12, 17])
  assert corpus.text["oov_tokens"] == 1 and corpus.text["tokens"] == 8
  np.testing.assert_array_equal(corpus.vectors.vectors[0], [0, 1])


def test_pauses_that_are_kept_are_rows_of_zeros(mosei):
  _, found = read_all(f"--input={mosei}", glove(mosei), "--sp=keep")
  assert found["one[0]"].words == ["sp", "i"]
  np.testing.assert_array_equal(
    found["one[0]"].streams["lexical"], [[0, 0], [1, 0]]
  )
  np.testing.assert_allclose(found["one[0]"].streams["acoustic"][:, 0], [2, 7])


def test_frames_that_are_not_collapsed_say_which_word_they_are_in(mosei):
  corpus, found = read_all(
    f"--input={mosei}", glove(mosei), "--collapse=none", "--oov=zero"
  )
  assert corpus.has_acoustic_word
  second = found["one[1]"]
  # "do" has the frames of "don't", its second piece none.
  assert second.acoustic_word.tolist() == [0] * 5 + [2] * 5 + [3] * 5
  np.testing.assert_allclose(
    second.streams["acoustic"][:, 0], np.arange(10, 25)
  )
  # Frames of a word over the border: those from 0.25 s on, 2 to 4.
  third = found["two[0]"]
  assert third.acoustic_word.tolist() == [0] * 3 + [1] * 5
  assert third.streams["acoustic"][:, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_streams_that_are_aligned_to_labels_keep_their_rows(mosei):
  corpus, found = read_all(f"--input={mosei}", glove(mosei), "--align=labels")
  third = found["two[0]"]
  # Frame 2 is from 0.2 to 0.3 s, over the border at 0.25 s; 11 ends at 1.2 s.
  assert third.streams["acoustic"][:, 0].tolist() == list(range(2, 12))
  assert third.streams["visual"][:, 0].tolist() == list(range(2, 20))
  assert third.words == ["happy", "films", "i"]
  assert corpus.modalities["visual"].padding == "none"
  _, mean = read_all(
    f"--input={mosei}", glove(mosei), "--align=labels", "--collapse=mean"
  )
  np.testing.assert_allclose(mean["two[0]"].streams["acoustic"], [[6.5, 106.5]])
  # The mean of happy, films and i.
  np.testing.assert_allclose(
    mean["two[0]"].streams["lexical"], [[1 / 3, 5 / 3]], rtol=1e-6
  )
  assert mean["two[0]"].words is None


def test_the_overlap_weighs_words_and_frames_of_a_label(mosei):
  _, found = read_all(
    *(f"--input={mosei}", glove(mosei), "--align=labels"),
    *("--collapse=overlap", "--noimpute"),
  )
  # happy 0.25 s, films 0.5 s, i 0.5 s of 1.25 s.
  np.testing.assert_allclose(
    found["two[0]"].streams["lexical"],
    [[0.5 / 1.25, (0.25 + 4 * 0.5) / 1.25]],
    rtol=1e-6,
  )
  # Frame 2 has half the weight of each of the nine others.
  np.testing.assert_allclose(
    found["two[0]"].streams["acoustic"][0, 0],
    (0.5 * 2 + sum(range(3, 12))) / 9.5,
    rtol=1e-6,
  )


def test_without_imputation_words_that_lack_a_modality_go(mosei):
  corpus, found = read_all(f"--input={mosei}", glove(mosei), "--noimpute")
  third = found["two[0]"]
  assert third.words == ["happy", "films"]
  assert {len(rows) for rows in third.streams.values()} == {2}
  assert corpus.tally["of words without acoustic frames"] == 1


def test_without_imputation_labels_that_lack_a_modality_go(mosei, tmp_path):
  ones = {"two": (np.eye(7)[[1, 2]], [[0, 1], [1.5, 2]])}
  labels = csd_files.write_csd(tmp_path / "labels.csd", "x", ones)
  names = ("COVAREP", "VisualFacet42")
  files = ",".join(str(mosei / MOSEI.format(name)) for name in names)
  arguments = f"--input={files},{labels}", "--align=labels"
  # Sound ends at 1.2 s, before the second label begins.
  _, found = read_all(*arguments)
  assert list(found["two[1]"].streams) == ["visual"]
  corpus, complete = read_all(*arguments, "--noimpute")
  assert list(complete) == ["two[0]"]
  assert corpus.tally["of labels that lack a modality left out"] == 1


@pytest.mark.parametrize(
  ("keep", "words"), [("last", "n't like"), ("first", "do n't")]
)
def test_seq_len_keeps_the_rows_of_one_end(mosei, keep, words):
  corpus, found = read_all(
    *(f"--input={mosei}", glove(mosei)),
    *("--seq_len=2", f"--seq_keep={keep}"),
  )
  assert found["one[1]"].words == words.split()
  assert len(found["one[1]"].streams["visual"]) == 2
  assert corpus.tally["of labels whose streams were cut to --seq_len"] == 2


def test_the_corpus_has_word_vectors_of_its_own(mosei, vectors):
  files = [mosei / MOSEI.format(name) for name in ("COVAREP", "Labels")]
  listed = ",".join(map(str, [vectors, *files]))
  corpus, found = read_all(f"--input={listed}")
  assert not corpus.has_words and corpus.vectors is None
  np.testing.assert_array_equal(
    found["one[1]"].streams["lexical"][:, 0], [2, 3, 4]
  )
  np.testing.assert_allclose(
    found["one[1]"].streams["acoustic"][:, 0], [12, 17, 22]
  )
  with_words = f"{listed},{mosei / MOSEI.format('TimestampedWords')}"
  corpus, found = read_all(f"--input={with_words}", "--sp=keep")
  assert found["one[1]"].words == ["don't", "like", "xylophones"]
  # "happy" is the first word that "two" says; nobody says the others.
  assert corpus.vectors.words == ("happy", "", "", "", "", "")
  np.testing.assert_array_equal(corpus.vectors.vectors[0], [1, 0.5, 0.25])
  # A file of vectors comes before the corpus's own, and a note says so.
  corpus, found = read_all(f"--input={with_words}", glove(mosei))
  assert found["one[0]"].streams["lexical"].shape == (1, 2)
  assert any("WordVectors.csd is not read" in note for note in corpus.notes)
  with pytest.raises(UserError, match="vectors of 2 numbers, .* of 3"):
    build(f"--input={listed}", glove(mosei))


def test_without_vectors_there_is_no_lexical_modality(mosei):
  corpus, found = read_all(f"--input={mosei}")
  assert list(corpus.modalities) == ["acoustic", "visual"]
  assert any("no lexical modality" in note for note in corpus.notes)
  assert len(found["one[1]"].streams["acoustic"]) == 3
  assert found["one[1]"].words is None and not corpus.has_words


def test_shards_hold_what_was_aligned(mosei, write_corpus):
  corpus = build(f"--input={mosei}", glove(mosei), "--oov=zero")
  manifest, found = write_corpus(corpus)
  third = found["two[0]"]
  assert [word.decode() for word in third["words"]] == ["happy", "films", "i"]
  # A word without frames is padding in one modality and real in another.
  np.testing.assert_array_equal(third["acoustic"][2], [0, 0])
  assert len(third["acoustic"]) == len(third["visual"]) == 3
  assert manifest["modalities"]["acoustic"]["padding"] == "zero_rows"
  assert manifest["converter"]["options"]["unify"] == "exact"


def test_a_last_word_with_nothing_known_of_it_is_no_row(mosei, write_corpus):
  names = ("TimestampedWords", "COVAREP", "Labels")
  files = ",".join(str(mosei / MOSEI.format(name)) for name in names)
  (mosei / "less.txt").write_text("happy 0 1\nfilms 0 4\ndo 1 1\n")
  corpus = build(
    *(f"--input={files}", f"--word_vectors={mosei / 'less.txt'}", "--oov=zero")
  )
  _, found = write_corpus(corpus)
  # "i" has neither a vector nor frames.
  assert [word.decode() for word in found["two[0]"]["words"]] == [
    *("happy", "films"),
  ]
  assert len(found["two[0]"]["lexical"]) == 2


def test_a_long_list_of_files_is_no_path(mosei):
  names = ("TimestampedWords", "COVAREP", "VisualFacet42", "Labels")
  # The same folder by a longer way: 4096 letters are no path.
  (mosei / "there").mkdir()
  way = mosei.joinpath(*["there", ".."] * 150)
  listed = ",".join(str(way / MOSEI.format(name)) for name in names)
  assert len(listed) > 4096
  values = csd_files.values_of(f"--input={listed}", "--output=x")
  corpus = registry.build(values)
  assert len(corpus.files) == 4
  assert len(identity.of(values, corpus)) == 32


def test_a_recording_is_read_when_its_turn_comes(mosei, monkeypatch):
  corpus = build(f"--input={mosei}", glove(mosei))
  entries, read_entry = [], read._entry

  def recorded(sequence, data, name, tally):
    entries.append(name)
    return read_entry(sequence, data, name, tally)

  monkeypatch.setattr(read, "_entry", recorded)
  examples = corpus.examples()
  assert next(examples).id == "one[0]"
  assert set(entries) == {"one"}
  list(examples)
  assert len(entries) == 6


class Encoder:
  """Texts as a contextual encoder has them: all were said before."""

  def __init__(self, has_words):
    self.has_words = has_words
    self.texts = []

  def open_text(self, choice, texts, emotions):
    assert choice.encoder.name == "tiny" and "happy" in emotions
    self.texts = list(texts)
    modality = corpus_lib.Modality(corpus_lib.numbered("encoded", 2), "none")
    return text_features.TextFeatures(modality, self.embed, self.has_words)

  def embed(self, written):
    assert written in self.texts
    words = text.tokenise(written)
    if not self.has_words:
      return text.Embedded(None, np.ones((1, 2)), np.full(1, -1))
    rows = np.array([[self.texts.index(written) + 1.0, len(w)] for w in words])
    return text.Embedded(words, rows, np.arange(len(words)))


@pytest.mark.parametrize("more", [[], ["--noimpute", "--seq_len=2"]])
def test_an_encoder_sees_the_text_of_a_whole_segment(mosei, monkeypatch, more):
  encoder = Encoder(has_words=True)
  monkeypatch.setattr(text_features, "open_text", encoder.open_text)
  _, found = read_all(f"--input={mosei}", "--text_encoder=tiny", *more)
  assert encoder.texts == ["I", "don't like xylophones", "happy films I"]
  words = found["one[1]"].words
  assert words == ["don't", "like", "xylophones"][-2 if more else 0 :]
  np.testing.assert_array_equal(
    found["one[1]"].streams["lexical"], [[2, len(word)] for word in words]
  )


def test_an_encoder_of_sentences_has_no_words_to_align_to(mosei, monkeypatch):
  encoder = Encoder(has_words=False)
  monkeypatch.setattr(text_features, "open_text", encoder.open_text)
  arguments = f"--input={mosei}", "--text_encoder=tiny"
  with pytest.raises(UserError, match="a vector of each word"):
    build(*arguments)
  corpus, found = read_all(*arguments, "--align=labels")
  np.testing.assert_array_equal(found["two[0]"].streams["lexical"], [[1, 1]])
  assert not corpus.has_words


def test_inspect_shows_each_file_and_what_they_share(mosei, drawn, capsys):
  described = describe.describe(drawn / "csd")
  assert described["recordings"]["in_all"] == 4
  assert described["recordings"]["dropped_by_prefix"] == ["255226"]
  columns = described["columns"]
  assert columns["COVAREP.csd"]["shape"] == [33, 2]
  assert columns["labels.csd: sad"]["positive"] == 3
  assert "words: 15; pauses (sp): 1" in columns["words.csd"]["note"]
  for table in describe_tables.tables_of(described):
    rich.console.Console(width=200).print(table)
  shown = capsys.readouterr().out
  assert "acoustic, first key 'COVAREP'" in shown and "255226" in shown
  one = describe.describe(mosei / MOSEI.format("Labels"))
  assert "recordings" not in one
  assert one["columns"]["CMU_MOSEI_Labels.csd: anger"]["max"] == 3


@pytest.fixture(scope="module")
def drawn(data_dir):
  folder = data_dir / "csd"
  if not folder.is_dir():
    pytest.skip(f"{folder} is absent")
  return folder


def test_drawn_files_become_the_segments_of_the_sdks_recipe(drawn):
  expected = json.loads((drawn / "4_hard_unified.json").read_text())
  corpus, found = read_all(
    f"--input={drawn / 'csd'}", "--sp=keep", "--unify=reference"
  )
  names = {"acoustic": "COVAREP", "visual": "FACET"}
  assert found.keys() == expected["All Labels"].keys()
  for key, example in found.items():
    for modality, name in names.items():
      rows = np.array(expected[name][key]["features"], np.float64)
      np.testing.assert_array_equal(
        example.streams[modality], rows.astype(np.float32)
      )
    labels = np.array(expected["All Labels"][key]["features"][0], np.float64)
    np.testing.assert_array_equal(example.labels, labels[1:] > 0)
  assert any("as the SDK does" in n and "255226" in n for n in corpus.notes)
  # By exact names one recording more is kept, and named.
  exact, more = read_all(f"--input={drawn / 'csd'}", "--sp=keep")
  assert more.keys() - found.keys() == {"255226[0]"}
  assert any("kept that the SDK drops" in note for note in exact.notes)


@pytest.mark.parametrize(
  ("side", "keep"), [("left", "last"), ("right", "first")]
)
def test_cut_streams_are_the_sdks_tensors_without_their_padding(
  drawn, tmp_path, side, keep
):
  expected = json.loads((drawn / "5_tensors.json").read_text())[side]
  path = tmp_path / "folds.json"
  path.write_text('{"train": ["vid_one"], "test": ["vid_two"]}')
  corpus, found = read_all(
    *(f"--input={drawn / 'csd'}", "--sp=keep", "--unify=reference"),
    *(f"--folds={path}", "--seq_len=2", f"--seq_keep={keep}"),
  )
  for fold, split in enumerate(("train", "test")):
    inside = [each for each in found.values() if each.split == split]
    for modality, name in (("acoustic", "COVAREP"), ("visual", "FACET")):
      # No segment here is shorter than two rows: nothing is padded.
      rows = np.array([each.streams[modality] for each in inside])
      np.testing.assert_array_equal(
        rows, np.array(expected[fold][name], np.float32)
      )
  assert corpus.tally["of labels in train (published: 16327)"] == 2
  assert corpus.tally["of labels in test (published: 4662)"] == 1
  assert corpus.tally["of labels of recordings in no fold left out"] == 1


def test_the_drawn_layout_of_cmu_mosei_is_read(data_dir):
  folder = data_dir / "layouts" / "cmumosei"
  if not folder.is_dir():
    pytest.skip(f"{folder} is absent")
  corpus, found = read_all(f"--input={folder}")
  assert list(found) == ["-3g5yACwYnA[0]", "81406[0]"]
  assert corpus.modalities["acoustic"].columns[0] == "F0"
  # "really" from 0.3 to 0.8 s, "good" from 0.8 to 1.4 s.
  sequence = read.open_sequence(folder / "CMU_MOSEI_COVAREP.csd")
  with sequence.opened() as entries:
    frames = entries("81406")["81406"].features
  np.testing.assert_allclose(
    found["81406[0]"].streams["acoustic"],
    [frames[30:80].mean(axis=0), frames[80:140].mean(axis=0)],
    rtol=1e-5,
  )
