"""Keeps the recordings that every sequence has."""

from collections.abc import Iterable, Mapping

EXACT, REFERENCE = "exact", "reference"
UNIFY = (EXACT, REFERENCE)


def common(recordings: Mapping[str, Iterable[str]]) -> set[str]:
  """Returns the recordings that every sequence has, by their exact names."""
  return set.intersection(*(set(names) for names in recordings.values()))


def dropped_by_prefix(recordings: Mapping[str, Iterable[str]]) -> list[str]:
  """Lists common recordings that the SDK drops, since they begin as others do.

  It drops a recording that some sequence lacks by the beginning of its name:
  dropping `25522` of CMU-MOSEI drops `255224` and `255226`, too
  (CMU-MultimodalSDK, mmsdk/mmdatasdk).

  Args:
    recordings: Sequence to its recordings.
  """
  kept = common(recordings)
  gone = tuple(set().union(*map(set, recordings.values())) - kept)
  return sorted(name for name in kept if name.startswith(gone))
