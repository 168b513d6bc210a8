"""Aligns frames of sound with words, where the times of the words are known.

openSMILE's frame i begins at 10 i ms; its windows, of 20 to 60 ms, go on behind
that. Alignments of speech recognisers count their frames in the same way.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError

FRAMES, WORDS = "frames", "words"
# What the acoustic rows of a corpus are.
ROWS = (FRAMES, WORDS)


def word_of_frames(
  count: int,
  rate_hz: float,
  starts: Sequence[float],
  ends: Sequence[float],
  first: float = 0.0,
) -> np.ndarray:
  """Finds the word that each frame belongs to.

  A frame belongs to the word in whose time its middle lies, the start
  included, the end not: frame i of 10 ms has its middle at 10 i + 5 ms, so that
  a word of the frames 12 to 15, both included, is one from 0.12 s to 0.16 s.
  Where words overlap, the one that is named first has the frame.

  Args:
    count: How many frames there are.
    rate_hz: Frames in a second.
    starts: When each word begins, in seconds on the words' clock.
    ends: When each word ends.
    first: When the first frame begins, on the words' clock.

  Returns:
    (count,) int32: the number of the word; -1 for none.
  """
  word = np.full(count, -1, np.int32)
  for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
    # Times of whole frames are not exact in binary: to a millionth of a frame.
    low, high = (
      int(np.clip(np.ceil((time - first) * rate_hz - 0.5 - 1e-6), 0, count))
      for time in (start, end)
    )
    inside = word[low:high]
    inside[inside < 0] = number
  return word


def rows_of_frames(word: np.ndarray, tokens: np.ndarray) -> np.ndarray:
  """Finds the lexical row that each frame belongs to: an `acoustic_word`.

  Args:
    word: The number of each frame's word among all words of the text, -1 for
      none; from `word_of_frames`.
    tokens: The number of each lexical row's word; `text.Embedded.tokens`.

  Returns:
    (t,) int32: the first row of the frame's word; -1 where the word has no row,
    and for frames outside of words.
  """
  count = 1 + max(word.max(initial=-1), tokens.max(initial=-1))
  row_of = np.full(count + 1, -1, np.int32)
  # Backwards, so that the first row of a word is what stays; the last entry is
  # what -1 finds.
  for row in range(len(tokens) - 1, -1, -1):
    if tokens[row] >= 0:
      row_of[tokens[row]] = row
  return row_of[word]


def mean_by_word(
  frames: np.ndarray, word: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
  """Averages the frames of each word.

  Args:
    frames: (t, d).
    word: The word of each frame, -1 for none, (t,).
    count: How many words there are.

  Returns:
    The means (count, d) float32, zeros for a word without a frame, and how many
    frames each word has (count,).
  """
  inside = word >= 0
  totals = np.zeros((count, frames.shape[1]), np.float64)
  np.add.at(totals, word[inside], frames[inside])
  counts = np.bincount(word[inside], minlength=count)
  means = totals / np.maximum(counts, 1)[:, None]
  return means.astype(np.float32), counts


def by_word(corpus: corpus_lib.Corpus) -> corpus_lib.Corpus:
  """Averages the acoustic frames of each word: a row beside each lexical row.

  Frames outside of words are left out. A lexical row without a frame has a row
  of zeros, which is padding. For systems that read modalities row by row.

  Args:
    corpus: What a source has built.

  Raises:
    UserError: Nothing says which word a frame is in.
  """
  if not corpus.has_acoustic_word:
    raise UserError(
      f"--acoustic_rows={WORDS} averages the frames of words, and nothing says"
      f" which words those of {corpus.name} are in; expected a corpus with the"
      " times of its words, descriptors such as --acoustic=egemaps_lld, and"
      " text with a row for each word"
    )
  modalities = dict(corpus.modalities)
  modalities["acoustic"] = dataclasses.replace(
    modalities["acoustic"], padding=corpus_lib.ZERO_ROWS, frame_rate_hz=None
  )
  return dataclasses.replace(
    corpus,
    modalities=modalities,
    examples=lambda: map(_averaged, corpus.examples()),
    make=corpus.make and functools.partial(_made, corpus.make),
    options={**corpus.options, "acoustic_rows": WORDS},
    has_acoustic_word=False,
  )


def _made(
  make: Callable[[int], corpus_lib.Example], number: int
) -> corpus_lib.Example:
  return _averaged(make(number))


def _averaged(example: corpus_lib.Example) -> corpus_lib.Example:
  streams = dict(example.streams)
  if "acoustic" in streams:
    count = len(streams.get("lexical", ()))
    streams["acoustic"], _ = mean_by_word(
      streams["acoustic"], example.acoustic_word, count
    )
  return dataclasses.replace(example, streams=streams, acoustic_word=None)
