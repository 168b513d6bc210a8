"""AMI's meetings as unlabelled utterances: segments, crops, people, sound."""

import collections
import pickle

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
  assert corpus.notes[-1] == (
    "--crops=20000 of 7.2 s were wanted, and there are 1: all are taken"
  )
  assert example.id == "ES2002a.A.words1"
  assert example.words == ["i", "am", "happy"]
  files = cuts.find(tmp_path)
  (found,) = cuts.cut(tmp_path, files, cuts.Crops(7.2), collections.Counter())
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
  assert not [note for note in again.notes if "wanted" in note]
  assert [e.id for e in again.examples()] == drawn[1]
  assert {name.split(".")[0] for name in drawn[0]} == {"ES2002a", "ES2002b"}


def test_segments_are_rows_of_people_in_meetings(tmp_path, build):
  ami_files.words(
    tmp_path,
    "ES2002a.A",
    *(("i", 1, 2), "vocalsound", ("am", 2, 3), ("happy", 3, 4)),
    *("vocalsound", (".", 5, 5, 'punc="true"')),
  )
  ami_files.words(tmp_path, "ES2002b.A", ("sad", 1, 2))
  ami_files.words(tmp_path, "ES2002b.B", ("sad", 1, 2))
  ami_files.words(tmp_path, "ES2002b.C", ("sad", 1, 2))
  ami_files.segments(
    tmp_path, "ES2002a.A", (0.5, 3.5, 0, 2), (3, 4, 3, 3), (4, 5, 4, 5)
  )
  ami_files.segments(tmp_path, "ES2002b.A", (1, 2, 0, 0))
  ami_files.segments(tmp_path, "ES2002b.B", (1, 2, 0, 0))
  ami_files.meetings(
    tmp_path,
    {
      "ES2002a": {"A": ("MEE006", "0")},
      "ES2002b": {"A": ("FEE005", "0"), "D": ("MEE006", "1")},
    },
  )
  corpus = build()
  rows = list(corpus.examples())
  assert [(e.id, e.speaker, e.session, e.words) for e in rows] == [
    ("ES2002a.A.0000", "MEE006", "ES2002a", ["i", "am"]),
    ("ES2002a.A.0001", "MEE006", "ES2002a", ["happy"]),
    ("ES2002b.A.0000", "FEE005", "ES2002b", ["sad"]),
    ("ES2002b.B.0000", "ES2002b B", "ES2002b", ["sad"]),
  ]
  assert all(e.labels is None for e in rows)
  assert corpus.emotions == ("neutral", "happy", "sad", "angry")
  assert corpus.tally == {
    cuts.WITHOUT_WORDS: 1,
    cuts.WITHOUT_SEGMENTS: 1,
    "of people without a name in meetings.xml: another in each meeting": 1,
  }
  assert corpus.options["found"]["vocalsound"] == 2
  assert not corpus.notes and corpus.total == 4


def test_without_meetings_a_note_says_what_speakers_are(tmp_path, build):
  ami_files.words(tmp_path, "ES2002a.A", ("sad", 1, 2))
  ami_files.segments(tmp_path, "ES2002a.A", (1, 2, 0, 0))
  corpus = build()
  assert [e.speaker for e in corpus.examples()] == ["ES2002a A"]
  (note,) = corpus.notes
  assert "corpusResources/meetings.xml" in note


@pytest.fixture
def sounding(tmp_path):
  """Two agents, one with a headset's recording, one with the mix alone."""
  rng = np.random.default_rng(1)
  for agent in "AB":
    ami_files.words(
      tmp_path,
      f"ES2002a.{agent}",
      *(("i", 1.0, 1.2), ("am", 1.2, 1.5), ("happy", 1.8, 2.0)),
      ("sad", 2.0, 2.02),
    )
    ami_files.segments(
      tmp_path, f"ES2002a.{agent}", (0.9, 2.0, 0, 2), (2.0, 2.05, 3, 3)
    )
  ami_files.meetings(
    tmp_path, {"ES2002a": {"A": ("MEE006", "3"), "B": ("FEE005", None)}}
  )
  audio = tmp_path / "ES2002a" / "audio"
  audio.mkdir(parents=True)
  for name in ("Headset-3", "Mix-Headset"):
    samples = 0.1 * rng.normal(size=3 * RATE)
    soundfile.write(audio / f"ES2002a.{name}.wav", samples, RATE)
  return audio


def test_sound_is_the_headsets_or_the_mix_cut_by_time(build, sounding):
  corpus = build()
  rows = {e.id: e for e in corpus.examples()}
  wanted = {}
  for agent, name in (("A", "Headset-3"), ("B", "Mix-Headset")):
    example = rows[f"ES2002a.{agent}.0000"]
    frames, word = example.streams["acoustic"], example.acoustic_word
    samples, _ = soundfile.read(sounding / f"ES2002a.{name}.wav")
    wanted[agent] = len(samples)
    # 1.1 s: 104 to 110 frames; the first begins at 0.9 s.
    assert 104 <= len(frames) <= 110 and len(word) == len(frames)
    # Middles of frames at 0.905, 0.915, ...: i from 1 s, am, a pause, happy.
    expected = np.full(len(frames), -1)
    expected[10:30], expected[30:60], expected[90:] = 0, 1, 2
    np.testing.assert_array_equal(word, expected)
    assert "acoustic" not in rows[f"ES2002a.{agent}.0001"].streams
  a, b = (rows[f"ES2002a.{x}.0000"].streams["acoustic"] for x in "AB")
  assert not np.allclose(a, b)
  assert corpus.tally == {"shorter than 0.1 s, without sound": 2}
  assert corpus.has_acoustic_word and corpus.options["rate_hz"] == RATE


def test_a_crop_has_as_many_frames_whatever_its_words(build, sounding):
  lengths = {
    len(e.streams["acoustic"]) for e in build(crops=cuts.Crops(1.6)).examples()
  }
  assert len(lengths) == 1


def test_a_cut_behind_the_end_of_its_recording_is_counted(
  tmp_path, build, sounding
):
  # 3 s: the middle one is cut at its end, the last one has nothing.
  ami_files.segments(
    tmp_path, "ES2002a.A", (1, 2, 0, 1), (2.5, 3.5, 2, 2), (2.95, 9, 3, 3)
  )
  (tmp_path / "segments" / "ES2002a.B.segments.xml").unlink()
  corpus = build()
  lengths = [
    len(e.streams["acoustic"]) if "acoustic" in e.streams else 0
    for e in corpus.examples()
  ]
  assert lengths[0] > 90 and 40 < lengths[1] < 60 and lengths[2] == 0
  assert corpus.tally == {
    cuts.WITHOUT_SEGMENTS: 1,
    "shorter than 0.1 s, without sound": 1,
    "that end with their recording, earlier than they should": 1,
  }


def test_a_file_that_is_no_sound_is_named(build, sounding):
  (sounding / "ES2002a.Headset-3.wav").write_bytes(b"RIFF")
  with pytest.raises(UserError, match="Headset-3.wav cannot be read as sound"):
    build()


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda folder: None, "has no words/MEETING.A.words.xml"),
    (
      lambda folder: ami_files.words(folder, "ES2002a.A", ("a", 1, 2)),
      "has no segment with words",
    ),
  ],
)
def test_a_folder_without_utterances_is_named(tmp_path, build, make, message):
  make(tmp_path)
  with pytest.raises(UserError, match=message):
    build()


def test_two_words_make_no_crop(tmp_path, build):
  ami_files.words(tmp_path, "ES2002a.A", ("i", 1, 2), ("am", 2, 3))
  with pytest.raises(UserError, match="has no three words in a row within 7.2"):
    build(crops=cuts.Crops(7.2))


def test_without_vectors_and_sound_there_is_nothing(tmp_path, build):
  meeting(tmp_path, np.random.default_rng(0))
  with pytest.raises(UserError, match="there is nothing to convert"):
    build(choice=text_features.Choice(None))


def test_another_process_makes_the_same_rows(build, sounding):
  corpus = build()
  make = pickle.loads(pickle.dumps(corpus.make))
  expected = list(corpus.examples())
  # In another order, which reads the files of words anew.
  for number in reversed(range(corpus.total)):
    other, example = make(number), expected[number]
    assert (other.id, other.words) == (example.id, example.words)
    np.testing.assert_array_equal(other.acoustic_word, example.acoustic_word)
    for name, frames in example.streams.items():
      np.testing.assert_array_equal(other.streams[name], frames)
