"""Acoustic words against loops over the frames of each word."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import acoustic_words
from tests.core import lstm_test

B, T, W, D, H, L = 4, 9, 3, 2, 2, 4

# Silence between, before and inside of words; a word without a frame; words
# beyond the last; an utterance without any.
WORD = np.array(
  [
    [0, 0, 1, 1, 1, 2, 2, 2, -1],
    [-1, 0, 0, -1, 2, 2, 2, 2, 2],
    [1, 0, 1, -1, 0, 3, 2, 7, -1],
    [-1] * 9,
  ],
  np.int32,
)


def frames():
  return np.random.default_rng(0).normal(1.0, 2.0, size=(B, T, D))


def module(reading):
  return acoustic_words.AcousticWords(
    hidden=H,
    layers=2,
    dropout=0.0,
    reading=reading,
    words=W,
    word_frames=L,
    dtype="float64",
  )


@functools.cache
def params():
  """Of any reading: all have the same."""
  with jax.enable_x64(True):
    return module("boundary").init(
      jax.random.key(0), jnp.asarray(frames()), jnp.asarray(WORD), key=None
    )["params"]


@functools.cache
def compiled(reading):
  return jax.jit(
    lambda params, x, word: module(reading).apply(
      {"params": params}, x, word, key=None
    )
  )


def run(reading, x, word=WORD):
  with jax.enable_x64(True):
    found = compiled(reading)(params(), jnp.asarray(x), jnp.asarray(word))
    return np.asarray(found)


def numpy_states(x):
  """Both directions over a sequence, two layers; (t, 2h)."""
  encoder = {k: np.asarray(v) for k, v in params()["encoder"].items()}
  x = x[:, None]
  for layer in range(2):
    x = np.concatenate(
      [
        lstm_test.numpy_lstm(
          x,
          *(encoder[f"l{layer}_{name}_{part}"] for part in ("w_x", "w_h", "b")),
          np.ones(x.shape[:2], bool),
          name == "backward",
        )
        for name in ("forward", "backward")
      ],
      axis=-1,
    )
  return x[:, 0]


def expected(reading, x, word=WORD):
  out = np.zeros((B, W, 2 * H))
  for b in range(B):
    inside = np.flatnonzero((word[b] >= 0) & (word[b] < W))
    states = numpy_states(x[b, inside]) if len(inside) else None
    for w in range(W):
      own = np.flatnonzero(word[b] == w)
      if not len(own):
        continue
      if reading == "segment":
        states = numpy_states(x[b, own[:L]])
        out[b, w, :H], out[b, w, H:] = states[-1, :H], states[0, H:]
        continue
      first, last = np.searchsorted(inside, [own[0], own[-1]])
      out[b, w, :H] = states[last, :H]
      out[b, w, H:] = states[last if reading == "end" else first, H:]
  return out


@pytest.mark.parametrize("reading", acoustic_words.READINGS)
def test_words_equal_a_loop(reading):
  x = frames()
  np.testing.assert_allclose(
    run(reading, x), expected(reading, x), rtol=0, atol=1e-12
  )


@pytest.mark.parametrize("reading", ["boundary", "segment"])
def test_frames_of_no_word_change_nothing(reading):
  """They may hold anything, in any order, and be gone."""
  x = frames()
  plain = run(reading, x)
  outside = (WORD < 0) | (WORD >= W)
  rng = np.random.default_rng(1)
  noise = np.where(outside[..., None], rng.normal(size=x.shape), x)
  np.testing.assert_array_equal(run(reading, noise), plain)
  longer = np.concatenate([x, x], axis=1)
  word = np.concatenate([WORD, np.full_like(WORD, -1)], axis=1)
  np.testing.assert_allclose(run(reading, longer, word), plain, atol=1e-15)
  assert not plain[3].any() and not plain[1, 1].any()


def test_segments_are_the_frames_in_order():
  index, real = acoustic_words.segments(jnp.asarray(WORD), W, 2)
  assert np.where(real, index, -1)[2].tolist() == [[1, 4], [0, 2], [6, -1]]
  assert not np.asarray(real)[3].any()


def test_a_word_is_cut_only_under_segment():
  x = frames()
  other = x.copy()
  other[1, 8] += 1.0  # The fifth frame of word 2.
  assert np.abs(run("boundary", other) - run("boundary", x)).max() > 1e-3
  np.testing.assert_array_equal(run("segment", other), run("segment", x))
