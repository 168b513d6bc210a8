"""Ratings from a corpus through shards into what a config reads."""

import dataclasses
import json

import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.readers import compare, describe_shards, describe_tables
from data_prep.writing import closing, spill
from mmer_jax.base.errors import UserError
from mmer_jax.data import corpus as data_corpus
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards, tables, unlabelled
from tests.data_prep.conftest import make_corpus, make_example

SCALES = (
  corpus_lib.Rating("sentiment", -3.0, 3.0),
  corpus_lib.Rating("arousal", 1.0, 5.0),
)
NAN = float("nan")
# By row; None for an utterance that nobody rated.
VALUES = ([-3.0, 5.0], [0.1, NAN], [NAN, 2.5], None, [1.4, 1.0])


def _examples(values=VALUES, **changes):
  return [
    make_example(
      str(number),
      acoustic=[[number, 1.5], [2.0, -number]],
      visual=[[1.0, number, 3.0]],
      label=number % 2,
      split=("train", "test")[number % 2],
      ratings=None if row is None else np.array(row),
      **changes,
    )
    for number, row in enumerate(values)
  ]


@pytest.fixture
def rated(write_corpus, tmp_path):
  manifest, examples = write_corpus(make_corpus(_examples(), ratings=SCALES))
  return tmp_path / "shards", manifest, examples


def _load(folder, **changes):
  settings = {
    "modalities": ("acoustic",),
    "emotions": (),
    "max_length": {"acoustic": 0},
    "resident": True,
    "decision": "softmax",
    "without_emotion": "negative",
  }
  return data_corpus.load_corpus(str(folder), **{**settings, **changes})


def test_ratings_come_back_as_they_were(rated):
  _, manifest, examples = rated
  assert manifest["ratings"] == [
    {"name": "sentiment", "low": -3.0, "high": 3.0},
    {"name": "arousal", "low": 1.0, "high": 5.0},
  ]
  for number, row in enumerate(VALUES):
    got = examples[str(number)]["ratings"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.float32(row or [NAN, NAN]))


def test_a_manifest_describes_the_values_of_each_rating(rated):
  counts = rated[1]["counts"]["ratings"]
  # (-3 + 0.1 + 1.4) / 3 of the values as float32 has them.
  assert counts["sentiment"]["mean"] == pytest.approx(-0.5, abs=1e-7)
  assert counts["arousal"] == {"count": 3, "mean": 8.5 / 3, "min": 1, "max": 5}
  del counts["sentiment"]["mean"]
  assert counts["sentiment"] == {
    "count": 3,
    "min": -3.0,
    "max": float(np.float32(1.4)),
  }


def test_a_config_reads_ratings_in_the_order_of_its_rows(rated):
  corpus = _load(rated[0])
  assert corpus.rating_names == ("sentiment", "arousal")
  assert corpus.rating_ranges == ((-3.0, 3.0), (1.0, 5.0))
  expected = [VALUES[int(name)] or [NAN, NAN] for name in corpus.columns["id"]]
  assert corpus.ratings.dtype == np.float32
  np.testing.assert_array_equal(corpus.ratings, np.float32(expected))
  streamed = _load(rated[0], resident=False)
  assert isinstance(streamed.table, tables.StreamingTable)
  np.testing.assert_array_equal(streamed.ratings, corpus.ratings)


def test_rows_behind_a_corpus_are_not_rated(rated):
  corpus = _load(rated[0])
  joined = unlabelled.join(corpus, corpus, resident=True)
  np.testing.assert_array_equal(joined.ratings[:5], corpus.ratings)
  assert np.isnan(joined.ratings[5:]).all() and len(joined.ratings) == 10
  assert joined.ratings.dtype == np.float32
  without = corpus._replace(ratings=None, rating_names=(), rating_ranges=())
  assert unlabelled.join(without, corpus, resident=True).ratings is None


def test_a_corpus_without_ratings_stays_as_it_was(write_corpus, tmp_path):
  examples = [
    dataclasses.replace(example, ratings=None) for example in _examples()
  ]
  manifest, read = write_corpus(make_corpus(examples))
  # Computed by the converter before there were ratings.
  assert manifest["fingerprint"][:16] == "8e60ea948c0627b2"
  assert "ratings" not in manifest and "ratings" not in manifest["counts"]
  assert "ratings" not in manifest["content"]
  assert all("ratings" not in example for example in read.values())
  features = json.loads((tmp_path / "shards/features.json").read_text())
  assert "ratings" not in features["featuresDict"]["features"]
  corpus = _load(tmp_path / "shards")
  assert corpus.rating_names == () and corpus.rating_ranges == ()
  assert corpus.ratings is None


@pytest.mark.parametrize(
  ("scales", "values"),
  [
    (SCALES, ([-3.0, 5.0], [0.2, NAN], [NAN, 2.5], None, [1.4, 1.0])),
    (SCALES, ([-3.0, 5.0], [0.1, 3.0], [NAN, 2.5], None, [1.4, 1.0])),
    ((SCALES[0]._replace(name="polarity"), SCALES[1]), VALUES),
    ((SCALES[0]._replace(high=4.0), SCALES[1]), VALUES),
  ],
)
def test_a_fingerprint_covers_ratings(rated, write_corpus, scales, values):
  changed = make_corpus(_examples(values), ratings=scales)
  manifest, _ = write_corpus(changed, name="changed")
  assert manifest["fingerprint"] != rated[1]["fingerprint"]


def test_every_nan_is_the_same(rated, write_corpus):
  # Signalling, negative: other bits, the same meaning.
  odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64)
  examples = _examples()
  examples[3].ratings = odd.view(np.float64)
  manifest, _ = write_corpus(make_corpus(examples, ratings=SCALES), name="odd")
  assert manifest["fingerprint"] == rated[1]["fingerprint"]


@pytest.mark.parametrize(
  ("row", "message"),
  [
    ([3.5, 1.0], "line 1: rating sentiment is 3.5, expected -3 to 3; correct"),
    ([0.0, 0.99], "line 1: rating arousal is 0.99, expected 1 to 5"),
    ([np.inf, 1.0], "line 1: rating sentiment is inf, expected -3 to 3"),
    ([1e60, 1.0], "line 1: rating sentiment is inf, expected -3 to 3"),
  ],
)
def test_a_value_off_its_scale_is_refused(write_corpus, row, message):
  examples = _examples(([1.0, 1.0], row))
  with pytest.raises(UserError, match=message):
    write_corpus(make_corpus(examples, ratings=SCALES))


def test_the_end_of_a_scale_is_on_it(write_corpus):
  # float32 rounds 0.7 down and 1.1 up.
  scale = corpus_lib.Rating("share", 0.7, 1.1)
  assert float(np.float32(0.7)) < 0.7 and float(np.float32(1.1)) > 1.1
  examples = _examples(([0.7], [1.1]))
  _, read = write_corpus(make_corpus(examples, ratings=(scale,)))
  assert [read[n]["ratings"].item() for n in "01"] == [
    np.float32(0.7),
    np.float32(1.1),
  ]


def test_processes_and_files_carry_ratings(rated, write_corpus, tmp_path):
  spill.save(tmp_path / "spilled.npz", _examples())
  for got, expected in zip(
    spill.load(tmp_path / "spilled.npz"), _examples(), strict=True
  ):
    if expected.ratings is None:
      assert got.ratings is None
    else:
      np.testing.assert_array_equal(got.ratings, expected.ratings)
  manifest, _ = write_corpus(
    make_corpus(_examples(), ratings=SCALES), name="two", nonfinite="clip"
  )
  clipped = {**rated[1]["content"]}
  assert manifest["content"] == clipped


def test_a_record_off_its_scale_is_damaged(rated):
  folder, manifest, _ = rated
  manifest = {
    **manifest,
    "ratings": [
      {**manifest["ratings"][0], "high": 1.0},
      manifest["ratings"][1],
    ],
  }
  signed = manifest_lib.sign({k: v for k, v in manifest.items()})
  (folder / "manifest.json").write_text(json.dumps(signed))
  with pytest.raises(UserError, match="expected sentiment -3 to 1, arousal"):
    list(shards.read_examples(folder))


def test_people_see_the_ratings(rated, tmp_path):
  folder, manifest, _ = rated
  description = describe_shards.describe_shards(folder)
  table = describe_tables.tables_of(description)[3]
  assert table.title == "ratings"
  assert [list(column.cells) for column in table.columns] == [
    ["sentiment", "arousal"],
    ["-3 to 3", "1 to 5"],
    ["3 of 5", "3 of 5"],
    ["-0.5", "2.833"],
    ["-3 to 1.4", "1 to 5"],
  ]
  line = closing.summarise(folder, make_corpus([]), manifest)
  assert "; sentiment of 3 utterances; arousal of 3 utterances" in line
  facts = {fact["what"]: fact["a"] for fact in compare.compare(folder, folder)}
  assert facts["sentiment scale"] == "-3 to 3"
  assert facts["arousal rated"] == "3"
