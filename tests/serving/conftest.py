"""Shards, a workdir of them and its export, once for all tests of serving."""

import pytest

import mmer_jax
from mmer_jax.data import shards as shards_lib
from tests import toy_model


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
  return toy_model.convert(tmp_path_factory.mktemp("serving") / "shards")


@pytest.fixture(scope="session")
def trained(shards, tmp_path_factory):
  return toy_model.train(shards, tmp_path_factory.mktemp("serving") / "mtee")


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
  folder = tmp_path_factory.mktemp("serving") / "export"
  done = toy_model.verb(
    "mmer_jax.export", f"--workdir={trained}", f"--out={folder}"
  )
  assert not done.returncode, done.stderr
  assert "mtee, 1 member(s), for cpu, cuda, tpu" in done.stdout
  return folder


@pytest.fixture(scope="session")
def model(exported):
  return mmer_jax.load(str(exported))


@pytest.fixture(scope="session")
def examples(shards):
  return [example for _, example in shards_lib.read_examples(shards)]
