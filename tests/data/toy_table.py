"""A small table of random utterances, for the tests of this folder."""

import numpy as np

from mmer_jax.data import schema

RNG = np.random.default_rng(7)


def manifest(padding="none", longest=6):
  return {
    "modalities": {
      "lexical": {"dim": 3, "max_length": longest, "padding": "none"},
      "visual": {"dim": 2, "max_length": longest, "padding": padding},
    }
  }


def table(n=9):
  streams = {}
  for modality, width in (("lexical", 3), ("visual", 2)):
    mask = np.arange(6)[None, :] < RNG.integers(0, 7, size=n)[:, None]
    features = RNG.normal(5.0, 3.0, size=(n, 6, width)) * mask[..., None]
    streams[modality] = schema.Stream(features.astype(np.float32), mask)
  return schema.make_batch(
    streams,
    RNG.integers(2, size=(n, 4)).astype(np.float32),
    labelled=RNG.random(n) < 0.8,
  )
