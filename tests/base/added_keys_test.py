"""Workdirs that were written before a key was added."""

import functools

import ml_collections

from configs.dae_mmd import fully
from mmer_jax.base import workdir
from mmer_jax.experiment import provenance


def test_a_config_without_later_keys_is_the_one_that_was_trained_with(tmp_path):
  config = fully.get_config("smoke")
  old = config.to_dict()
  for section, keys in workdir.ADDED_KEYS.items():
    part = functools.reduce(dict.__getitem__, section.split("."), old)
    for key in keys:
      del part[key]
  workdir.write_json(tmp_path / "config.json", old)
  # As the version did that had none of them.
  trained = provenance.config_digest(ml_collections.ConfigDict(old))
  read = provenance.read_config(tmp_path, {"config_sha256": trained})
  assert read.model.matching.block_size == 0
  assert read.protocol.k == 5
  assert read.data.ratings == ()
  assert not read.protocol.allow_identical
  provenance.check_workdir(config, tmp_path)


def test_a_later_key_with_another_value_counts():
  config = fully.get_config("smoke")
  before = provenance.config_digest(config)
  with config.unlocked():
    config.model.matching.block_size = 64
  assert provenance.config_digest(config) != before
