"""Shards, a workdir of them and its export, once for all tests of serving."""

import pytest

import mmer_jax
from mmer_jax.data import shards as shards_lib
from tests import made_once, toy_model


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
  return toy_model.shards_once(tmp_path_factory)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
  return toy_model.trained_once(tmp_path_factory)


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
  def export(folder):
    done = toy_model.verb(
      "mmer_jax.export", f"--workdir={trained}", f"--out={folder}"
    )
    assert not done.returncode, done.stderr
    assert "mtee, 1 member(s), for cpu, cuda, tpu" in done.stdout

  folder = made_once.made_once(tmp_path_factory, "export", export)
  return made_once.copy_of(tmp_path_factory, folder)


@pytest.fixture(scope="session")
def model(exported):
  return mmer_jax.load(str(exported))


@pytest.fixture(scope="session")
def examples(shards):
  return [example for _, example in shards_lib.read_examples(shards)]
