"""Aligns frames of sound with words, where the times of the words are known."""

from collections.abc import Sequence

import numpy as np


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
