"""Apache Beam: the same files as without it.

Needs the extra `beam`, which `make test` does not install:
  pip install 'mmer_jax[beam]'
"""

import functools
import sys

import numpy as np
import pytest

from data_prep.writing import beam, chunks, spill
from mmer_jax.base.errors import UserError
from tests.data_prep.writing.parallel_test import draw, drawn, files

_THREADS = beam.Beam(
  "DirectRunner",
  ("direct_num_workers=3", "direct_running_mode=multi_threading"),
)
_PROCESSES = beam.Beam(
  "DirectRunner",
  ("direct_num_workers=2", "direct_running_mode=multi_processing"),
)


def same(write_corpus, tmp_path, corpora, runner, **changes):
  """Whether corpora are written by a runner as one is without."""
  write_corpus(drawn(False), "plain", num_shards=3, workers=1, **changes)
  for name, corpus in corpora.items():
    write_corpus(corpus, name, num_shards=3, beam=runner, **changes)
    assert files(tmp_path / name) == files(tmp_path / "plain")
  assert {path.name for path in tmp_path.iterdir()} == {"plain", *corpora}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("nonfinite", ["zero", "clip"])
def test_the_direct_runner_writes_the_same_bytes(
  write_corpus, tmp_path, nonfinite
):
  pytest.importorskip("apache_beam", reason="needs the extra beam")
  corpora = {"made": drawn(True), "passed": drawn(False)}
  same(write_corpus, tmp_path, corpora, _THREADS, nonfinite=nonfinite)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_several_processes_of_the_direct_runner_do(write_corpus, tmp_path):
  pytest.importorskip("apache_beam", reason="needs the extra beam")
  corpora = {"made": drawn(True), "passed": drawn(False)}
  same(write_corpus, tmp_path, corpora, _PROCESSES)


@pytest.mark.filterwarnings("ignore")
def test_an_unsound_corpus_is_refused_by_beam_too(write_corpus, tmp_path):
  pytest.importorskip("apache_beam", reason="needs the extra beam")
  corpus = drawn(True, functools.partial(draw, twice=(3, 139)))
  with pytest.raises(UserError, match="id 'twice' is in split"):
    write_corpus(corpus, beam=_THREADS)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_a_runner_that_beam_does_not_have_is_refused(write_corpus):
  pytest.importorskip("apache_beam", reason="needs the extra beam")
  with pytest.raises(UserError, match="does not take --runner=Slurm"):
    write_corpus(drawn(True), beam=beam.Beam("Slurm"))


def test_without_the_extra_its_name_is_said(write_corpus, monkeypatch):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  with pytest.raises(UserError, match=r"pip install 'mmer_jax\[beam\]'"):
    write_corpus(drawn(True), beam=_THREADS)


def test_examples_come_back_from_a_file_as_they_were(tmp_path):
  examples = [draw(number) for number in range(20)]
  examples[3].words = ["é", ""]
  examples[4].acoustic_word = np.array([-1, 0], np.int32)
  examples[5].stream_where = {"visual": "elsewhere"}
  spill.save(tmp_path / "0.npz", examples)
  for one, other in zip(spill.load(tmp_path / "0.npz"), examples, strict=True):
    assert one.streams.keys() == other.streams.keys()
    for name, frames in other.streams.items():
      np.testing.assert_array_equal(one.streams.pop(name), frames)
      assert frames.dtype == np.float32
    one.streams = other.streams
    for name in ("labels", "acoustic_word"):
      np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
      setattr(one, name, getattr(other, name))
    assert one == other


def test_only_what_is_not_ready_goes_into_files(tmp_path):
  made = list(beam.spilled(chunks.of(drawn(False), {1}), tmp_path / "files"))
  assert [chunk.number for chunk in made] == [0, 1, 2]
  assert [chunk.spilled is None for chunk in made] == [False, True, False]
  assert all(not chunk.examples for chunk in made)
  assert len(spill.load(made[2].spilled)) == 150 - 128
