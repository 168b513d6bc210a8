"""Workdirs that were written before a key was added."""

from configs.dae_mmd import fully
from mmer_jax.base import workdir
from mmer_jax.experiment import provenance


def test_a_config_without_a_later_key_computes_what_it_did(tmp_path):
  config = fully.get_config("smoke")
  old = config.to_dict()
  del old["model"]["matching"]["block_size"]
  for key in ("k", "split_file", "split_digest", "allow_identical"):
    del old["protocol"][key]
  workdir.write_json(tmp_path / "config.json", old)
  read = workdir.read_config(tmp_path)
  assert read.model.matching.block_size == 0
  assert read.protocol.k == 5
  assert not read.protocol.allow_identical
  assert workdir.drop_added(config.to_dict()) == old
  assert provenance.config_digest(read) == provenance.config_digest(config)
  provenance.check_workdir(config, tmp_path)


def test_a_later_key_with_another_value_counts():
  config = fully.get_config("smoke")
  before = provenance.config_digest(config)
  with config.unlocked():
    config.model.matching.block_size = 64
  assert provenance.config_digest(config) != before
