"""A workdir, a filled table and shards of words, once for all tests here."""

import pytest

from tests import made_once, synthetic_shards, toy_model, word_shards

SMALL = (
  "--config.seeds=(0,)",
  "--config.training.epochs=2",
  "--config.training.batch_size=32",
  "--config.model.layers=1",
  "--config.model.hidden.acoustic=6",
  "--config.model.hidden.visual=5",
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
  return toy_model.trained_once(tmp_path_factory)


@pytest.fixture(scope="session")
def mosei_shards(tmp_path_factory):
  return synthetic_shards.synthetic(tmp_path_factory, "tiny_mosei")


@pytest.fixture(scope="session")
def filled(mosei_shards, tmp_path_factory):
  """Table 6 by the command: seven subsets as runs of one program."""

  def fill(folder):
    done = toy_model.verb(
      "mmer_jax.table",
      "--config=configs/mtee/ablation_mosei.py:synthetic",
      "--nobaselines",
      f"--config.data.dir={mosei_shards}",
      f"--workdir={folder}",
      # Seven runs split no four devices: each batch would be split, and XLA's
      # collectives on more devices than cores may wait for each other for good.
      "--config.mesh.data=1",
      *SMALL,
    )
    assert not done.returncode, done.stderr
    assert "Only A" in done.stdout

  folder = made_once.made_once(tmp_path_factory, "table_6", fill)
  return made_once.copy_of(tmp_path_factory, folder)


@pytest.fixture(scope="session")
def both(tmp_path_factory):
  """The synthetic corpus of words, and the same without any word."""
  return word_shards.convert_both(tmp_path_factory.mktemp("words"))
