"""Padding, its masks and the words of frames."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import padding
from tests.data.toy_table import manifest

RNG = np.random.default_rng(7)


def test_padding_masks_cuts_and_counts():
  pad = padding.Padding(
    manifest(), ("lexical",), {"lexical": 4, "acoustic": 0, "visual": 0}
  )
  frames = RNG.normal(size=(6, 3)).astype(np.float32)
  stream = pad(
    [
      {"lexical": frames[:2]},
      {"lexical": frames},
      {"lexical": frames[:0]},
    ]
  )["lexical"]
  assert stream.features.shape == (3, 4, 3)
  assert stream.mask.sum(axis=1).tolist() == [2, 4, 0]
  np.testing.assert_array_equal(stream.features[0, :2], frames[:2])
  np.testing.assert_array_equal(stream.features[0, 2:], 0)
  np.testing.assert_array_equal(stream.features[1], frames[:4])
  assert pad.truncated == {"lexical": 1}


def test_zero_rows_are_padding_only_where_the_manifest_says_so():
  frames = np.array([[0, 0], [1, 0], [0, 0], [0, 2]], np.float32)
  lengths = {"lexical": 0, "acoustic": 0, "visual": 0}
  plain = padding.Padding(manifest(), ("visual",), lengths)
  zeros = padding.Padding(manifest("zero_rows"), ("visual",), lengths)
  assert plain([{"visual": frames}])["visual"].mask[0].tolist() == (
    [True] * 4 + [False] * 2
  )
  assert zeros([{"visual": frames}])["visual"].mask[0].tolist() == (
    [False, True, False, True, False, False]
  )


def test_a_length_of_zero_is_the_longest_of_the_corpus():
  pad = padding.Padding(
    manifest(longest=6), ("visual",), {"visual": 0, "lexical": 0}
  )
  assert pad.lengths == {"visual": 6}
  with pytest.raises(errors.UserError, match="max_length.visual is -1"):
    padding.Padding(manifest(), ("visual",), {"visual": -1})


def test_the_words_of_frames_are_cut_and_padded():
  entry = {"dim": 2, "max_length": 9, "padding": "none"}
  pad = padding.Padding(
    {"modalities": {"acoustic": entry}}, ("acoustic",), {"acoustic": 4}
  )
  examples = [
    {"acoustic": np.ones((len(word), 2)), "acoustic_word": np.array(word)}
    for word in ([0, 0, -1, 1, 1], [-1, 3], [])
  ]
  words = pad.words(examples)
  np.testing.assert_array_equal(
    words, [[0, 0, -1, 1], [-1, 3, -1, -1], [-1] * 4]
  )
  bare = [{"acoustic": np.ones((1, 2))}]
  assert pad.words(bare) is None


def test_no_absent_modality_means_the_same_as_none_and_as_an_empty_one():
  """Whether words are assumed is said by its own argument."""
  lengths = {"lexical": 0, "visual": 0, "acoustic": 0}
  entry = {"dim": 2, "max_length": 5, "padding": "none"}
  described = {"modalities": {"acoustic": entry}}
  bare = [{"acoustic": np.ones((3, 2))}]
  for absent in (None, {}):
    plain = padding.Padding(described, ("acoustic",), lengths, absent=absent)
    assert plain.words(bare) is None
    assumed = padding.Padding(
      described, ("acoustic",), lengths, absent=absent, assume_words=True
    )
    np.testing.assert_array_equal(assumed.words(bare), [[-1] * 5])


def test_an_absent_modality_has_its_assumed_shape_and_no_real_frame():
  entry = {"dim": 2, "max_length": 9, "padding": "none"}
  pad = padding.Padding(
    {"modalities": {"acoustic": entry}},
    ("acoustic", "lexical"),
    {"acoustic": 4},
    absent={"lexical": (3, 5)},
  )
  stream = pad([{"acoustic": np.ones((1, 2))}])["lexical"]
  assert stream.features.shape == (1, 3, 5) and not stream.mask.any()
