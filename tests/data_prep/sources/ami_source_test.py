"""AMI's meetings as unlabelled utterances: segments, crops, people, sound."""

import pathlib

import numpy as np
import pytest
import soundfile

from data_prep.features import text_features
from data_prep.sources.ami import crops, cuts, nxt, source
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import ami_files

RATE = 16000


def meeting(folder, rng, name="ES2002a", agents="AB", count=60):
  """Words with pauses, marks and noises between; a segment every ten."""
  for agent in agents:
    time, elements = 1.0, []
    while len(elements) < count:
      time += rng.choice([0.0, 0.1, 2.5], p=[0.6, 0.3, 0.1])
      end = time + rng.uniform(0.1, 0.6)
      kind = rng.random()
      if kind < 0.1:
        elements.append("vocalsound")
      elif kind < 0.15:
        elements.append(("w", None, None))
      else:
        elements.append(("i", round(time, 2), round(end, 2)))
        if kind > 0.9:
          end = round(end, 2)
          elements.append((".", end, end, 'punc="true"'))
      time = end
    key = f"{name}.{agent}"
    ami_files.words(folder, key, *elements)
    ranges = [
      (first, first + 5, first, min(first + 9, len(elements) - 1))
      for first in range(0, len(elements), 10)
    ]
    ami_files.segments(folder, key, *ranges)


@pytest.fixture
def build(tmp_path, word_vectors):
  def build_corpus(**changes):
    settings = {
      "emotions": source.EMOTIONS,
      "acoustic": "compare2013",
      "choice": text_features.Choice(word_vectors),
      **changes,
    }
    return source.build_corpus(tmp_path, **settings)

  return build_corpus


def possible_by_hand(stream, width):
  """Every middle word whose neighbours lie in the crop: a plain loop."""
  items = list(stream.items.values())
  words = [p for p, each in enumerate(items) if each and not each.is_mark]
  found = []
  for before, place, after in zip(words, words[1:], words[2:], strict=False):
    item = items[place]
    if item.start is None:
      continue
    start = max((item.start + item.end) / 2 - width / 2, 0)
    inside = []
    for p in words:
      if items[p].start is None:
        continue
      late = items[p].end > start + width + 1e-6
      if items[p].start >= start - 1e-6 and not late:
        inside.append(p)
    if {before, place, after} <= set(inside):
      marks = [
        p
        for p, each in enumerate(items)
        if each
        and each.is_mark
        and max(w for w in words if w < p) in inside
        # Noises between a word and a mark part them.
        and all(items[max(w for w in words if w < p) + 1 : p])
      ]
      found.append((place, start, sorted(inside + marks)))
  return found


@pytest.mark.parametrize("width", [0.9, 3.5, 7.2])
def test_crops_are_those_of_a_plain_loop(tmp_path, width):
  rng = np.random.default_rng(3)
  meeting(tmp_path, rng, agents="ABC")
  seen = 0
  for path in cuts.find(tmp_path):
    stream = nxt.read_words(path)
    found = crops.possible(stream, width)
    expected = possible_by_hand(stream, width)
    assert [(c.middle, sorted(c.words)) for c in found] == [
      (place, words) for place, _, words in expected
    ]
    np.testing.assert_allclose(
      [(c.start, c.end) for c in found],
      [(start, start + width) for _, start, _ in expected],
    )
    seen += len(found)
  assert seen > (5 if width < 1 else 60)


def test_a_crop_is_centred_on_its_middle_word(tmp_path, build):
  # Middles 10.25, 11.25, 12.25, 30.25. 7.2 s around 11.25: 7.65 to 14.85.
  ami_files.words(
    tmp_path,
    "ES2002a.A",
    *(
      ("i", 10, 10.5),
      ("am", 11, 11.5),
      (",", 11.5, 11.5, 'punc="true"'),
      ("happy", 12, 12.5),
      # Three in a row with it, but far away.
      ("sad", 30, 30.5),
    ),
  )
  corpus = build(crops=cuts.Crops(7.2))
  (example,) = corpus.examples()
  assert example.id == "ES2002a.A.words1"
  assert example.words == ["i", "am", "happy"]
  (found,) = cuts.cut(
    tmp_path,
    cuts.find(tmp_path),
    cuts.Crops(7.2),
    __import__("collections").Counter(),
  )
  assert (found.start, found.end) == pytest.approx((7.65, 14.85))


def test_crops_are_drawn_by_seed_without_replacement(tmp_path, build):
  rng = np.random.default_rng(5)
  for name in ("ES2002a", "ES2002b"):
    meeting(tmp_path, rng, name)
  everything = [e.id for e in build(crops=cuts.Crops(7.2, 0)).examples()]
  assert len(everything) == len(set(everything)) > 100
  drawn = {}
  for seed in (0, 1):
    drawn[seed] = [
      e.id for e in build(crops=cuts.Crops(7.2, 20, seed)).examples()
    ]
    assert (
      len(set(drawn[seed])) == 20 <= len(set(everything) & set(drawn[seed]))
    )
  assert drawn[0] != drawn[1]
  again = build(crops=cuts.Crops(7.2, 20, 1))
  assert [e.id for e in again.examples()] == drawn[1]
  assert {name.split(".")[0] for name in drawn[0]} == {"ES2002a", "ES2002b"}
