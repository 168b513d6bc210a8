"""What linear baselines read of an utterance, against loops."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.linear import features
from tests import own_shards


def test_functionals_are_of_the_real_frames_of_each_utterance():
  rng = np.random.default_rng(0)
  frames = rng.normal(5.0, 2.0, size=(6, 7, 3)).astype(np.float32)
  mask = rng.random((6, 7)) < 0.6
  mask[2] = False
  mask[3] = [True, *[False] * 6]
  frames[~mask] = np.nan
  got, present = features.functionals(frames, mask)
  np.testing.assert_array_equal(present, mask.any(axis=1))
  for row in range(6):
    own = frames[row][mask[row]].astype(np.float64)
    if not len(own):
      expected = np.zeros(12)
    else:
      parts = (own.mean(0), own.std(0), own.min(0), own.max(0))
      expected = np.concatenate(parts)
    np.testing.assert_allclose(got[row], expected, rtol=1e-12, atol=1e-12)


def test_ngrams_by_hand():
  of = features.ngrams(2)
  assert of(("i", "do", "not")) == ["i", "do", "not", "i do", "do not"]
  assert of(()) == []
  assert features.ngrams(1)(("a", "b")) == ["a", "b"]


def test_shards_without_words_are_refused_in_one_line(tmp_path):
  folder = own_shards.convert(
    tmp_path / "mute", frames={"acoustic": 2}, labels=[["a"], ["b"]]
  )
  with pytest.raises(errors.UserError, match="counts words, but .* holds none"):
    features.read_words(folder)
