"""MulT's and MMSA's pickles: arrays of utterances by split."""

import pickle

import numpy as np
import pytest

from data_prep.sources.pickles import padding
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import drawn_pickles
from tests.data_prep.sources.drawn_pickles import build, examples, save

STREAMS = {"text": "lexical", "audio": "acoustic", "vision": "visual"}
SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def rows_of(content):
  """Every utterance's split, row and members, by a plain loop."""
  for split, part in content.items():
    for row in range(len(part["text"])):
      yield split, row, {name: part[name][row] for name in part}


def by_loop(frames):
  """The rows that are not zeros, as a plain loop finds them."""
  return [frame for frame in frames if any(value != 0 for value in frame)]


@pytest.mark.parametrize("seed", range(3))
def test_left_padding_goes_and_rows_stay_aligned(tmp_path, seed):
  content = drawn_pickles.mult(seed)
  corpus = build(save(tmp_path, content))
  found = list(corpus.examples())
  assert corpus.total == len(found) == 9
  removed = dict.fromkeys(STREAMS.values(), 0)
  for example, (split, row, members) in zip(
    found, rows_of(content), strict=True
  ):
    assert example.id == f"{split}{row}[1.5-3]"
    assert (example.split, example.dialogue) == (SPLITS[split], f"{split}{row}")
    # What all three have of zeros at the left, and no more.
    first = min(
      next(i for i, frame in enumerate(members[name]) if frame.any())
      for name in STREAMS
    )
    for name, modality in STREAMS.items():
      expected = members[name][first:].astype(np.float32)
      np.testing.assert_array_equal(example.streams[modality], expected)
      removed[modality] += first
  for modality, count in removed.items():
    assert corpus.tally.get(padding.LEFT.format(modality), 0) == count
    assert corpus.modalities[modality].padding == "zero_rows"


def test_each_stream_has_its_own_padding_where_not_aligned(tmp_path):
  content = drawn_pickles.mult(lengths=(5, 7, 9))
  corpus = build(save(tmp_path, content))
  assert corpus.layout.startswith("MulT, unaligned, train, valid, test")
  for example, (_, _, members) in zip(
    corpus.examples(), rows_of(content), strict=True
  ):
    for name, modality in STREAMS.items():
      np.testing.assert_array_equal(
        example.streams[modality],
        np.array(by_loop(members[name]), np.float32),
      )


def test_a_second_pass_counts_no_more(tmp_path):
  corpus = build(save(tmp_path, drawn_pickles.mult()))
  first = list(corpus.examples()) and dict(corpus.tally)
  again = list(corpus.examples()) and dict(corpus.tally)
  assert first == again and first


def test_a_stream_of_zeros_is_absent_and_shifts_nothing(tmp_path):
  content = drawn_pickles.mult()
  content["train"]["audio"][1] = 0
  corpus = build(save(tmp_path, content))
  example = examples(corpus)["train1[1.5-3]"]
  assert set(example.streams) == {"lexical", "visual"}
  assert len(example.streams["lexical"]) == len(example.streams["visual"])


def test_minus_infinity_is_data_for_the_policy(tmp_path, write_corpus):
  content = drawn_pickles.mult()
  content["test"]["audio"][0, -1, 2] = -np.inf
  manifest, read = write_corpus(build(save(tmp_path, content)))
  assert manifest["nonfinite"]["counts"] == {"acoustic": {"acoustic_02": 1}}
  assert read["test0[1.5-3]"]["acoustic"][-1, 2] == 0
  assert manifest["source"] == "pickle"
  assert manifest["layout"].startswith("MulT, aligned")
  assert manifest["counts"]["by_split"] == {
    "test": 2,
    "train": 4,
    "validation": 3,
  }


def test_scores_become_classes_at_the_bins(tmp_path):
  content = drawn_pickles.mult()
  content["train"]["labels"][:, 0, 0] = [-3, 0, 1e-6, 3]
  path = save(tmp_path, content)
  corpus = build(path)
  assert corpus.emotions == ("negative", "neutral", "positive")
  classes = [examples(corpus)[f"train{i}[1.5-3]"].labels for i in range(4)]
  np.testing.assert_array_equal(classes, np.eye(3)[[0, 1, 2, 2]])
  corpus = build(path, sentiment_bins="-3,0.5")
  assert corpus.options["sentiment_bins"] == [-3.0, 0.5]
  classes = [examples(corpus)[f"train{i}[1.5-3]"].labels for i in range(4)]
  np.testing.assert_array_equal(classes, np.eye(3)[[1, 1, 1, 2]])


def test_the_larger_of_no_and_yes_counts(tmp_path):
  content = drawn_pickles.mult_iemocap()
  corpus = build(save(tmp_path, content))
  assert corpus.emotions == ("neutral", "happy", "sad", "angry")
  assert corpus.label_type == "single"
  for example, (split, row, members) in zip(
    corpus.examples(), rows_of(content), strict=True
  ):
    # Without ids: as other layouts without them.
    assert example.id == f"{SPLITS[split]}/{row:06d}"
    expected = [float(yes > no) for no, yes in members["labels"]]
    np.testing.assert_array_equal(example.labels, expected)
  # Two at once, and none.
  content["valid"]["labels"][0] = [[0, 1], [0, 1], [1, 0], [1, 0]]
  content["valid"]["labels"][1] = [[1, 0]] * 4
  corpus = build(save(tmp_path, content))
  assert corpus.label_type == "multi"
  labels = examples(corpus)["validation/000000"].labels
  np.testing.assert_array_equal(labels, [1, 1, 0, 0])


def test_ids_may_be_bytes_or_single(tmp_path):
  content = drawn_pickles.mult()
  for part in content.values():
    part["id"] = np.char.encode(part["id"])
  assert "test1[1.5-3]" in examples(build(save(tmp_path, content)))
  for split, part in content.items():
    part["id"] = [f"{split}[{i}]" for i in range(len(part["text"]))]
  found = examples(build(save(tmp_path, content)))
  assert found["valid[2]"].dialogue == "valid"


def test_ids_that_stand_twice_are_named_and_told_apart(tmp_path):
  content = drawn_pickles.mult()
  content["test"]["id"] = [content["train"]["id"][2], ("test1", "1.5", "3")]
  content["valid"]["id"][1] = content["valid"]["id"][0]
  corpus = build(save(tmp_path, content))
  assert corpus.notes == (
    "2 ids stand more than once ('train2[1.5-3]', 'valid0[1.5-3]'), 1 of them"
    " in several splits; those utterances are named by split and id",
  )
  assert list(examples(corpus)) == [
    *("train0[1.5-3]", "train1[1.5-3]", "train/train2[1.5-3]", "train3[1.5-3]"),
    *("validation/valid0[1.5-3]", "validation/valid0[1.5-3]#2"),
    *("valid2[1.5-3]", "test/train2[1.5-3]", "test1[1.5-3]"),
  ]


def test_what_stands_behind_the_mask_of_bert_is_no_data(tmp_path):
  content = drawn_pickles.mmsa()
  corpus = build(save(tmp_path, content))
  assert corpus.layout.startswith("MMSA, aligned")
  behind = 0
  for example, (_, row, members) in zip(
    corpus.examples(), rows_of(content), strict=True
  ):
    assert example.dialogue == example.id.partition("$_$")[0]
    assert example.id == members["id"]
    mask = members["text_bert"][1]
    real = [t for t in range(6) if mask[t] == 1]
    behind += 6 - len(real)
    # The mask begins at the first row, so that nothing is removed at the left.
    np.testing.assert_array_equal(
      example.streams["lexical"][real], members["text"][real], str(row)
    )
    assert not np.delete(example.streams["lexical"], real, axis=0).any()
    np.testing.assert_array_equal(example.streams["acoustic"], members["audio"])
  what = "of text outside of BERT's mask, not zeros, left out"
  assert corpus.tally[what] == behind > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_lengths_say_what_is_real(tmp_path, side):
  content = drawn_pickles.mmsa(aligned=False)
  # A row of zeros inside of the length is real.
  content["train"]["audio_lengths"][0] = 5
  content["train"]["audio"][0] = [[0] * 4] + [[1, 2, 3, i] for i in range(8)]
  content["train"]["audio"][0, 5:] = 0
  if side == "left":
    for part in content.values():
      for name in ("audio", "vision"):
        for row, length in enumerate(part[f"{name}_lengths"]):
          frames = part[name][row]
          part[name][row] = np.roll(frames, len(frames) - length, axis=0)
  corpus = build(save(tmp_path, content))
  assert corpus.layout.startswith("MMSA, unaligned")
  for example, (_, _, members) in zip(
    corpus.examples(), rows_of(content), strict=True
  ):
    for name in ("audio", "vision"):
      length, frames = members[f"{name}_lengths"], members[name]
      expected = frames[:length]
      if side == "left":
        expected = frames[len(frames) - length :]
      np.testing.assert_array_equal(example.streams[STREAMS[name]], expected)
    mask = members["text_bert"][1].astype(bool)
    np.testing.assert_array_equal(
      example.streams["lexical"], members["text"][mask]
    )
  assert {m.padding for m in corpus.modalities.values()} == {"none"}


def test_zeros_as_long_as_they_say_are_an_absent_stream(tmp_path):
  content = drawn_pickles.mmsa(aligned=False)
  content["test"]["vision"][1] = 0
  content["train"]["vision_lengths"][0] = 0
  found = examples(build(save(tmp_path, content)))
  for name in ("test0$_$1", "train0$_$0"):
    assert set(found[name].streams) == {"lexical", "acoustic"}


def test_rows_that_contradict_a_length_are_counted(tmp_path):
  content = drawn_pickles.mmsa(aligned=False)
  content["test"]["audio"][0] = 1
  content["test"]["audio_lengths"] = [7, 99]
  corpus = build(save(tmp_path, content))
  found = examples(corpus)
  assert len(found["test0$_$0"].streams["acoustic"]) == 7
  assert len(found["test0$_$1"].streams["acoustic"]) == 9
  assert corpus.tally[padding.BEYOND.format("acoustic")] == 2
  assert corpus.tally[padding.MISSING.format("acoustic")] == 90


def test_transcripts_are_embedded_when_asked_for(tmp_path, word_vectors):
  path = save(tmp_path, drawn_pickles.mmsa())
  corpus = build(path, word_vectors)
  assert corpus.modalities["lexical"].dim == 5 and not corpus.has_words
  assert corpus.vectors.words == ("", "", "")
  corpus = build(path, word_vectors, "words")
  example = examples(corpus)["valid0$_$1"]
  assert example.words == ["i", "am", "happy"]
  np.testing.assert_array_equal(example.streams["lexical"], np.eye(3))
  assert corpus.modalities["lexical"].padding == "none"
  assert "rows of their own" in corpus.notes[0]
  with pytest.raises(UserError, match="needs --word_vectors"):
    build(path, None, "words")
  path = save(tmp_path, drawn_pickles.mult())
  with pytest.raises(UserError, match="holds no transcripts"):
    build(path, word_vectors, "words")


def test_members_that_are_not_read_are_named(tmp_path):
  content = drawn_pickles.mult()
  content["valid"]["extra"] = 1
  corpus = build(save(tmp_path, content))
  assert corpus.notes == ("member 'extra' is not read",)


def broken(change):
  """A file of MulT with a mistake in it."""
  content = drawn_pickles.mmsa(aligned=False)
  change(content["valid"])
  return content


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda p: p.pop("regression_labels"), "valid has .* no regression_labels"),
    (lambda p: p.update(audio=p["audio"][:2]), "valid/audio has 2 rows"),
    (lambda p: p.update(audio=p["audio"][..., 0]), r"shape \(3, 9\), expected"),
    (lambda p: p.update(audio=p["audio"][..., :2]), "2 features and train 4"),
    (lambda p: p.update(audio=["a", "b", "c"]), "is a list of 3, expected an"),
    (lambda p: p.update(text_bert=np.ones((3, 2, 6))), r"expected \(3, 3, 6\)"),
    (lambda p: p.update(audio_lengths=[1, 2]), "has 2 lengths, expected 3"),
    (lambda p: p.update(audio_lengths=[1, 2, -1]), "length of acoustic is -1"),
    (lambda p: p.update(audio_lengths=[1, 2, np.nan]), "acoustic is nan"),
    (lambda p: p.update(id=["a"]), "expected 3 ids"),
    (lambda p: p.update(id=[None] * 3), "id row 0 is a NoneType, expected tex"),
    (lambda p: p.update(raw_text=["a"]), "raw_text has 1 rows, expected 3"),
    (
      lambda p: p.update(regression_labels=np.array([1, np.nan, 2])),
      "1 labels are not finite",
    ),
    (
      lambda p: p.update(regression_labels=np.array([1, 7.0, 2])),
      "scores from .* to 7; give --sentiment_bins",
    ),
    (
      lambda p: [p.pop(name) for name in ("text", "audio", "vision")],
      "none of text, audio, vision",
    ),
    (lambda p: p.update(language=p["text"]), "text and language, both lexical"),
  ],
)
def test_a_mistake_is_one_line(tmp_path, change, message):
  path = save(tmp_path, broken(change))
  with pytest.raises(UserError, match=message) as raised:
    list(build(path).examples())
  assert "\n" not in str(raised.value) and "drawn.pkl" in str(raised.value)


@pytest.mark.parametrize(
  ("content", "changes", "message"),
  [
    ("MulT", {"labels": "emotions"}, "holds sentiment alone"),
    ("MulT", {"positive_above": 1.0}, "cuts label columns"),
    ("MulT", {"sentiment_bins": "1"}, "expected LOW,HIGH"),
    ("MulT", {"label_type": "multi"}, "one class for an utterance"),
    ("MulT", {"emotions": ("a", "b")}, "--emotions names 2, .* has 3"),
    ("MulT, IEMOCAP", {"labels": "sentiment"}, "holds emotions alone"),
    ("MulT, IEMOCAP", {"sentiment_bins": "0,0"}, "is read for its classes"),
    ("MulT, IEMOCAP", {"emotions": ("a", "b")}, "--emotions names 2"),
  ],
)
def test_a_flag_that_does_not_fit_is_refused(
  tmp_path, content, changes, message
):
  path = save(tmp_path, drawn_pickles.FAMILIES[content]())
  with pytest.raises(UserError, match=message):
    build(path, **changes)


def test_classes_of_mmsa_need_names(tmp_path):
  content = drawn_pickles.mmsa()
  for part in content.values():
    del part["regression_labels"]
  path = save(tmp_path, content)
  with pytest.raises(UserError, match="does not name; give --emotions"):
    build(path)
  corpus = build(path, emotions=("bad", "so", "good"))
  for example, (_, _, members) in zip(
    corpus.examples(), rows_of(content), strict=True
  ):
    expected = np.eye(3)[int(members["classification_labels"])]
    np.testing.assert_array_equal(example.labels, expected)


@pytest.mark.parametrize(
  ("name", "layout"),
  [
    ("mosi_data.pkl", "MulT, aligned"),
    ("mosei_senti_data.pkl", "MulT, aligned"),
    ("mosei_senti_data_noalign.pkl", "MulT, unaligned"),
    ("iemocap_data.pkl", "MulT, aligned"),
    ("aligned_50.pkl", "MMSA, aligned"),
    ("unaligned_50.pkl", "MMSA, unaligned"),
  ],
)
def test_the_drawn_files_come_back_row_by_row(data_dir, name, layout):
  path = data_dir / "layouts" / name
  content = pickle.loads(path.read_bytes())
  corpus = build(path)
  assert corpus.layout.startswith(layout)
  found = list(corpus.examples())
  assert [e.split for e in found] == [
    *["train"] * 6,
    *["validation"] * 3,
    *["test"] * 3,
  ]
  for example, (_, _, members) in zip(found, rows_of(content), strict=True):
    for member, modality in STREAMS.items():
      frames, stream = members[member], example.streams[modality]
      if f"{member}_lengths" in members:
        length = members[f"{member}_lengths"]
        expected = frames[len(frames) - length :]
        np.testing.assert_array_equal(stream, expected)
        continue
      if member == "text" and "text_bert" in members:
        frames = frames[members["text_bert"][1] > 0]
      np.testing.assert_array_equal(
        stream[stream.any(axis=1)], np.array(by_loop(frames), np.float32)
      )
    if name == "iemocap_data.pkl":
      np.testing.assert_array_equal(
        example.labels, members["labels"].argmax(axis=-1)
      )
    else:
      label = members.get("labels", members.get("regression_labels"))
      score = float(np.ravel(label)[0])
      expected = np.eye(3)[1 if score == 0 else 0 if score < 0 else 2]
      np.testing.assert_array_equal(example.labels, expected)
