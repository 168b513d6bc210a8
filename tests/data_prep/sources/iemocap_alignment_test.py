"""IEMOCAP's word alignments: read, matched with transcripts, on frames."""

import pickle
import re
from collections import Counter

import numpy as np
import pytest

from data_prep.corpus import text
from data_prep.features import text_features
from data_prep.sources.iemocap import alignment, labels, source
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import iemocap_files

ID = "Ses01F_impro01_F000"


def seconds(*words):
  """Words of 100 ms, one behind the other from 0 s on."""
  return [
    alignment.Segment(word, number / 10, (number + 1) / 10)
    for number, word in enumerate(words)
  ]


def matched(written, *spoken):
  """Token to the numbers of the 100 ms that it has, and the counts."""
  tally = Counter()
  spans = alignment.match(text.tokenise(written), seconds(*spoken), tally)
  found = {}
  for span in spans:
    tenths = (round(10 * span.start, 6), round(10 * span.end, 6))
    found.setdefault(span.token, []).append(tenths)
  return found, [tally[key] for key in KEYS]


KEYS = (
  alignment.MATCHED,
  alignment.BY_PLACE,
  alignment.WITHOUT_FRAMES,
  alignment.WITHOUT_WORD,
)


def test_the_drawn_file_has_two_words_with_the_last_frame_included(data_dir):
  folder = data_dir / "layouts" / "IEMOCAP_full_release" / "Session1"
  (path,) = folder.rglob("*.wdseg")
  # EXCUSE(8) has the frames 45 to 79, of 10 ms each.
  assert alignment.read(path, Counter()) == [
    alignment.Segment("EXCUSE", 0.45, 0.80),
    alignment.Segment("ME", 0.80, 1.06),
  ]


@pytest.mark.parametrize(
  ("written", "spoken", "found", "counts"),
  [
    # Token 2 is the comma, token 4 the full stop.
    (
      "Excuse me, sir.",
      ("EXCUSE", "ME", "SIR"),
      {0: [(0, 1)], 1: [(1, 2)], 3: [(2, 3)]},
      [3, 0, 0, 0],
    ),
    ("'Cause I'm", ("'CAUSE", "I'M"), {1: [(0, 1)], 2: [(1, 2)]}, [2, 0, 0, 0]),
    # A tag is no word, whatever is heard there.
    (
      "Do [LAUGHTER] we",
      ("DO", "WE"),
      {0: [(0, 1)], 2: [(1, 2)]},
      [2, 0, 0, 0],
    ),
    # One word of the transcript in three of the alignment, and the reverse.
    ("D.M.V", ("D", "M", "V"), {0: [(0, 1), (1, 2), (2, 3)]}, [1, 0, 0, 0]),
    ("six-pack", ("SIX-PACK",), {0: [(0, 3 / 7), (3 / 7, 1)]}, [1, 0, 0, 0]),
    ("mmhmm ok", ("MM", "HMM", "OK"), {0: [(0, 1), (1, 2)], 1: [(2, 3)]}, None),
    (
      "mm hmmm",
      ("MMHMMM",),
      {0: [(0, 2 / 6)], 1: [(2 / 6, 1)]},
      [2, 0, 0, 0],
    ),
    # As many words between two that are the same: by their place.
    (
      "I said okay then",
      ("I", "SAID", "OK", "THEN"),
      {0: [(0, 1)], 1: [(1, 2)], 2: [(2, 3)], 3: [(3, 4)]},
      [3, 1, 0, 0],
    ),
    # Not as many: nothing tells which is which.
    (
      "I gonna go",
      ("I", "GOING", "TO", "GO"),
      {0: [(0, 1)], 2: [(3, 4)]},
      None,
    ),
    ("I gonna go", ("I", "GOING", "TO", "GO"), None, [2, 0, 1, 2]),
    ("I really go", ("I", "GO"), {0: [(0, 1)], 2: [(1, 2)]}, [2, 0, 1, 0]),
    ("I go", ("I", "UH", "GO"), {0: [(0, 1)], 1: [(2, 3)]}, [2, 0, 0, 1]),
    ("", ("I",), {}, [0, 0, 0, 1]),
    ("...", (), {}, [0, 0, 0, 0]),
    ("I", (), {}, [0, 0, 1, 0]),
  ],
)
def test_words_are_matched_by_letters(written, spoken, found, counts):
  got = matched(written, *spoken)
  if found is not None:
    assert got[0].keys() == found.keys()
    for token, spans in found.items():
      np.testing.assert_allclose(got[0][token], spans, atol=1e-5)
  if counts is not None:
    assert got[1] == counts


def test_real_texts_find_every_word_in_its_own_frames(data_dir):
  with np.load(data_dir / "iemocap" / "iemocap_utterances.npz") as file:
    texts = file["text"][::25].tolist()
  rng = np.random.default_rng(0)
  tally, words = Counter(), 0
  for written in texts:
    tokens = text.tokenise(written)
    expected, segments, frame = [], [], 0
    for token, word in enumerate(tokens):
      if word.startswith("["):
        frame += 30
        continue
      parts = re.findall(r"[A-Za-z']*[A-Za-z][A-Za-z']*", word)
      words += bool(parts)
      for part in parts:
        last = frame + int(rng.integers(3, 40))
        segments.append(
          alignment.Segment(part.upper(), frame / 100, last / 100)
        )
        expected.append((token, frame / 100, last / 100))
        # Now and then a pause.
        frame = last + int(rng.integers(0, 2)) * 7
    assert alignment.match(tokens, segments, tally) == expected
  assert +tally == {alignment.MATCHED: words} and words > 4000


def test_words_that_neither_side_knows_change_no_other_word():
  rng = np.random.default_rng(1)
  vocabulary = [f"w{chr(97 + i)}{chr(98 + i)}x" for i in range(20)]
  for _ in range(30):
    words = rng.permutation(vocabulary).tolist()
    tokens, segments, kept = [], [], {}
    for number, word in enumerate(words):
      kind = rng.choice(["both", "written", "spoken"], p=[0.7, 0.15, 0.15])
      start = float(number)
      if kind != "spoken":
        tokens.append(word)
      if kind != "written":
        segments.append(alignment.Segment(word.upper(), start, start + 1))
      if kind == "both":
        kept[len(tokens) - 1] = start
    tally = Counter()
    spans = alignment.match(tokens, segments, tally)
    exact = {s.token: s.start for s in spans if s.token in kept}
    assert exact == kept
    assert tally[alignment.MATCHED] == len(kept)
    assert tally[alignment.MATCHED] + tally[alignment.BY_PLACE] == len(spans)
    assert tally[alignment.WITHOUT_FRAMES] == len(tokens) - len(spans)
    assert tally[alignment.WITHOUT_WORD] == len(segments) - len(spans)


@pytest.mark.parametrize(
  ("line", "message"),
  [
    ("x 5 -1 ME", "line 2: 'x 5 -1 ME', expected first frame, last frame"),
    ("7 5 -1 ME", "a word from frame 7 to 5"),
    ("-7 5 -1 ME", "'-7 5 -1 ME'"),
    (f"7 {'9' * 5000} -1 ME", "expected first frame, last frame"),
  ],
)
def test_a_damaged_alignment_is_named(tmp_path, line, message):
  path = iemocap_files.wdseg(tmp_path, ID, [("ME", 0, 5)])
  lines = path.read_text().splitlines()
  lines[1] = line
  path.write_text("\n".join(lines))
  with pytest.raises(UserError, match=message):
    alignment.read(path, Counter())


def test_a_line_that_is_cut_is_counted(tmp_path):
  path = iemocap_files.wdseg(tmp_path, ID, [("I", 0, 5), ("AM", 6, 9)])
  path.write_text(path.read_text().replace("-18346 AM", "-18"))
  tally = Counter()
  assert [each.word for each in alignment.read(path, tally)] == ["I"]
  assert tally == {alignment.UNREAD: 1}


def test_noises_silence_heading_and_score_are_no_words(tmp_path):
  path = iemocap_files.wdseg(
    tmp_path,
    ID,
    [
      *(
        ("<s>", 0, 4),
        ("I(2)", 5, 9),
        ("<sil>", 10, 19),
        ("++LAUGHTER++", 20, 29),
      ),
      *(("AM", 30, 30), ("++BREATHING++", 31, 40), ("</s>", 41, 50)),
    ],
  )
  assert alignment.read(path, Counter()) == [
    alignment.Segment("I", 0.05, 0.10),
    alignment.Segment("AM", 0.30, 0.31),
  ]


@pytest.fixture
def folder(tmp_path):
  """Three utterances: aligned, without an alignment, without a recording."""
  rng = np.random.default_rng(0)
  names = [ID, "Ses01F_impro01_M000", "Ses01F_impro01_M001"]
  folder = iemocap_files.release(
    tmp_path / "release",
    [
      iemocap_files.utterance(name, label, "I [LAUGHTER] don't, very happy.")
      for name, label in zip(names, ("neu", "ang", "sad"), strict=True)
    ],
  )
  words = [
    *(("<s>", 0, 9), ("I", 10, 24), ("++LAUGHTER++", 25, 39)),
    *(("DON'T(2)", 40, 54), ("<sil>", 55, 59), ("VERY", 60, 69)),
    *(("HAPPY", 70, 94), ("</s>", 95, 104)),
  ]
  for name in (names[0], names[2]):
    iemocap_files.wdseg(folder, name, words)
  for name in names[:2]:
    iemocap_files.wav(folder, name, 1.05, rng)
  return folder


def build(folder, vectors, **changes):
  return source.build_corpus(
    folder,
    **{
      "variant": labels.variant("4"),
      "acoustic": "compare2013",
      "choice": text_features.Choice(vectors),
      **changes,
    },
  )


def test_frames_are_of_the_rows_of_their_words(folder, word_vectors):
  corpus = build(folder, word_vectors)
  first, second, third = corpus.examples()
  # The vectors have no laughter, marks and "very"; don't falls into two.
  assert first.words == ["i", "do", "n't", "happy"]
  count = len(first.streams["acoustic"])
  assert 99 <= count <= 105
  expected = np.full(count, -1)
  # The frames of don't are of its first row.
  expected[10:25], expected[40:55], expected[70:95] = 0, 1, 3
  np.testing.assert_array_equal(first.acoustic_word, expected)
  assert len(second.acoustic_word) == len(second.streams["acoustic"])
  assert (second.acoustic_word == -1).all()
  assert "acoustic" not in third.streams and third.acoustic_word.size == 0
  assert corpus.has_acoustic_word
  assert corpus.tally["without a word alignment"] == 1
  assert corpus.options["alignment"][alignment.MATCHED] == 8
  assert corpus.modalities["acoustic"].frame_rate_hz == 100
  assert not [note for note in corpus.notes if "alignment" in note]


def test_words_that_do_not_match_are_told(folder, word_vectors):
  path = folder / "Session1" / "sentences" / "ForcedAlignment"
  path = path / "Ses01F_impro01" / f"{ID}.wdseg"
  path.write_text(path.read_text().replace("VERY", "WERE"))
  corpus = build(folder, word_vectors)
  *_, note = corpus.notes
  assert (
    "words 7 matched by their letters, 1 matched by their place alone" in note
  )


def test_functionals_are_one_frame_and_have_no_words(folder, word_vectors):
  corpus = build(folder, word_vectors, acoustic="egemaps")
  first = next(corpus.examples())
  assert first.streams["acoustic"].shape == (1, 88)
  assert first.acoustic_word is None and not corpus.has_acoustic_word
  assert corpus.options["alignment"] is None


def test_recordings_alone_are_enough(folder):
  corpus = build(folder, None, acoustic="egemaps")
  first, *_ = corpus.examples()
  assert list(first.streams) == ["acoustic"] and first.words is None


def test_another_process_makes_the_same_rows(folder, word_vectors):
  corpus = build(folder, word_vectors)
  make = pickle.loads(pickle.dumps(corpus.make))
  for number, example in enumerate(corpus.examples()):
    other = make(number)
    assert (other.id, other.words) == (example.id, example.words)
    np.testing.assert_array_equal(other.acoustic_word, example.acoustic_word)
    assert other.streams.keys() == example.streams.keys()
    for name, frames in example.streams.items():
      np.testing.assert_array_equal(other.streams[name], frames)
