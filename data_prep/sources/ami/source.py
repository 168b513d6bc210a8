"""Reads the AMI corpus in NXT's format: speech without labels.

The folder has `words`, `segments` and `corpusResources/meetings.xml`, as AMI's
manual annotations. Rows are the segments of the transcripts, or crops of a
fixed width around three words in a row. Speakers are the people, who meet
several times; where meetings.xml does not name one, the agent of the meeting.

Sound is read where it lies beside: each person's headset, or the headsets'
mix, as `MEETING/audio/MEETING.Headset-0.wav` or `MEETING.Mix-Headset.wav`.
"""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import text as text_lib
from data_prep.features import alignment, text_features
from data_prep.sources import recorded
from data_prep.sources import source as source_lib
from data_prep.sources.ami import cuts as cuts_lib
from data_prep.sources.ami import meetings as meetings_lib
from data_prep.sources.ami import nxt
from mmer_jax.base.errors import UserError

FLAGS = frozenset(
  {
    *("input", "emotions", "acoustic", "crop", "crops", "seed"),
    *text_features.FLAGS,
  }
)
# What a model of IEMOCAP's four classes would be asked about.
EMOTIONS = ("neutral", "happy", "sad", "angry")
_UNNAMED = "of people without a name in meetings.xml: another in each meeting"


def define(values: flags.FlagValues) -> None:
  """Defines the flags of this source."""
  flags.DEFINE_float(
    "crop",
    None,
    "ami: crops of so many seconds around three words in a row, in place of"
    " segments; 7.2 beside IEMOCAP, 3.5 beside MELD.",
    lower_bound=0.1,
    flag_values=values,
  )
  flags.DEFINE_integer(
    "crops",
    cuts_lib.CROPS,
    "ami: how many crops are drawn; 0 for all.",
    lower_bound=0,
    flag_values=values,
  )


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the folder that the flags name."""
  choice = text_features.choose_for_speech(values)
  crops = None
  if values.crop is not None:
    crops = cuts_lib.Crops(values.crop, values.crops, values.seed)
  for name in ("crops", "seed"):
    if crops is None and values[name].present:
      raise UserError(
        f"--{name} is of crops; give --crop=SECONDS, such as 7.2, too"
      )
  return build_corpus(
    source_lib.input_path(values),
    emotions=tuple(values.emotions or EMOTIONS),
    acoustic=values.acoustic,
    choice=choice,
    crops=crops,
  )


def build_corpus(
  folder: pathlib.Path,
  *,
  emotions: tuple[str, ...],
  acoustic: str,
  choice: text_features.Choice,
  crops: cuts_lib.Crops | None = None,
) -> corpus_lib.Corpus:
  """Builds the corpus of a folder.

  Args:
    folder: Has words, segments and corpusResources.
    emotions: That a model will be asked about; no row is labelled.
    acoustic: A key of `sound.ACOUSTIC`; not read where there is no recording.
    choice: How words become features.
    crops: What is drawn; None for the segments of the transcripts.

  Raises:
    UserError: The folder is not AMI's, or a file cannot be read.
  """
  counts: Counter[str] = Counter()
  files = cuts_lib.find(folder)
  cuts = cuts_lib.cut(folder, files, crops, counts)
  meetings = meetings_lib.Meetings(folder, files)
  texts = text_features.open_text(
    choice, (meetings.text(cut) for cut in cuts), emotions
  )
  recordings = meetings.recordings(cuts, counts)
  sound = recorded.Recorded(recordings, acoustic)
  modalities = {**texts.modalities(), **sound.modalities()}
  if not modalities:
    raise UserError(
      f"{folder} has no recording, and --word_vectors= goes without the words;"
      " there is nothing to convert"
    )
  rows = _Rows(meetings, cuts, texts, sound)
  return corpus_lib.Corpus(
    name="ami",
    source="ami",
    layout=f"NXT, {len(files)} files of words",
    emotions=emotions,
    label_type="single",
    modalities=modalities,
    examples=lambda: map(rows.make, range(len(cuts))),
    total=len(cuts),
    options={
      "crops": crops and crops._asdict(),
      **choice.options(),
      **sound.options(),
      "found": {what: n for what, n in sorted(counts.items()) if n},
    },
    tally=_tally(counts, meetings, cuts),
    notes=(*meetings.notes(), *_too_few(cuts, crops)),
    make=rows.make,
    files=tuple({each.wav: None for each in recordings if each is not None}),
    has_acoustic_word=_has_acoustic_word(texts, sound),
    **texts.corpus_fields(),
  )


def _too_few(
  cuts: Sequence[cuts_lib.Cut], crops: cuts_lib.Crops | None
) -> list[str]:
  """Says where the corpus has fewer crops than are wanted."""
  if crops is None or len(cuts) >= crops.count:
    return []
  return [
    f"--crops={crops.count} of {crops.width:g} s were wanted, and there are"
    f" {len(cuts)}: all are taken"
  ]


def _has_acoustic_word(
  texts: text_features.TextFeatures, sound: recorded.Recorded
) -> bool:
  """Tells whether there are frames, and rows that they may belong to."""
  return texts.has_words and sound.frame_rate_hz is not None


class _Rows(NamedTuple):
  """Makes the examples, in any process."""

  meetings: meetings_lib.Meetings
  cuts: Sequence[cuts_lib.Cut]
  texts: text_features.TextFeatures
  sound: recorded.Recorded

  def make(self, number: int) -> corpus_lib.Example:
    """Makes the example of a number."""
    cut = self.cuts[number]
    example = self.meetings.example(cut)
    embedded = self.texts.add(example, self.meetings.text(cut))
    self.sound.add(example, number)
    if _has_acoustic_word(self.texts, self.sound):
      example.acoustic_word = _word_of_frames(
        len(example.streams.get("acoustic", ())),
        self.sound.frame_rate_hz,
        cut.start,
        self.meetings.words(cut),
        embedded,
      )
    return example


def _tally(
  counts: Counter[str],
  meetings: meetings_lib.Meetings,
  cuts: Sequence[cuts_lib.Cut],
) -> dict[str, int]:
  """Counts what was left out or guessed, in words."""
  left_out = (
    *(cuts_lib.WITHOUT_WORDS, cuts_lib.WITHOUT_SEGMENTS),
    *(nxt.WITHOUT_TIMES, nxt.WITHOUT_LINK),
    *(meetings_lib.SHORT, meetings_lib.CUT_SHORT),
  )
  tally = {what: counts[what] for what in left_out}
  tally[_UNNAMED] = sum(not meetings.is_named(cut) for cut in cuts)
  return {what: count for what, count in tally.items() if count}


def _word_of_frames(
  count: int,
  rate_hz: float,
  first: float,
  words: Sequence[nxt.Word],
  embedded: text_lib.Embedded,
) -> np.ndarray:
  """Finds the lexical row of each frame, by the times of the words."""
  tokens, starts, ends, total = [], [], [], 0
  for word in words:
    written = text_lib.tokenise(word.text)
    if word.is_timed:
      # Of a word that is several tokens each has as much time.
      own = [i for i, token in enumerate(written) if token[0].isalnum()]
      borders = np.linspace(word.start, word.end, len(own) + 1)
      tokens += [total + i for i in own]
      starts += borders[:-1].tolist()
      ends += borders[1:].tolist()
    total += len(written)
  span = alignment.word_of_frames(count, rate_hz, starts, ends, first)
  token = np.array([*tokens, -1], np.int32)
  return alignment.rows_of_frames(token[span], embedded.tokens)
