"""Crops of a meeting around three words in a row, with their real times.

Source: Liang et al. 2020, section 4.2: three continuous words of the transcript
are drawn, and the segment of 7.2 s (beside IEMOCAP) or 3.5 s (beside MELD)
around the middle one is cut out, so that none is silence.

Deviation: the paper does not say what becomes of words at the borders, nor of
words in a row with a long pause between. Here a crop has the person's own words
that lie inside whole, and the three must do so. Crops are drawn without
replacement from all middle words; one that would begin before the meeting
begins at 0 s.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_prep.sources.ami import nxt

# Times are of hundredths of a second and not exact in binary.
_TOLERANCE = 1e-6


class Crop(NamedTuple):
  """Holds a crop.

  Attributes:
    middle: The place of the middle word in the stream.
    start: In seconds from the beginning of the meeting.
    end: In seconds.
    words: Places of the words and marks inside.
  """

  middle: int
  start: float
  end: float
  words: tuple[int, ...]


def possible(stream: nxt.Stream, width: float) -> list[Crop]:
  """Lists the crops of all middle words of a stream.

  Args:
    stream: What a person says.
    width: Seconds of a crop.
  """
  items = list(stream.items.values())
  words = [p for p, item in enumerate(items) if item and not item.is_mark]
  times = np.array(
    [(items[p].start, items[p].end) for p in words], np.float64
  ).reshape(-1, 2)
  # Words without a time are NaN: last in the order, and never inside.
  order = np.argsort(times[:, 0], kind="stable")
  crops = []
  for at in range(1, len(words) - 1):
    middle = times[at].mean()
    if np.isnan(middle):
      continue
    start = max(float(middle) - width / 2, 0.0)
    inside = _inside(times, order, start, start + width)
    if {at - 1, at, at + 1} <= set(inside):
      found = [words[i] for i in inside]
      crops.append(
        Crop(words[at], start, start + width, tuple(_with_marks(items, found)))
      )
  return crops


def _inside(
  times: np.ndarray, order: np.ndarray, start: float, end: float
) -> list[int]:
  """Lists the words that lie between two times whole, in their order."""
  starts = times[order, 0]
  low = np.searchsorted(starts, start - _TOLERANCE)
  high = np.searchsorted(starts, end + _TOLERANCE, side="right")
  near = order[low:high]
  return sorted(near[times[near, 1] <= end + _TOLERANCE].tolist())


def _with_marks(
  items: Sequence[nxt.Word | None], words: Sequence[int]
) -> Iterator[int]:
  """Adds to words the marks that follow them."""
  for place in words:
    yield place
    following = place + 1
    while following < len(items) and items[following] is not None:
      if not items[following].is_mark:
        break
      yield following
      following += 1


def draw(total: int, count: int, seed: int) -> list[int]:
  """Draws numbers of crops, without replacement, in order.

  Args:
    total: How many there are.
    count: How many are wanted; 0 for all.
    seed: Of the draw.
  """
  if not count or count >= total:
    return list(range(total))
  rng = np.random.default_rng(seed)
  return sorted(rng.choice(total, size=count, replace=False).tolist())
