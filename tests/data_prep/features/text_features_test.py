"""One object for the text of a corpus."""

import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from mmer_jax.base import errors


def example():
  return corpus_lib.Example(
    id="a", where="made", streams={"acoustic": np.ones((2, 3))}, labels=None
  )


def test_word_vectors_give_rows_words_and_the_words_numbers(word_vectors):
  choice = text_features.Choice(word_vectors)
  texts = ["I don't am", "happy, am"]
  found = text_features.open_text(choice, iter(texts), ("happy", "disgust"))
  assert found.modality.dim == 3
  assert found.modality.columns[0] == "vector_00"
  made = example()
  embedded = found.add(made, texts[0])
  assert made.words == embedded.words == ["i", "do", "n't", "am"]
  assert list(made.streams) == ["lexical", "acoustic"]
  np.testing.assert_array_equal(
    made.streams["lexical"], [[1, 0, 0], [2, 0, 0], [0, 2, 0], [0, 1, 0]]
  )
  np.testing.assert_array_equal(embedded.tokens, [0, 1, 1, 2])
  # The comma has no vector: it is left out, the numbers go on.
  embedded = found.embed(texts[1])
  np.testing.assert_array_equal(embedded.tokens, [0, 2])
  fields = found.corpus_fields()
  assert fields["has_words"] and fields["text"]["oov_tokens"] == 1
  assert fields["text"]["emotions_without_vector"] == ["disgust"]
  assert list(fields["word_vectors"]) == ["am", "do", "happy", "i", "n't"]
  assert fields["vectors"].words == ("happy", "")


def test_zeros_keep_the_place_of_a_word(word_vectors):
  choice = text_features.Choice(word_vectors, "zero")
  found = text_features.open_text(choice, ["happy, am"], ("happy",))
  embedded = found.embed("happy, am")
  assert embedded.words == ["happy", ",", "am"]
  np.testing.assert_array_equal(embedded.tokens, [0, 1, 2])
  assert not embedded.rows[1].any()


def test_without_a_choice_there_is_nothing():
  found = text_features.open_text(text_features.Choice(), ["i am"], ("happy",))
  assert found.modalities() == {}
  made = example()
  assert found.add(made, "i am") is None
  assert list(made.streams) == ["acoustic"] and made.words is None
  assert found.corpus_fields() == {
    "vectors": None,
    "text": None,
    "word_vectors": {},
    "has_words": False,
  }
  assert text_features.Choice().options() == {"word_vectors": None, "oov": None}


def test_a_corpus_without_text_has_vectors_of_its_emotions(word_vectors):
  choice = text_features.Choice(word_vectors)
  found = text_features.open_text(
    choice, None, ("joy", "sad"), {"joy": ("joyous", "happy"), "sad": ("sad",)}
  )
  assert found.modality is None and not found.has_words
  assert found.emotions.words == ("happy", "sad")
  np.testing.assert_array_equal(found.emotions.vectors, [[0, 0, 1], [1, 1, 0]])


def test_word_vectors_that_are_not_there_are_named(tmp_path):
  choice = text_features.Choice(tmp_path / "none.txt")
  with pytest.raises(errors.UserError, match="none.txt"):
    text_features.open_text(choice, ["i am"], ("happy",))
