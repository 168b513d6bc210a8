"""Shards of a few drawn rows, with the columns that a test asks for."""

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.data import schema
from tests import word_shards

DIMS = {"lexical": 4, "acoustic": 3, "visual": 2}


def convert(
  folder, *, frames, emotions=("a", "b"), vectors=(), scales=(), **fields
):
  """Writes shards of random features.

  Args:
    folder: Where.
    frames: Modality name to frames of every utterance.
    emotions: Names.
    vectors: Those of them that have a word vector; () for none at all.
    scales: Name, lowest and highest value of each rating.
    fields: `labels`, lists of emotions a row, texts and `ratings` of each row.
  """
  rng = np.random.default_rng(0)
  rows = fields.pop("labels")

  def examples():
    for number, names in enumerate(rows):
      labels = np.isin(emotions, names).astype(np.float32)
      yield corpus_lib.Example(
        id=f"u{number}",
        where=f"row {number}",
        streams={
          name: rng.standard_normal((count, DIMS[name])).astype(np.float32)
          for name, count in frames.items()
        },
        labels=None if names is None else labels,
        **{key: values[number] for key, values in fields.items()},
      )

  known = np.isin(emotions, vectors)[:, None]
  several = any(names and len(names) > 1 for names in rows)
  made = corpus_lib.Corpus(
    name="own",
    source="test",
    layout="drawn",
    emotions=tuple(emotions),
    label_type="multi" if several else "single",
    modalities={
      name: corpus_lib.Modality(
        corpus_lib.numbered(name, DIMS[name]), corpus_lib.NO_PADDING
      )
      for name in frames
    },
    examples=examples,
    total=len(rows),
    options={},
    ratings=tuple(corpus_lib.Rating(*scale) for scale in scales),
    vectors=schema.EmotionVectors(
      tuple(emotions),
      tuple(emotions),
      (rng.standard_normal((len(emotions), 4)) * known).astype(np.float32),
    )
    if len(vectors)
    else None,
  )
  return word_shards.converted(made, folder)
