"""The pickles of DialogueRNN, MMGCN and COGMEN, and MELD's own."""

import pickle
from collections import Counter

import numpy as np
import pytest

from data_prep.sources.pickles import dialogues, meld
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import drawn_pickles
from tests.data_prep.sources.drawn_pickles import build, examples, save

MODALITIES = ("lexical", "acoustic", "visual")


def check_features(corpus, content, first=3):
  """Every utterance has the vectors of its place, as one row each."""
  found = list(corpus.examples())
  places = [(d, i) for d, rows in content[2].items() for i in range(len(rows))]
  assert len(found) == len(places) == corpus.total
  for example, (dialogue, i) in zip(found, places, strict=True):
    for place, modality in enumerate(corpus.modalities, first):
      expected = np.asarray(content[place][dialogue][i], np.float32)[None]
      np.testing.assert_array_equal(example.streams[modality], expected)
  return found, places


def test_iemocap_has_speakers_sessions_and_no_validation(tmp_path):
  content = drawn_pickles.dialogues()
  corpus = build(save(tmp_path, content, protocol=2))
  assert corpus.layout.startswith("DialogueRNN, IEMOCAP, 9 members, 3 dialog")
  found, places = check_features(corpus, content)
  for example, (dialogue, i) in zip(found, places, strict=True):
    assert example.id == content[0][dialogue][i]
    assert example.speaker == f"{dialogue[:5]}{content[1][dialogue][i]}"
    assert example.session == dialogue[4]
    assert example.dialogue == dialogue
    assert example.split == ("train" if dialogue in content[7] else "test")
    expected = np.eye(6)[content[2][dialogue][i]]
    np.testing.assert_array_equal(example.labels, expected)
  assert corpus.emotions == dialogues.IEMOCAP
  assert "no validation split" in corpus.notes[0]


def test_a_dialogue_on_no_side_has_no_split(tmp_path):
  *members, train, test = drawn_pickles.dialogues()
  name = sorted(train)[0]
  corpus = build(save(tmp_path, (*members, train - {name}, test)))
  splits = {e.dialogue: e.split for e in corpus.examples()}
  assert splits.pop(name) == "" and "" not in splits.values()
  assert f"{len(members[2][name])} utterances are on neither" in corpus.notes[1]


@pytest.mark.parametrize("visual", [True, False])
def test_meld_has_sentiments_too(tmp_path, visual):
  content = drawn_pickles.meld_dialogues(visual=visual)
  path = save(tmp_path, content)
  corpus = build(path)
  assert list(corpus.modalities) == list(MODALITIES[: 3 if visual else 2])
  found, places = check_features(corpus, content)
  for example, (dialogue, i) in zip(found, places, strict=True):
    assert example.id == f"dia{dialogue}_utt{i}"
    place = int(np.argmax(content[1][dialogue][i]))
    assert example.speaker == f"dia{dialogue}/{place}"
    expected = np.eye(7)[content[2][dialogue][i]]
    np.testing.assert_array_equal(example.labels, expected)
  assert corpus.emotions == dialogues.MELD
  corpus = build(path, labels="sentiment")
  assert corpus.emotions == ("neutral", "positive", "negative")
  for example, (dialogue, i) in zip(corpus.examples(), places, strict=True):
    expected = np.eye(3)[content[-1][dialogue][i]]
    np.testing.assert_array_equal(example.labels, expected)
  named = build(path, labels="sentiment", emotions=("o", "+", "-"))
  for one, other in zip(named.examples(), corpus.examples(), strict=True):
    np.testing.assert_array_equal(one.labels, other.labels)


def test_transcripts_of_dialogues_are_embedded(tmp_path, word_vectors):
  corpus = build(
    save(tmp_path, drawn_pickles.dialogues()), word_vectors, "words"
  )
  for example in corpus.examples():
    assert example.words == ["i", "am", "happy"]
    np.testing.assert_array_equal(example.streams["lexical"], np.eye(3))


FIRST = "Ses01F_impro01"


def _drop(members, place, key=FIRST):
  del members[place][key]


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda m: _drop(m, 3), "lexical of dialogue 'Ses01F_impro01' is missing"),
    (lambda m: m[0][FIRST].pop(), "ids of dialogue .* entries, the labels"),
    (
      lambda m: m[2].update({FIRST: 3}),
      "labels of dialogue .* is a int, expected one",
    ),
    (lambda m: m[6].update({FIRST: None}), "is a NoneType, expected one entry"),
    (lambda m: m[2][FIRST].__setitem__(0, 1.5), "1.5, expected a class's"),
    (lambda m: m[2][FIRST].__setitem__(0, -1), "-1, expected a class's number"),
    (lambda m: m[2][FIRST].__setitem__(0, 6), "has 7 classes, which the layo"),
    (lambda m: m[4][FIRST].__setitem__(1, np.ones(3)), r"shape \(3,\), expect"),
    (lambda m: m[4][FIRST].__setitem__(1, "x"), "is a str, expected an array"),
    (lambda m: m[1][FIRST].__setitem__(0, [0, 0]), "expected one-hot, or a"),
    (lambda m: m[7].add("Ses09"), "training names 1 dialogues that have no"),
    (lambda m: m[8].add(FIRST), "in training and in test"),
  ],
)
def test_a_mistake_in_dialogues_is_one_line(tmp_path, change, message):
  content = list(drawn_pickles.dialogues())
  change(content)
  with pytest.raises(UserError, match=message) as raised:
    list(build(save(tmp_path, content)).examples())
  assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
  ("name", "dims", "train"),
  [
    ("IEMOCAP_features.pkl", (100, 1582, 342), 136),
    ("MELD_features_raw1.pkl", (600, 300, 342), 119),
  ],
)
def test_the_drawn_dialogues(data_dir, name, dims, train):
  path = data_dir / "layouts" / name
  content = pickle.loads(path.read_bytes())
  corpus = build(path)
  assert tuple(m.dim for m in corpus.modalities.values()) == dims
  found, places = check_features(corpus, content)
  splits = Counter(example.split for example in found)
  assert splits == {"train": train, "test": 170 - train}
  for example, (dialogue, i) in zip(found, places, strict=True):
    assert example.labels[content[2][dialogue][i]] == 1
  if name.startswith("IEMOCAP"):
    assert len({e.speaker for e in found}) == 10
    assert {e.session for e in found} == set("12345")


def meld_rows(content):
  files = {"train": "train", "val": "dev", "test": "test"}
  for row in content[0]:
    yield files[row["split"]], row


def test_melds_data_is_read_with_its_own_vectors(tmp_path):
  content = drawn_pickles.meld_data()
  corpus = build(save(tmp_path, content, "data_emotion.p"))
  assert corpus.emotions == tuple(content[5]) and corpus.has_words
  left_out = 0
  for example, (file, row) in zip(
    corpus.examples(), meld_rows(content), strict=True
  ):
    assert example.id == f"{file}_dia{row['dialog']}_utt{row['utterance']}"
    assert example.dialogue == f"{file}_dia{row['dialog']}"
    words = [w for w in row["text"].split() if w in content[3]]
    left_out += len(row["text"].split()) - len(words)
    assert example.words == words
    expected = np.array([content[1][content[3][w]] for w in words])
    if words:
      np.testing.assert_array_equal(example.streams["lexical"], expected)
    assert example.labels[content[5][row["y"]]] == 1
  assert (
    corpus.tally["of words outside of the word index, left out"] == left_out
  )
  # The word index and the vocabulary stand in either order.
  swapped = [*content[:2], content[3], content[2], *content[4:]]
  other = build(save(tmp_path, swapped, "swapped.p"))
  for one, two in zip(corpus.examples(), other.examples(), strict=True):
    assert one.words == two.words


def test_melds_features_are_read_beside_its_data(tmp_path):
  content = drawn_pickles.meld_data()
  audio = drawn_pickles.meld_features()
  save(tmp_path, content, "data_emotion.p")
  save(tmp_path, audio, "audio_embeddings_feature_selection_emotion.pkl")
  corpus = build(tmp_path)
  assert list(corpus.modalities) == ["lexical", "acoustic"]
  order = ("train", "dev", "test")
  absent = 0
  for example, (file, row) in zip(
    corpus.examples(), meld_rows(content), strict=True
  ):
    key = f"{row['dialog']}_{row['utterance']}"
    vector = audio[order.index(file)].get(key)
    absent += vector is None
    if vector is None:
      assert "acoustic" not in example.streams
    else:
      np.testing.assert_array_equal(
        example.streams["acoustic"], vector.astype(np.float32)[None]
      )
  assert absent == 1 and not corpus.notes
  # What its authors' folder holds beside, by dialogue.
  save(tmp_path, [{"0": np.ones((3, 4))}] * 3, "text_emotion.pkl")
  (note,) = build(tmp_path).notes
  assert note.startswith("text_emotion.pkl is not read: it holds a list of 3")
  text = drawn_pickles.meld_features(1, dim=3)
  save(tmp_path, text, "text_glove_average_emotion.pkl")
  corpus = build(tmp_path)
  assert corpus.modalities["lexical"].dim == 3 and not corpus.has_words
  save(tmp_path, text, "text_glove_CNN_emotion.pkl")
  with pytest.raises(UserError, match="average_emotion.pkl are all lexical"):
    build(tmp_path)


def test_the_labels_choose_among_melds_files(tmp_path):
  content = drawn_pickles.meld_data()
  save(tmp_path, content, "data_emotion.p")
  names = ("neutral", "positive", "negative")
  rows = [row | {"y": names[i % 3]} for i, row in enumerate(content[0])]
  index = {name: i for i, name in enumerate(names)}
  save(tmp_path, [rows, *content[1:5], index], "data_sentiment.p")
  for task, dim in (("emotion", 4), ("sentiment", 2)):
    features = drawn_pickles.meld_features(dim=dim)
    save(tmp_path, features, f"audio_embeddings_{task}.pkl")
  corpus = build(tmp_path)
  assert (len(corpus.emotions), corpus.modalities["acoustic"].dim) == (7, 4)
  corpus = build(tmp_path, labels="sentiment")
  assert (corpus.emotions, corpus.modalities["acoustic"].dim) == (names, 2)


@pytest.mark.parametrize(
  ("place", "value", "message"),
  [
    (0, [{"text": "a", "y": "joy"}], "row 0 lacks dialog, utterance, split"),
    (5, {"joy": 0}, "is not in the label index, joy"),
    (3, {"i": 7}, "is a word index, expected a dictionary"),
  ],
)
def test_a_mistake_in_meld_is_one_line(tmp_path, place, value, message):
  content = drawn_pickles.meld_data()
  content[place] = value
  with pytest.raises(UserError, match=message):
    list(build(save(tmp_path, content, "data_emotion.p")).examples())


def test_features_alone_name_what_is_missing(tmp_path):
  path = save(tmp_path, drawn_pickles.meld_features(), "audio_emotion.pkl")
  with pytest.raises(UserError, match="no labels; give the folder .*data_emot"):
    build(path)
  save(tmp_path, drawn_pickles.meld_data(), "data_emotion.p")
  path.rename(tmp_path / "features.pkl")
  with pytest.raises(UserError, match="call the file after what they are"):
    build(tmp_path)
  assert meld.matches_features(drawn_pickles.meld_features())


def test_ids_of_every_split_are_their_own(tmp_path):
  found = examples(build(save(tmp_path, drawn_pickles.meld_data(), "d.p")))
  assert {"train_dia0_utt0", "dev_dia0_utt0", "test_dia0_utt0"} <= set(found)
