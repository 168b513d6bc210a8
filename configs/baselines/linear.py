r"""Linear baselines of any shards: majority, TF-IDF, functionals, both.

  python -m mmer_jax.train --config=configs/baselines/linear.py:tfidf \
    --config.data.dir=DIR --workdir=runs/tfidf
  python -m mmer_jax.evaluate --workdir=runs/tfidf

Logistic regression by scikit-learn (extra `baselines`), fitted to the training
rows of each fold and scored like any system: what a system with a sequence
model has to beat. Modalities, emotions, decision and protocol are taken from
the shards, as in `configs/own/`, unless overrides say otherwise. All values are
ours.

Variants: `majority` (the most frequent answer), `tfidf` (n-grams of words),
`functionals` (mean, deviation, minimum and maximum of each column over the
frames), `both`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.own import common as own_common

_FEATURES = {
  "majority": (),
  "tfidf": ("tfidf",),
  "functionals": ("functionals",),
  "both": ("tfidf", "functionals"),
}
VARIANTS = tuple(_FEATURES)


def get_config(variant: str = "both") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  config.system = "linear"
  # Another seed changes nothing where it does not divide the rows.
  config.seeds = (0,)
  # Functionals are of all frames.
  config.data.max_length.update(lexical=0, acoustic=0, visual=0)
  config.model = ml_collections.ConfigDict()
  # What is read: some of "tfidf" and "functionals"; () for the majority.
  config.model.features = _FEATURES[variant]
  # Inverse strengths of the L2 penalty, of which validation chooses.
  config.model.c = (0.1, 1.0, 10.0, 100.0)
  # Words of the longest n-gram, and in how many utterances one has to be.
  config.model.ngrams = 2
  config.model.min_count = 2
  return config.lock()
