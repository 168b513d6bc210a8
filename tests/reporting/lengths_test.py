"""How long utterances and words are, counted and drawn."""

import numpy as np
import pytest

from data_prep.sources import synthetic
from mmer_jax.reporting import layouts, lengths, plots


def test_the_lengths_of_shards_are_counted(both, tmp_path):
  content = lengths.lengths(both[0])
  examples = list(synthetic.build("words", 0, 200).examples())
  words = [len(e.streams["lexical"]) for e in examples]
  own = [
    (e.acoustic_word == w).sum()
    for e in examples
    for w in range(len(e.streams["lexical"]))
  ]
  assert content["counts"]["words_per_utterance"] == (
    np.bincount(words).tolist()
  )
  assert content["counts"]["frames_per_word"] == np.bincount(own).tolist()
  entry = content["summary"]["frames_per_utterance"]
  frames = [len(e.streams["acoustic"]) for e in examples]
  assert entry["n"] == 200
  np.testing.assert_allclose(entry["std"], np.std(frames, ddof=1))
  assert plots.save(content, tmp_path).stat().st_size > 5000
  assert list(lengths.lengths(both[1])["counts"]) == ["frames_per_utterance"]


@pytest.mark.parametrize("count", [1, 3, 40, 41, 80, 701])
def test_bars_of_lengths_are_of_equally_many(count):
  edges = layouts.length_edges(count)
  held, _ = np.histogram(np.arange(count), edges)
  # All lengths, and as many in each bar but the last.
  assert held.sum() == count and len(held) <= 40
  assert (held[:-1] == held[0]).all() and 0 < held[-1] <= held[0]
  if count <= 40:
    middles = (edges[1:] + edges[:-1]) / 2
    np.testing.assert_array_equal(middles, np.arange(count))
