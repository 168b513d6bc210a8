"""Makes a protocol with the keys that a test is not about."""

from mmer_jax.data import partition


def protocol(split, **changes):
  return partition.Protocol(
    split=split,
    folds=(),
    train="train",
    validation="validation",
    test="test",
    allow_speaker_overlap=False,
  )._replace(**changes)
