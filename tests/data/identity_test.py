"""What the features of two corpora must have in common to mean the same."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import identity, word_vectors

WORDS = {"sad": np.ones(3), "glad": np.arange(3.0)}


def made(**changes):
  return {
    "columns": {"lexical": ["w0", "w1", "w2"], "acoustic": ["f0", "rms"]},
    "padding": {"lexical": "none", "acoustic": "none"},
    "frame_rate_hz": {"acoustic": 100.0},
    "normalisation": "none",
    "tokeniser": "letters",
    "oov": "zeros",
    "word_vectors_sha256": word_vectors.digest(WORDS),
    "word_vectors_sample": word_vectors.sample(WORDS),
    **changes,
  }


def check(got, expected, modalities=("lexical", "acoustic")):
  return identity.check(
    got, expected, modalities, where="the shards in d", fix="convert again"
  )


def test_the_same_features_need_no_order():
  assert check(made(), made()) == {}


def test_columns_are_put_in_order_by_name():
  columns = {"lexical": ["w2", "w0", "w1"], "acoustic": ["f0", "rms"]}
  got = made(columns=columns)
  orders = check(got, made())
  assert orders == {"lexical": [1, 2, 0]}
  values = np.asarray([["c", "a", "b"]])
  assert values[:, orders["lexical"]].tolist() == [["a", "b", "c"]]
  assert identity.in_order(got, orders) == made()
  manifest = {
    "modalities": {
      name: {"columns": names, "dim": len(names)}
      for name, names in columns.items()
    },
    "normalisation": {
      "lexical": {"mean": [2, 0, 1], "std": [5, 3, 4], "frames": 7},
      "acoustic": {"mean": [0, 1], "std": [1, 1], "frames": 7},
    },
  }
  ordered = identity.reorder(manifest, orders)
  assert ordered["modalities"]["lexical"]["columns"] == ["w0", "w1", "w2"]
  assert ordered["normalisation"]["lexical"] == {
    "mean": [0, 1, 2],
    "std": [3, 4, 5],
    "frames": 7,
  }
  assert ordered["normalisation"]["acoustic"]["mean"] == [0, 1]
  assert manifest["modalities"]["lexical"]["columns"] == ["w2", "w0", "w1"]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"columns": {"acoustic": ["f0", "zcr"]}},
      "the shards in d: acoustic column 2 is 'zcr', expected 'rms'",
    ),
    (
      {"columns": {"acoustic": ["rms"]}},
      r"acoustic columns lack 'f0' \(1 columns, expected 2\)",
    ),
    (
      {"columns": {"acoustic": ["f0", "rms", "zcr"]}},
      "acoustic columns have 'zcr', which is not expected",
    ),
    (
      {"padding": {"acoustic": "zero_rows"}},
      "acoustic features of padding zero_rows, expected none",
    ),
    (
      {"frame_rate_hz": {"acoustic": 50.0}},
      "acoustic features of frames/s 50.0, expected 100.0",
    ),
    ({"normalisation": "speaker"}, "normalisation speaker, expected none"),
    ({"tokeniser": "spaces"}, "tokeniser spaces, expected letters"),
    ({"oov": "random"}, "oov random, expected zeros"),
    (
      {
        "word_vectors_sha256": "0",
        "word_vectors_sample": word_vectors.sample({"glad": np.ones(3)}),
      },
      "other word vectors, the first word that differs is 'glad'",
    ),
  ],
)
def test_what_differs_is_one_line(changes, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    check(made(**changes), made())
  assert str(caught.value).endswith("; convert again")
  assert "\n" not in str(caught.value)


def test_an_encoder_is_compared_by_weights_layer_and_pooling():
  """Its shards have no vectors of words."""
  words = {"word_vectors_sha256": None, "word_vectors_sample": {}}
  encoded = made(text_encoder="sha256=1 layer=2 pooling=mean", **words)
  assert check(encoded, encoded) == {}
  other = made(text_encoder="sha256=1 layer=1 pooling=mean", **words)
  with pytest.raises(
    errors.UserError, match="text_encoder sha256=1 layer=1 .* expected .*=2"
  ):
    check(other, encoded)
  assert check(other, encoded, ("acoustic",)) == {}


def test_columns_of_one_name_have_no_order():
  columns = {"acoustic": ["f0", "f0", "rms"]}
  check(made(columns=columns), made(columns=columns))
  other = {"acoustic": ["rms", "f0", "f0"]}
  with pytest.raises(errors.UserError, match="two are named 'f0'"):
    check(made(columns=other), made(columns=columns))


def test_what_is_not_known_is_not_compared():
  """An older manifest, and words that only one corpus has."""
  old = {"columns": made()["columns"], "padding": made()["padding"]}
  assert check(old, made()) == {} == check(made(), old) == check(made(), {})
  other = {"angry": np.zeros(3)}
  words = made(
    word_vectors_sha256=word_vectors.digest(other),
    word_vectors_sample=word_vectors.sample(other),
  )
  assert check(words, made()) == {}


def test_text_is_compared_where_text_is_read():
  assert check(made(tokeniser="spaces"), made(), ("acoustic",)) == {}


def test_shards_without_an_identity_have_that_of_their_manifest(tmp_path):
  manifest = {
    "modalities": {
      "lexical": {"columns": ["w0"], "padding": "none", "dim": 1},
    },
    "text": {"tokeniser": "letters", "oov_policy": "zeros"},
    "identity": made(),
  }
  assert identity.of_shards(tmp_path, manifest) == made()
