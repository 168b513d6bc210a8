"""Builds a corpus of utterances that have a text, a recording, or both.

What lists of recordings, file names and MELD's tables have in common: their
readers make `Utterance`s, and this module the features and the examples.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from data_prep.readers import media
from data_prep.readers import sound as sound_lib
from data_prep.sources import recorded
from mmer_jax.base.errors import UserError

# Names that a message shows.
_SHOWN = 5


class Utterance(NamedTuple):
  """Says what is known of an utterance before its features.

  Attributes:
    id: Unique in the corpus.
    where: File and line, for messages.
    wav: Its recording, of sound or of video; None for none.
    text: What is said.
    label: The name of its emotion; `""` where unlabelled.
    speaker: Who speaks; `""` where not known, as for the rest.
    session: The session.
    dialogue: The dialogue.
    split: One of `corpus.SPLITS`, or `""`.
    ratings: One value per rating of the corpus; None where it has none.
  """

  id: str
  where: str
  wav: pathlib.Path | None
  text: str = ""
  label: str = ""
  speaker: str = ""
  session: str = ""
  dialogue: str = ""
  split: str = ""
  ratings: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Account:
  """Says what was read, for the manifest and for the user.

  Attributes:
    name: The corpus's name.
    source: The converter's name of the source.
    layout: What was recognised, in words.
    options: What shaped the result, besides the features.
    tally: What became of rows, in words, to how many.
    notes: What a user should know, a sentence each.
    files: What was read, besides recordings.
    ratings: The scales that utterances are rated on.
  """

  name: str
  source: str
  layout: str
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  tally: Mapping[str, int] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()
  files: tuple[pathlib.Path, ...] = ()
  ratings: tuple[corpus_lib.Rating, ...] = ()


def build(
  utterances: Sequence[Utterance],
  emotions: Sequence[str],
  account: Account,
  *,
  acoustic: str,
  choice: text_features.Choice,
  has_text: bool = True,
  keep_short: bool = False,
) -> corpus_lib.Corpus:
  """Builds the corpus of some utterances.

  Args:
    utterances: In the order of the corpus.
    emotions: In the order of the labels; every label is among them.
    account: What was read.
    acoustic: A key of `sound.ACOUSTIC`.
    choice: How texts become features.
    has_text: Whether the corpus has texts at all.
    keep_short: Whether one whose recording is too short for any feature stays,
      without sound; it is an error otherwise.

  Raises:
    UserError: There is neither sound nor text.
  """
  texts = text_features.open_text(
    choice, [each.text for each in utterances] if has_text else None, emotions
  )
  utterances, tally = list(utterances), dict(account.tally)
  if keep_short:
    _leave_short(utterances, tally, acoustic)
  sound = recorded.Recorded(_recordings(utterances), acoustic)
  modalities = {**texts.modalities(), **sound.modalities()}
  _refuse_none(modalities, account)
  rows = _Rows(utterances, emotions, texts, sound, keep_short)
  return corpus_lib.Corpus(
    name=account.name,
    source=account.source,
    layout=account.layout,
    emotions=tuple(emotions),
    label_type="single",
    modalities=modalities,
    examples=lambda: map(rows.make, range(len(utterances))),
    total=len(utterances),
    options={**account.options, **choice.options(), **sound.options()},
    tally=tally,
    notes=account.notes,
    make=rows.make,
    ratings=account.ratings,
    files=(*account.files, *filter(None, (each.wav for each in utterances))),
    **texts.corpus_fields(),
  )


def _recordings(
  utterances: Sequence[Utterance],
) -> list[sound_lib.Recording | None]:
  return [
    each.wav and sound_lib.Recording(number, each.where, each.wav)
    for number, each in enumerate(utterances)
  ]


def _leave_short(
  utterances: list[Utterance], tally: dict[str, int], acoustic: str
) -> None:
  """Takes files of sound that are too short off their utterances.

  How long the sound of a video is, is known when ffmpeg has read it.
  """
  sound, short = None, []
  for number, recording in enumerate(_recordings(utterances)):
    if recording is None or media.is_video(recording.wav):
      continue
    sound = sound or sound_lib.Sound(acoustic)
    if sound.is_too_short(recording):
      short.append(utterances[number].id)
      utterances[number] = utterances[number]._replace(wav=None)
  if short:
    tally[f"without sound: too short ({shown(short)})"] = len(short)


def _refuse_none(
  modalities: Mapping[str, corpus_lib.Modality], account: Account
) -> None:
  if not modalities:
    raise UserError(
      f"{account.layout}: neither sound nor text; give recordings, or"
      " --word_vectors=FILE for the text"
    )


class _Rows(NamedTuple):
  """Makes the rows of utterances; the arguments are those of `build`."""

  utterances: Sequence[Utterance]
  emotions: Sequence[str]
  texts: text_features.TextFeatures
  sound: recorded.Recorded
  keep_short: bool

  def make(self, number: int) -> corpus_lib.Example:
    """Makes the row of a number, in any process."""
    each = self.utterances[number]
    example = _example(each, self.emotions)
    self.texts.add(example, each.text)
    try:
      self.sound.add(example, number)
    except sound_lib.TooShort:
      if not self.keep_short:
        raise
    return example


def _example(
  utterance: Utterance, emotions: Sequence[str]
) -> corpus_lib.Example:
  """Makes the row of an utterance, as yet without features."""
  labels = None
  if utterance.label:
    labels = np.zeros(len(emotions), np.float32)
    labels[emotions.index(utterance.label)] = 1
  return corpus_lib.Example(
    id=utterance.id,
    where=utterance.where,
    streams={},
    labels=labels,
    speaker=utterance.speaker,
    session=utterance.session,
    dialogue=utterance.dialogue,
    split=utterance.split,
    ratings=utterance.ratings,
  )


def shown(names: Sequence[str]) -> str:
  """Lists the first of some names, and counts the others."""
  text = ", ".join(names[:_SHOWN])
  rest = len(names) - _SHOWN
  return f"{text} and {rest} more" if rest > 0 else text
