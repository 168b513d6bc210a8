"""Conversions that were ended go on; anything else begins anew."""

import functools
import os
import time

import pytest
from absl import flags

from data_prep.sources import flags as source_flags
from data_prep.sources import synthetic
from data_prep.writing import identity, parts
from tests.data_prep.conftest import make_corpus
from tests.data_prep.writing.parallel_test import draw, drawn, files


class _Made:
  """Makes utterances, notes which, and is interrupted before one."""

  def __init__(self, last=None):
    self.last = last
    self.numbers = []

  def __call__(self, number):
    if number == self.last:
      raise KeyboardInterrupt
    self.numbers.append(number)
    return draw(number)


def interrupted(write_corpus, **changes):
  with pytest.raises(KeyboardInterrupt):
    write_corpus(drawn(True, _Made(130)), identity="one", workers=1, **changes)


@pytest.mark.parametrize("nonfinite", ["zero", "clip"])
def test_an_interrupted_conversion_goes_on(write_corpus, tmp_path, nonfinite):
  interrupted(write_corpus, nonfinite=nonfinite)
  assert not (tmp_path / "shards").exists()
  again = _Made()
  write_corpus(
    drawn(True, again), nonfinite=nonfinite, identity="one", workers=1
  )
  # Chunks of 64 are made once; clip goes over the corpus a second time.
  twice = {"zero": [], "clip": list(range(150))}[nonfinite]
  assert again.numbers == [*range(128, 150), *twice]
  assert not (tmp_path / ".shards.incomplete").exists()
  write_corpus(drawn(False), "unbroken", nonfinite)
  assert files(tmp_path / "shards") == files(tmp_path / "unbroken")


@pytest.mark.parametrize("other", ["two", None])
def test_another_conversion_begins_anew(write_corpus, tmp_path, other):
  interrupted(write_corpus)
  hidden = tmp_path / ".shards.incomplete"
  if other is None:
    # As one without an identity would have called it.
    (hidden / "one").rename(hidden / "unknown")
  again, beside = _Made(), []

  def make(number):
    beside.append([path.name for path in hidden.iterdir()])
    return again(number)

  write_corpus(drawn(True, make), identity=other, workers=1)
  assert again.numbers == list(range(150))
  assert beside[0] == [other or "unknown"]
  assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def test_without_an_identity_an_interrupted_conversion_leaves_nothing(
  write_corpus, tmp_path
):
  with pytest.raises(KeyboardInterrupt):
    write_corpus(drawn(True, _Made(130)), workers=1)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["npz", "records"])
def test_a_part_that_is_damaged_is_made_again(write_corpus, tmp_path, suffix):
  interrupted(write_corpus)
  folder = tmp_path / ".shards.incomplete" / "one" / "rows"
  path = folder / f"000001.{suffix}"
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  found = parts.Folder(folder)
  assert found.has(1) and found.sound() == {0} and not found.has(1)
  again = _Made()
  write_corpus(drawn(True, again), identity="one", workers=1)
  assert again.numbers == list(range(64, 150))
  write_corpus(drawn(False), "unbroken")
  assert files(tmp_path / "shards") == files(tmp_path / "unbroken")


def test_a_pass_is_gone_over_but_not_encoded_again(write_corpus, tmp_path):
  made = _Made(130)
  with pytest.raises(KeyboardInterrupt):
    write_corpus(drawn(False, made), identity="one")
  folder = tmp_path / ".shards.incomplete" / "one" / "rows"
  before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.npz")}
  assert sorted(before) == ["000000.npz", "000001.npz"]
  made = _Made(140)
  with pytest.raises(KeyboardInterrupt):
    write_corpus(drawn(False, made), identity="one")
  after = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.npz")}
  assert after == before and len(made.numbers) == 140
  write_corpus(drawn(False), identity="one")
  write_corpus(drawn(False), "unbroken")
  assert files(tmp_path / "shards") == files(tmp_path / "unbroken")


def parsed(*arguments):
  values = flags.FlagValues()
  source_flags.define(values)
  values(["convert", *map(str, arguments)])
  return values


def test_an_identity_is_of_flags_files_and_corpus(tmp_path):
  path, beside = tmp_path / "in.csv", tmp_path / "a.wav"
  path.write_text("a")
  beside.write_text("b")
  corpus = functools.partial(make_corpus, (), files=(beside,))

  def of(*arguments, made=corpus):
    return identity.of(parsed(f"--input={path}", *arguments), made())

  first = of()
  assert first == of() == of("--workers=3", "--output=x", "--runner=R")
  assert first != of("--nonfinite=clip")
  assert first != of(made=functools.partial(corpus, total=7))
  assert first != of(made=functools.partial(corpus, emotions=("sad", "happy")))
  for file in (path, beside):
    before, times = of(), file.stat()
    time.sleep(0.01)
    file.write_text("c")
    # Even where the size is the same, and the time is set back.
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert of() != before


@pytest.mark.parametrize("value", ["{0},{1}", "{1}:key", "[x],{0}:key,{1}"])
def test_paths_stand_in_lists_and_before_keys(tmp_path, value):
  one, two = tmp_path / "one", tmp_path / "two"
  one.write_text("")
  two.write_text("")
  values = parsed(f"--input={value.format(one, two)}")
  before = identity.of(values, make_corpus(()))
  two.write_text("more")
  assert identity.of(values, make_corpus(())) != before


def test_a_folder_is_its_files(tmp_path):
  (tmp_path / "below").mkdir()
  values = parsed(f"--input={tmp_path}")
  before = identity.of(values, make_corpus(()))
  (tmp_path / ".shards.incomplete").mkdir()
  (tmp_path / ".shards.incomplete" / "part").touch()
  assert identity.of(values, make_corpus(())) == before
  (tmp_path / "below" / "new").touch()
  assert identity.of(values, make_corpus(())) != before


def test_synthetic_utterances_are_made_by_number():
  corpus = synthetic.build("tiny", 0, 5)
  for number, example in enumerate(corpus.examples()):
    made = corpus.make(number)
    assert made.id == example.id and made.split == example.split
    for name, frames in example.streams.items():
      assert (made.streams[name] == frames).all()
