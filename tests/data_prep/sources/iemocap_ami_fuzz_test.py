"""Damaged files of IEMOCAP and AMI: read, or named in one line."""

from collections import Counter

import numpy as np
import pytest

from data_prep.sources.ami import nxt, people
from data_prep.sources.iemocap import alignment, evaluation, transcripts
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import ami_files, iemocap_files

ID = "Ses01F_impro01_F000"
PIECES = (b"\0", b"\xff", b"[", b"]", b"nan", b"-1", b"\n", b"<", b"&a;", b";")


def damaged(content, rng):
  """Bytes taken out, doubled, or replaced by what is no such thing."""
  for _ in range(rng.integers(1, 4)):
    at, length = int(rng.integers(len(content))), int(rng.integers(1, 20))
    piece = PIECES[rng.integers(len(PIECES))]
    kept = content[at : at + length] if rng.random() < 0.3 else piece
    content = content[:at] + kept + content[at + length * rng.integers(2) :]
  return content


@pytest.fixture
def files(tmp_path):
  """Every file with its reader."""
  folder = iemocap_files.release(
    tmp_path,
    [iemocap_files.utterance(ID), iemocap_files.utterance(ID[:-1] + "1")],
  )
  dialog = folder / "Session1" / "dialog"
  name = "Ses01F_impro01.txt"
  words = ami_files.words(
    tmp_path, "ES2002a.A", ("a", 1, 2), "gap", ("b", 2, 3)
  )
  segments = ami_files.segments(tmp_path, "ES2002a.A", (1, 2, 0, 2))
  meetings = ami_files.meetings(tmp_path, {"ES2002a": {"A": ("MEE006", "0")}})
  stream = nxt.read_words(words)
  wdseg = iemocap_files.wdseg(tmp_path, ID, [("I(2)", 0, 4), ("AM", 5, 9)])
  return {
    dialog / "EmoEvaluation" / name: lambda p: evaluation.read(p, Counter()),
    dialog / "transcriptions" / name: lambda p: transcripts.read(p, Counter()),
    wdseg: lambda p: alignment.read(p, Counter()),
    words: nxt.read_words,
    segments: lambda p: nxt.read_segments(p, stream, Counter()),
    meetings: lambda p: people.read(p.parents[1]),
  }


def test_a_damaged_file_is_read_or_named(files):
  rng = np.random.default_rng(0)
  for path, read in files.items():
    content = path.read_bytes()
    outcomes = Counter()
    for _ in range(100):
      path.write_bytes(damaged(content, rng))
      try:
        read(path)
        outcomes["read"] += 1
      except UserError as error:
        assert "\n" not in str(error)
        outcomes["named"] += 1
    path.write_bytes(content)
    assert min(outcomes["read"], outcomes["named"]) > 5, (path, outcomes)
