"""Gives every utterance of a pickle an id of its own."""

from data_prep.sources.pickles import family as family_lib

_SHOWN = 3


class Names:
  """Names the utterances: by their ids where those are unique.

  An id that stands more than once is put behind its split (`test/abc`), and
  numbered where it stands there more than once.

  Attributes:
    names: The ids, in the order of the utterances.
    texts: Their transcripts, in the same order.
    notes: Which ids stood more than once, in a sentence.
  """

  def __init__(self, family: family_lib.Family) -> None:
    """Goes through the utterances once."""
    found, self.texts = [], []
    splits: dict[str, list[str]] = {}
    own_text = "lexical" in family.streams or not family.has_words
    for utterance in family.utterances({}):
      found.append((utterance.id, utterance.split))
      splits.setdefault(utterance.id, []).append(utterance.split)
      words = " ".join(utterance.words or ())
      self.texts.append(utterance.text if own_text else words)
    twice = {name: sides for name, sides in splits.items() if len(sides) > 1}
    taken = splits.keys() - twice.keys()
    self.names = [
      _free(name, split, taken) if name in twice else name
      for name, split in found
    ]
    self.notes = [_note(twice)] if twice else []


def _free(name: str, split: str, taken: set[str]) -> str:
  """Names an utterance by split and id, numbered where that is taken."""
  first = f"{split}/{name}" if split else name
  free, number = first, 2
  while free in taken:
    free, number = f"{first}#{number}", number + 1
  taken.add(free)
  return free


def _note(twice: dict[str, list[str]]) -> str:
  names = list(twice)
  shown = ", ".join(repr(name) for name in names[:_SHOWN])
  if len(names) > _SHOWN:
    shown += f" and {len(names) - _SHOWN} others"
  across = sum(len(set(sides)) > 1 for sides in twice.values())
  stand = "1 id stands" if len(names) == 1 else f"{len(names)} ids stand"
  return (
    f"{stand} more than once ({shown}), {across} of them in several splits;"
    " those utterances are named by split and id"
  )
