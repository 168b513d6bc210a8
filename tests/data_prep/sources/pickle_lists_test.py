"""The lists of MISA, MMIM and BBFN."""

import pickle

import numpy as np
import pytest

from data_prep.sources.pickles import padding
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import drawn_pickles
from tests.data_prep.sources.drawn_pickles import build, examples, save

ORDER = ("happy", "sad", "anger", "surprise", "disgust", "fear")


def test_samples_become_utterances(tmp_path, word_vectors):
  samples = drawn_pickles.misa()
  samples[1][0][1][0] = 0
  corpus = build(save(tmp_path, samples, "train.pkl"), word_vectors)
  assert corpus.layout.startswith("MISA lists, aligned, train; sentiment")
  assert corpus.has_words
  for example, sample in zip(corpus.examples(), samples, strict=True):
    (_, visual, acoustic, words), label, name = sample
    assert (example.id, example.split) == (name, "train")
    assert example.dialogue == name[:4]
    assert example.words == words
    np.testing.assert_array_equal(
      example.streams["visual"], visual.astype(np.float32)
    )
    np.testing.assert_array_equal(
      example.streams["acoustic"], acoustic.astype(np.float32)
    )
    # "don't" is the mean of do (2, 0, 0) and n't (0, 2, 0), zzz has none.
    table = {"i": [1, 0, 0], "am": [0, 1, 0], "happy": [0, 0, 1]}
    table |= {"don't": [1, 1, 0], "zzz": [0, 0, 0]}
    np.testing.assert_array_equal(
      example.streams["lexical"], [table[word] for word in words]
    )
    expected = np.eye(3)[0 if label[0, 0] < 0 else 2]
    np.testing.assert_array_equal(example.labels, expected)
  assert corpus.tally == {padding.MASKED.format("visual"): 1}
  assert corpus.modalities["visual"].padding == "zero_rows"
  assert corpus.modalities["lexical"].padding == "none"
  assert corpus.text["oov_policy"] == corpus.options["oov"] == "zero"


def test_a_piece_without_a_vector_takes_no_part_in_its_word(
  tmp_path, word_vectors
):
  (inputs, label, name), *others = drawn_pickles.misa()
  words = ["zzz-happy", "don't-zzz", *["i"] * (len(inputs[3]) - 2)]
  samples = [((*inputs[:3], words), label, name), *others]
  corpus = build(save(tmp_path, samples), word_vectors)
  lexical = examples(corpus)["vid0[0]"].streams["lexical"]
  np.testing.assert_array_equal(lexical[:2], [[0, 0, 1], [1, 1, 0]])


def test_words_stay_beside_their_frames_in_shards(
  tmp_path, word_vectors, write_corpus
):
  samples = drawn_pickles.misa()
  # Nothing is seen or heard of the last words.
  samples[0][0][1][-1] = samples[0][0][2][-1] = 0
  corpus = build(save(tmp_path, samples), word_vectors)
  _, read = write_corpus(corpus)
  words = samples[0][0][3]
  one = read["vid0[0]"]
  assert [word.decode() for word in one["words"].tolist()] == words
  assert len(one["lexical"]) == len(words)
  assert len(one["visual"]) == len(words) - 1


def test_without_word_vectors_the_words_are_named_as_lost(tmp_path):
  corpus = build(save(tmp_path, drawn_pickles.misa()))
  assert list(corpus.modalities) == ["acoustic", "visual"]
  assert "says no split" in corpus.notes[0]
  assert corpus.notes[1].startswith("the words are not converted: give --word")
  corpus = build(save(tmp_path, drawn_pickles.misa(words=False), "dev.pkl"))
  (note,) = corpus.notes
  assert "word ids and no words" in note
  assert {e.split for e in corpus.examples()} == {"validation"}
  with pytest.raises(UserError, match="holds no transcripts"):
    build(tmp_path / "dev.pkl", text="words")


def test_seven_columns_are_sentiment_and_six_emotions(tmp_path):
  samples = drawn_pickles.misa(width=7, n=8)
  path = save(tmp_path, samples)
  corpus = build(path)
  assert corpus.emotions == ORDER and corpus.label_type == "multi"
  for example, (_, label, _) in zip(corpus.examples(), samples, strict=True):
    expected = [float(score > 0) for score in label[0, 1:]]
    np.testing.assert_array_equal(example.labels, expected)
  strict = build(path, positive_above=1.5)
  for example, (_, label, _) in zip(strict.examples(), samples, strict=True):
    np.testing.assert_array_equal(example.labels, label[0, 1:] > 1.5)
  corpus = build(path, labels="sentiment")
  assert corpus.emotions == ("negative", "neutral", "positive")
  for example, (_, label, _) in zip(corpus.examples(), samples, strict=True):
    expected = np.eye(3)[0 if label[0, 0] < 0 else 2]
    np.testing.assert_array_equal(example.labels, expected)


def test_files_of_a_folder_are_its_splits(tmp_path):
  for seed, name in enumerate(("train", "dev", "test")):
    samples = drawn_pickles.misa(seed, n=seed + 2)
    named = [(x, y, f"{name}[{i}]") for i, (x, y, _) in enumerate(samples)]
    save(tmp_path, named, f"{name}.pkl")
  corpus = build(tmp_path)
  assert [e.split for e in corpus.examples()] == [
    *["train"] * 2,
    *["validation"] * 3,
    *["test"] * 4,
  ]
  # One file of the three lists is the same.
  lists = {
    name: pickle.loads((tmp_path / f"{name}.pkl").read_bytes())
    for name in ("train", "dev", "test")
  }
  other = tmp_path / "other"
  other.mkdir()
  together = build(save(other, lists))
  assert [e.id for e in together.examples()] == list(examples(corpus))
  save(tmp_path, drawn_pickles.misa(), "train_2.pkl")
  with pytest.raises(UserError, match=r"train_2.pkl is another train by its"):
    build(tmp_path)
  (tmp_path / "train_2.pkl").rename(tmp_path / "extra.pkl")
  with pytest.raises(UserError, match=r"extra.pkl is no split by its name"):
    build(tmp_path)
  save(tmp_path, drawn_pickles.mult(), "extra.pkl")
  with pytest.raises(UserError, match="extra.pkl is no part of one corpus"):
    build(tmp_path)


def test_lengths_of_mmim_cut_the_padding(tmp_path):
  samples = drawn_pickles.misa(n=2)
  lengthened = []
  for (ids, visual, acoustic, words), label, name in samples:
    more = np.concatenate([visual, np.zeros((3, 3))])
    inputs = (ids, more, acoustic, words, len(visual), len(acoustic) - 1)
    lengthened.append((inputs, label, name))
  corpus = build(save(tmp_path, lengthened))
  assert corpus.layout.startswith("MISA lists, unaligned")
  for example, sample in zip(corpus.examples(), samples, strict=True):
    assert len(example.streams["visual"]) == len(sample[0][1])
    assert len(example.streams["acoustic"]) == len(sample[0][2]) - 1
  # A row of each is left out that is not zeros.
  assert corpus.tally[padding.BEYOND.format("acoustic")] == 2


@pytest.mark.parametrize(
  ("place", "sample", "message"),
  [
    (1, None, "row 1 is a NoneType, expected"),
    (1, (1, 2), "row 1 is a tuple of 2, expected"),
    (1, ((1, 2), 0, "a"), "row 1: a tuple of 2, expected"),
    (1, ((0, np.ones(3), np.ones((3, 4))), np.ones((1, 1)), "a"), "visual has"),
    (
      1,
      ((0, np.ones((3, 2)), np.ones((3, 4))), np.ones((1, 1)), "a"),
      "has 2 v",
    ),
    (1, ((0, np.ones((3, 3)), "x"), np.ones((1, 1)), "a"), "acoustic is a str"),
    (1, ((0, np.ones((3, 3)), np.ones((3, 4))), "x", "a"), "label is a str"),
    (1, ((0, np.ones((3, 3)), np.ones((3, 4))), np.ones(2), "a"), "of shapes"),
    (
      1,
      ((0, np.ones((3, 3)), np.ones((3, 4))), [[1]], []),
      "id is a list of 0",
    ),
    (1, ((0, np.ones((3, 3)), np.ones((3, 4))), [[1]], "a"), "have words"),
    (
      1,
      ((0, np.ones((3, 3)), np.ones((3, 4)), 5), [[1]], "a"),
      "words is a int, ex",
    ),
    (
      1,
      ((0, np.ones((3, 3)), np.ones((3, 4)), [], [1, 2]), [[1]], "a"),
      "2 lengths",
    ),
  ],
)
def test_a_sample_unlike_the_others_is_named(tmp_path, place, sample, message):
  samples = drawn_pickles.misa()
  samples[place] = sample
  with pytest.raises(UserError, match=message) as raised:
    list(build(save(tmp_path, samples)).examples())
  assert "\n" not in str(raised.value)


def test_the_drawn_list(data_dir):
  path = data_dir / "layouts" / "misa_train.pkl"
  corpus = build(path)
  found = list(corpus.examples())
  assert len(found) == 10 and {e.split for e in found} == {"train"}
  for example, (inputs, _, name) in zip(
    found, pickle.loads(path.read_bytes()), strict=True
  ):
    assert example.id == name
    np.testing.assert_array_equal(
      example.streams["visual"], inputs[1].astype(np.float32)
    )
    np.testing.assert_array_equal(
      example.streams["acoustic"], inputs[2].astype(np.float32)
    )
