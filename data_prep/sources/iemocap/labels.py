"""Names the emotions of IEMOCAP and the variants of its labels."""

from collections.abc import Mapping
from typing import NamedTuple

from mmer_jax.base.errors import UserError

# Label of the release to the category that its raters choose.
CATEGORIES = {
  "neu": "neutral",
  "hap": "happiness",
  "sad": "sadness",
  "ang": "anger",
  "exc": "excited",
  "fru": "frustration",
  "sur": "surprise",
  "fea": "fear",
  "dis": "disgust",
  "oth": "other",
  # No category that most raters chose.
  "xxx": "",
}
# What raters' files call some of them besides.
SYNONYMS = {"neutral state": "neutral", "excitement": "excited"}
# Utterances of each label in the whole release (Busso et al. 2008 has the
# shares; these are the counts of its files).
PUBLISHED = {
  "neu": 1708,
  "hap": 595,
  "sad": 1084,
  "ang": 1103,
  "exc": 1041,
  "fru": 1849,
  "sur": 107,
  "fea": 40,
  "dis": 2,
  "oth": 3,
  "xxx": 2507,
}

# By name: label of the release to emotion.
CLASSES: dict[str, dict[str, str]] = {
  # Excited merged into happy, as in most papers.
  "4": {
    "neu": "neutral",
    "hap": "happy",
    "exc": "happy",
    "sad": "sad",
    "ang": "angry",
  },
  "6": {
    "neu": "neutral",
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "exc": "excited",
    "fru": "frustrated",
  },
  "all": {
    "neu": "neutral",
    "hap": "happy",
    "sad": "sad",
    "ang": "angry",
    "exc": "excited",
    "fru": "frustrated",
    "sur": "surprised",
    "fea": "fear",
    "dis": "disgust",
  },
}
# What the names of dialogues hold: Ses01F_impro01, Ses01F_script01_1.
KINDS = {"improvised": "_impro", "scripted": "_script"}


class Variant(NamedTuple):
  """Says which dialogues are read and which labels count.

  Attributes:
    name: For the name of the corpus, as `4_improvised`.
    emotion: Label of the release to emotion; others are no emotion.
    kind: What the name of a dialogue must hold; `""` for all.
  """

  name: str
  emotion: Mapping[str, str]
  kind: str

  @property
  def emotions(self) -> tuple[str, ...]:
    """The emotions, in the order of the labels."""
    return tuple(dict.fromkeys(self.emotion.values()))

  def published(self) -> int | None:
    """Counts the labelled rows in the whole release; None for one kind."""
    if self.kind:
      return None
    return sum(PUBLISHED[label] for label in self.emotion)


def variant(name: str) -> Variant:
  """Finds a variant: 4, 6 or all, a kind of dialogue, or both as 6_scripted.

  A kind by itself has the four classes.

  Raises:
    UserError: There is no such variant.
  """
  classes, *kinds = name.split("_")
  if classes in KINDS and not kinds:
    classes, kinds = "4", [classes]
  known = (*([kind] for kind in KINDS), [])
  if classes not in CLASSES or kinds not in known:
    raise UserError(
      f"--variant={name} is no variant of IEMOCAP, expected"
      f" {', '.join(CLASSES)}, {' or '.join(KINDS)}, or both as in"
      " 4_improvised"
    )
  joined = "_".join([classes, *kinds])
  return Variant(joined, CLASSES[classes], "".join(map(KINDS.get, kinds)))
