"""Rows described by a spec."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from data_prep.corpus import text
from data_prep.features import text_features
from data_prep.sources import utterances
from data_prep.specs import ami, iemocap, meld
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_spec

ROWS = [
  {"id": "1", "text": "I am happy", "emotion": "hap", "mfcc": [1, 2]},
  {"id": "2", "text": "I don't zzz", "emotion": "sad", "mfcc": [3, 4]},
  {"id": "3", "text": "zzz", "emotion": "xxx", "mfcc": [5, 6]},
  {"id": "4", "text": "sad", "emotion": "exc", "mfcc": [7, 8]},
]


@pytest.fixture
def jsonl(tmp_path):
  def writer(rows=ROWS):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path

  return writer


def build(spec, path, vectors, oov, positive_above=None):
  choice = text_features.Choice(vectors, oov)
  return utterances.build(spec, path, choice, positive_above)


def examples(corpus):
  return {example.id: example for example in corpus.examples()}


def test_text_and_features_become_streams(jsonl, word_vectors):
  corpus = build(make_spec(), jsonl(), word_vectors, "skip")
  found = examples(corpus)
  assert list(corpus.modalities) == ["lexical", "acoustic"]
  assert found["1"].words == ["i", "am", "happy"]
  assert found["1"].streams["lexical"].tolist() == [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ]
  assert found["2"].words == ["i", "do", "n't"]
  assert found["1"].streams["acoustic"].tolist() == [[1, 2]]
  assert found["1"].labels.tolist() == found["4"].labels.tolist() == [1, 0]
  assert found["2"].labels.tolist() == [0, 1]
  assert found["3"].labels is None
  assert corpus.vectors.words == ("happy", "sad")
  assert corpus.modalities["acoustic"].columns == ("mfcc_00", "mfcc_01")


def test_a_text_without_vectors_is_an_absent_modality(
  jsonl, word_vectors, write_corpus
):
  corpus = build(make_spec(), jsonl(), word_vectors, "skip")
  manifest, read = write_corpus(corpus, "skip")
  assert read["3"]["lexical"].shape == (0, 3)
  assert len(read["3"]["words"]) == 0
  assert manifest["counts"]["present"] == {"lexical": 3, "acoustic": 4}
  assert manifest["text"] == {
    "tokeniser": text.TOKENISER,
    "oov_policy": "skip",
    "tokens": 9,
    "oov_tokens": 2,
    "oov_types": 1,
    "emotions_without_vector": [],
  }
  corpus = build(make_spec(), jsonl(), word_vectors, "zero")
  manifest, read = write_corpus(corpus, "zero")
  assert read["3"]["lexical"].tolist() == [[0, 0, 0]]
  assert manifest["counts"]["present"]["lexical"] == 4
  assert manifest["text"]["oov_policy"] == "zero"


def test_silence_is_left_out_and_a_long_text_is_cropped(jsonl, word_vectors):
  long = " , ".join(f"w{i}" for i in range(40))
  rows = [
    {"id": "1", "text": "{vocalsound} um ...", "emotion": "hap"},
    {"id": "2", "text": "I am happy .", "emotion": "hap"},
    *({"id": f"a{i}", "text": long, "emotion": "sad"} for i in range(30)),
  ]
  spec = make_spec(
    features=ConfigDict(), crop=ConfigDict({"min_words": 3, "max_words": 5})
  )
  corpus = build(spec, jsonl(rows), word_vectors, "zero")
  assert corpus.total is None
  found = examples(corpus)
  assert list(found) == ["2", *(f"a{i}" for i in range(30))]
  assert found["2"].words == ["i", "am", "happy", "."]
  firsts = set()
  for name, example in found.items():
    if name == "2":
      continue
    words = [word for word in example.words if word != ","]
    first = int(words[0][1:])
    assert words == [f"w{i}" for i in range(first, first + 5)]
    assert len(example.words) == 9
    firsts.add(first)
  # Anywhere in the text, its ends included, and the same the next time.
  assert min(firsts) == 0 and max(firsts) == 35 and len(firsts) > 10
  again = examples(corpus)
  assert {n: e.words for n, e in again.items()} == {
    n: e.words for n, e in found.items()
  }
  assert corpus.text["tokens"] == sum(len(e.words) for e in found.values())


def test_one_corpus_in_three_kinds_of_file_is_one_corpus(tmp_path, jsonl):
  np.savez(
    tmp_path / "rows.npz",
    id=[row["id"] for row in ROWS],
    emotion=[row["emotion"] for row in ROWS],
    mfcc=np.array([row["mfcc"] for row in ROWS], np.float32),
  )
  lines = ["id,emotion,mfcc_1,mfcc_2"]
  lines += ["{id},{emotion},{mfcc[0]},{mfcc[1]}".format(**row) for row in ROWS]
  (tmp_path / "rows.csv").write_text("\n".join(lines))
  prefix = {
    "acoustic": {"columns": ("mfcc_*",), "names": (), "padding": "none"}
  }
  built = [
    build(make_spec(text="", **changes), path, None, "skip")
    for path, changes in (
      (jsonl(), {}),
      (tmp_path / "rows.npz", {}),
      (tmp_path / "rows.csv", {"features": prefix}),
    )
  ]
  assert built[2].modalities["acoustic"].columns == ("mfcc_1", "mfcc_2")
  expected = examples(built[0])
  for corpus in built[1:]:
    found = examples(corpus)
    assert list(found) == list(expected)
    for name, example in found.items():
      np.testing.assert_array_equal(
        example.streams["acoustic"], expected[name].streams["acoustic"]
      )
      np.testing.assert_array_equal(example.labels, expected[name].labels)


def test_a_column_may_hold_frames_or_nothing(jsonl, write_corpus):
  rows = [
    {"id": "1", "emotion": "hap", "mfcc": [[1, 2], [3, 4], [5, 6]]},
    {"id": "2", "emotion": "sad", "mfcc": None},
    {"id": "3", "emotion": "sad", "mfcc": []},
  ]
  corpus = build(make_spec(text=""), jsonl(rows), None, "skip")
  manifest, read = write_corpus(corpus)
  assert read["1"]["acoustic"].shape == (3, 2)
  assert read["2"]["acoustic"].shape == read["3"]["acoustic"].shape == (0, 2)
  assert manifest["counts"]["present"] == {"acoustic": 1}


def test_several_labels_come_from_columns_of_their_own(tmp_path):
  path = tmp_path / "rows.csv"
  path.write_text("id,h,s,x\n1,0.33,0,1\n2,2,1,1\n3,,,1\n4,0,0,1\n")
  spec = make_spec(
    text="",
    label="",
    label_values=(),
    label_type="multi",
    label_columns=(("happy", "h"), ("sad", "s")),
    features={"visual": {"columns": ("x",), "names": (), "padding": "none"}},
  )
  found = examples(build(spec, path, None, "skip"))
  assert found["1"].labels.tolist() == [1, 0]
  assert found["2"].labels.tolist() == [1, 1]
  assert found["3"].labels is None
  assert found["4"].labels.tolist() == [0, 0]
  path.write_text("id,h,s,x\n1,,0,1\n")
  with pytest.raises(UserError, match="line 2: label column of 'happy' is emp"):
    examples(build(spec, path, None, "skip"))


def test_files_may_be_splits(tmp_path, word_vectors, write_corpus):
  for name in ("a", "b"):
    (tmp_path / f"{name}.csv").write_text("n,text,emotion\n0,sad,sad\n")
  spec = make_spec(
    files=(("one", "a.csv"), ("two", "b.csv")),
    id="{file}/{n}",
    split="{file}",
    split_values=(("one", "train"), ("two", "test")),
    features={},
  )
  corpus = build(spec, tmp_path, word_vectors, "skip")
  manifest, read = write_corpus(corpus)
  assert {key: e["split"] for key, e in read.items()} == {
    "one/0": "train",
    "two/0": "test",
  }
  assert manifest["counts"]["by_split"] == {"train": 1, "test": 1}


def changed(index, **changes):
  rows = [dict(row) for row in ROWS]
  rows[index].update(changes)
  return rows


@pytest.mark.parametrize(
  ("rows", "message"),
  [
    (
      changed(2, emotion="bored"),
      "rows.jsonl line 3: label 'bored' from {emotion} is neither in"
      r" spec.label_values \(hap, exc, sad\)",
    ),
    (changed(3, mfcc=[1, 2, 3]), r"line 4, column 'mfcc': .* shape \(1, 3\)"),
    (changed(1, mfcc=["a"]), "line 2: column 'mfcc' holds .*expected numbers"),
    (changed(1, mfcc=[[[1]]]), r"line 2: column 'mfcc' of acoustic has shape"),
    ([{"id": "1"}], "rows.jsonl line 1: no column 'text'; it has id"),
    ([{**ROWS[0], "mfcc": None}], "no row has acoustic features"),
  ],
)
def test_a_bad_row_is_named(jsonl, word_vectors, rows, message):
  with pytest.raises(UserError, match=message):
    examples(build(make_spec(), jsonl(rows), word_vectors, "skip"))


def test_a_missing_column_is_named_with_those_there_are(tmp_path, word_vectors):
  path = tmp_path / "rows.csv"
  path.write_text("id,Text,emotion,mfcc\n1,a,hap,1\n")
  with pytest.raises(UserError, match="rows.csv: no column 'text'; it has id,"):
    build(make_spec(), path, word_vectors, "skip")


def test_an_unmapped_split_is_named(jsonl):
  spec = make_spec(text="", split="{emotion}", split_values=(("hap", "train"),))
  with pytest.raises(UserError, match="line 2: split 'sad' from {emotion} is"):
    examples(build(spec, jsonl(), None, "skip"))


def test_text_needs_word_vectors(jsonl):
  with pytest.raises(UserError, match="give --word_vectors=FILE"):
    build(make_spec(), jsonl(), None, "skip")


GLOVE = "glove/glove.twitter.27B.25d.subset.txt"


def build_iemocap(data_dir, variant, with_text=False):
  """The real rows; their text takes most of the time and is one for all."""
  spec = iemocap.get_config(variant).unlock()
  if not with_text:
    spec.text = ""
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  return build(spec, path, data_dir / GLOVE if with_text else None, "skip")


# Counts of the real corpora: /data/README.md of the collection.
@pytest.mark.parametrize(
  ("variant", "labelled", "by_emotion"),
  [
    ("4", 5531, {"happy": 1636, "angry": 1103, "sad": 1084, "neutral": 1708}),
    (
      "6",
      7380,
      {"happy": 595, "excited": 1041, "frustrated": 1849, "neutral": 1708},
    ),
    ("all", 7529, {"surprised": 107, "fear": 40, "disgust": 2, "sad": 1084}),
  ],
)
def test_iemocap_has_its_published_counts(
  data_dir, write_corpus, variant, labelled, by_emotion
):
  corpus = build_iemocap(data_dir, variant, with_text=variant == "all")
  counts = {"labelled": 0, "speakers": set(), "sessions": set(), "n": 0}
  labels = 0
  for example in corpus.examples():
    counts["n"] += 1
    counts["labelled"] += example.labels is not None
    counts["speakers"].add(example.speaker)
    counts["sessions"].add(example.session)
    assert example.split == ""
    assert example.streams["acoustic"].shape == (1, 47)
    if variant == "all":
      assert len(example.words) == len(example.streams["lexical"])
    labels = labels + (0 if example.labels is None else example.labels)
  assert counts["n"] == 10039
  assert counts["labelled"] == labelled
  assert len(counts["speakers"]) == 10
  assert counts["sessions"] == {"1", "2", "3", "4", "5"}
  found = dict(zip(corpus.emotions, labels.astype(int).tolist(), strict=True))
  assert by_emotion.items() <= found.items()
  if variant == "all":
    assert corpus.text["emotions_without_vector"] == ["frustrated", "disgust"]
    assert dict(zip(corpus.emotions, corpus.vectors.words, strict=True)) == {
      "neutral": "neutral",
      "happy": "happy",
      "sad": "sad",
      "angry": "angry",
      "excited": "exciting",
      "frustrated": "",
      "surprised": "surprising",
      "fear": "fear",
      "disgust": "",
    }


def test_meld_has_its_published_splits(data_dir):
  corpus = build(meld.get_config(), data_dir / "meld", data_dir / GLOVE, "skip")
  splits = {"train": 0, "validation": 0, "test": 0}
  ids = set()
  for example in corpus.examples():
    splits[example.split] += 1
    ids.add(example.id)
    assert example.labels.sum() == 1
  assert splits == {"train": 9989, "validation": 1109, "test": 2610}
  assert len(ids) == 13708


def test_ami_is_unlabelled_speech(data_dir):
  corpus = build(
    ami.get_config(),
    data_dir / "ami" / "ami_turns.csv.gz",
    data_dir / GLOVE,
    "skip",
  )
  first = next(corpus.examples())
  assert first.labels is None
  assert first.session == "ES2002a"
  assert first.speaker == "ES2002a Project Manager"
  assert "vocalsound" not in first.words


def scalars(*columns):
  entry = {"columns": columns, "names": (), "padding": "none"}
  return make_spec(features={"acoustic": entry})


def test_a_blank_row_of_features_is_absent_and_a_blank_cell_is_counted(
  jsonl, word_vectors, write_corpus
):
  cells = [(1, 2), (None, None), ("", ""), (3, None)]
  rows = [
    {"id": str(i), "text": "sad", "emotion": "sad", "a": a, "b": b}
    for i, (a, b) in enumerate(cells)
  ]
  corpus = build(scalars("a", "b"), jsonl(rows), word_vectors, "skip")
  manifest, read = write_corpus(corpus)
  assert manifest["counts"]["present"]["acoustic"] == 2
  assert manifest["nonfinite"]["counts"] == {"acoustic": {"b": 1}}
  assert read["1"]["acoustic"].shape == read["2"]["acoustic"].shape == (0, 2)
  assert read["3"]["acoustic"].tolist() == [[3, 0]]


def test_one_blank_vector_among_others_is_refused(jsonl, word_vectors):
  rows = [
    {"id": "1", "text": "", "emotion": "sad", "a": [1, 2], "b": [3]},
    {"id": "2", "text": "", "emotion": "sad", "a": [1, 2], "b": None},
  ]
  corpus = build(scalars("a", "b"), jsonl(rows), word_vectors, "skip")
  with pytest.raises(
    UserError, match="line 2: column 'b' of acoustic is empty"
  ):
    examples(corpus)


def test_numbers_are_labels_in_the_spec_and_in_the_table(jsonl, word_vectors):
  rows = [
    {**ROWS[0], "emotion": value, "id": str(i)}
    for i, value in enumerate([0, "1", 1.0, ""])
  ]
  spec = make_spec(label_values=((0, "happy"), (1, "sad")), unlabelled=("",))
  read = examples(build(spec, jsonl(rows), word_vectors, "skip"))
  labels = [None if e.labels is None else e.labels[1] for e in read.values()]
  assert labels == [0, 1, 1, None]


def test_scores_that_are_never_0_ask_for_a_threshold(jsonl, word_vectors):
  rows = [
    {**ROWS[0], "id": str(i), "h": i % 5 + 1, "s": (i + 2) % 5 + 1}
    for i in range(6)
  ]
  spec = make_spec(
    label="",
    label_values=(),
    label_type="multi",
    label_columns=(("happy", "h"), ("sad", "s")),
  )
  scores = (spec, jsonl(rows), word_vectors, "skip")
  with pytest.raises(UserError, match="'h' holds values from 1 to 5 and never"):
    examples(build(*scores))
  read = examples(build(*scores, positive_above=3))
  assert [e.labels.tolist() for e in read.values()][:3] == [
    [0, 0],
    [0, 1],
    [0, 1],
  ]
  plain = (make_spec(), jsonl(), word_vectors, "skip")
  with pytest.raises(UserError, match="--positive_above=3 cuts label columns"):
    build(*plain, positive_above=3)


def test_rows_are_chosen_by_a_pattern_and_the_others_counted(
  jsonl, word_vectors
):
  spec = make_spec(rows=(("{emotion}", "?a*"), ("{id}", "[12]")))
  corpus = build(spec, jsonl(), word_vectors, "skip")
  assert list(examples(corpus)) == ["1", "2"]
  assert corpus.tally == {"left out by spec.rows": 2}
  assert corpus.total is None


def test_improvised_and_scripted_dialogues_are_variants(data_dir):
  counts = {}
  for variant in ("4_improvised", "4_scripted"):
    corpus = build_iemocap(data_dir, variant)
    labelled = [e.labels is not None for e in corpus.examples()]
    counts[variant] = (len(labelled), sum(labelled))
  assert counts == {"4_improvised": (4784, 2943), "4_scripted": (5255, 2588)}


def short_spec(**keys):
  return ConfigDict({"text": "{text}", "label": "{emotion}", **keys})


def test_two_keys_are_a_spec(tmp_path, word_vectors):
  path = tmp_path / "My talks-2.csv"
  path.write_text(
    "ID,Speaker,Split,text,emotion\n"
    "a,x,Train,I am,zeal\nb,x,dev,happy,anger\nc,y,test,sad,\n"
  )
  corpus = build(short_spec(), path, word_vectors, "skip")
  found = examples(corpus)
  assert corpus.name == "my_talks_2"
  assert corpus.label_type == "single"
  # Every label that a row has, sorted; an empty one is none.
  assert corpus.emotions == ("anger", "zeal")
  labels = [
    None if e.labels is None else list(e.labels) for e in found.values()
  ]
  assert labels == [[0, 1], [1, 0], None]
  rows = [(e.id, e.speaker, e.session, e.split) for e in found.values()]
  assert rows == [
    ("a", "x", "", "train"),
    ("b", "x", "", "validation"),
    ("c", "y", "", "test"),
  ]
  # What was filled in stands in the manifest.
  assert corpus.options["spec"]["speaker"] == "{Speaker}"
  assert corpus.options["spec"]["emotion_words"] == [
    ["anger", ["anger", "angry"]],
    ["zeal", ["zeal"]],
  ]


def test_a_row_without_an_id_has_its_number(jsonl, tmp_path):
  rows = [{"e": "hap", "f_1": 1, "f_2": 2}, {"e": "sad", "f_1": 3, "f_2": 4}]
  spec = ConfigDict({"label": "{e}", "features": {"visual": ("f_*",)}})
  path = jsonl(rows)
  corpus = build(spec, path, None, "skip")
  assert list(examples(corpus)) == ["000000", "000001"]
  assert corpus.modalities["visual"].columns == ("f_1", "f_2")
  # A filter leaves the others their numbers; files keep theirs apart.
  spec.rows = (("{e}", "sad"),)
  spec.emotions = ("hap", "sad")
  assert list(examples(build(spec, path, None, "skip"))) == ["000001"]
  del spec.rows
  spec.files = (("train", path.name), ("dev", path.name))
  found = examples(build(spec, tmp_path, None, "skip"))
  assert {name: e.split for name, e in found.items()} == {
    "train_000000": "train",
    "train_000001": "train",
    "dev_000000": "validation",
    "dev_000001": "validation",
  }


def test_several_columns_of_labels_make_a_multi_label_spec(jsonl):
  rows = [
    {"id": "1", "h": 1, "s": 0, "x": 1},
    {"id": "2", "h": 0, "s": 1, "x": 2},
  ]
  spec = ConfigDict(
    {
      "label_columns": (("happy", "h"), ("sad", "s")),
      "features": {"visual": ("x",)},
    }
  )
  corpus = build(spec, jsonl(rows), None, "skip")
  assert (corpus.label_type, corpus.emotions) == ("multi", ("happy", "sad"))
  assert examples(corpus)["2"].labels.tolist() == [0, 1]


@pytest.mark.parametrize(
  ("keys", "message"),
  [
    ({"speaker": "{Id}"}, "no column 'Id'.* spec.speaker is '{Id}'.*mean 'id'"),
    ({"label": "{text}"}, "spec.label is '{text}', and that has more than 50"),
    ({"label": "{none}"}, "no column 'none'; .*; spec.label is '{none}'"),
    ({"label": "{blank}"}, "spec.label is '{blank}', and no row has one"),
    (
      {"emotions": ("happy", "sadness")},
      "line 2: label 'sad' .*; did you mean 'sadness'",
    ),
  ],
)
def test_what_a_default_cannot_find_is_named(
  tmp_path, word_vectors, keys, message
):
  path = tmp_path / "rows.csv"
  path.write_text(
    "id,text,emotion,blank\n"
    + "".join(f"{i},text {i},sad,\n" for i in range(60))
  )
  with pytest.raises(UserError, match=message):
    examples(build(short_spec(**keys), path, word_vectors, "skip"))
