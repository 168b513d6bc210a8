"""Guesses which columns of a table are ratings, and on which scale."""

import re
from collections.abc import Mapping, Sequence

from data_prep.readers import table_profile
from data_prep.sources import column_names

_NAMES = re.compile(
  r"(mean|avg|emo)?(val|valence|act|activation|aro|arousal|dom|dominance"
  r"|sentiment(score)?|polarity|regressionlabels?)(mean|score|rating)?"
)
# In the order that they are tried.
_SCALES = ((1, 5), (-1, 1), (-3, 3), (1, 7), (1, 9), (0, 100))


def guess(
  columns: Mapping[str, table_profile.Column], taken: Sequence[str]
) -> dict[str, tuple[float, float]]:
  """Guesses the columns of ratings.

  Args:
    columns: What each column holds.
    taken: Columns that are something else.

  Returns:
    Column to the first usual scale that its values fit, or their range.
  """
  return {
    name: _scale(column)
    for name, column in columns.items()
    if name not in taken
    and column.kind == table_profile.NUMBER
    and column.low < column.high
    and _NAMES.fullmatch(column_names.plain(name))
  }


def _scale(column: table_profile.Column) -> tuple[float, float]:
  for low, high in _SCALES:
    if low <= column.low and column.high <= high:
      return low, high
  return column.low, column.high
