"""Reads IEMOCAP's release folder: labels, transcripts, sound, word alignments.

Rows are the utterances that raters have labelled, in the order of the release;
those whose label is none of the variant's emotions are unlabelled. Words become
word vectors, recordings openSMILE's features where the folder has them. With
features of frames, `acoustic_word` says which word each frame is in.

IEMOCAP has no official split: the protocols hold out sessions or speakers.
"""

import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.corpus import text as text_lib
from data_prep.features import alignment as frame_alignment
from data_prep.features import text_features
from data_prep.readers import sound as sound_lib
from data_prep.sources import recorded
from data_prep.sources import source as source_lib
from data_prep.sources.iemocap import account, labels
from data_prep.sources.iemocap import alignment as alignment_lib
from data_prep.sources.iemocap import release as release_lib
from mmer_jax.base.errors import UserError

FLAGS = frozenset({"input", "variant", "acoustic", *text_features.FLAGS})
_LEFT_OUT = "left out, their dialogue is of the other kind"
_WITHOUT_ALIGNMENT = "without a word alignment"
# Busso et al. 2008, "IEMOCAP", section 5.2: scales of five points.
_RATINGS = tuple(
  corpus_lib.Rating(name, 1.0, 5.0) for name in account.DIMENSIONS
)


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the release folder that the flags name."""
  choice = text_features.choose_for_speech(values)
  return build_corpus(
    source_lib.input_path(values),
    variant=labels.variant(values.variant or "4"),
    acoustic=values.acoustic,
    choice=choice,
  )


def build_corpus(
  folder: pathlib.Path,
  *,
  variant: labels.Variant,
  acoustic: str,
  choice: text_features.Choice,
) -> corpus_lib.Corpus:
  """Builds the corpus of a release folder.

  Args:
    folder: Has Session1 to Session5.
    variant: Which dialogues and labels.
    acoustic: A key of `sound.ACOUSTIC`; not read where there is no recording.
    choice: How transcripts become features.

  Raises:
    UserError: The folder is no release, or there is nothing to convert.
  """
  release = release_lib.read(folder)
  utterances, counted = _pick(folder, release, variant)
  texts = text_features.open_text(
    choice, (each.text for each in utterances), variant.emotions
  )
  sound = recorded.Recorded(
    [
      each.wav and sound_lib.Recording(number, each.evaluation.id, each.wav)
      for number, each in enumerate(utterances)
    ],
    acoustic,
  )
  words = _Words(utterances, texts, sound)
  modalities = {**texts.modalities(), **sound.modalities()}
  _require_any(modalities, folder)
  ratings, off_scale = _ratings(utterances)
  rows = _Rows(utterances, variant, texts, sound, words, ratings)
  return corpus_lib.Corpus(
    name=f"iemocap_{variant.name}",
    source="iemocap",
    layout=f"release folder of {release.dialogues} dialogues",
    emotions=variant.emotions,
    label_type="single",
    fixed_emotions=True,
    modalities=modalities,
    examples=lambda: map(rows.make, range(len(utterances))),
    total=len(utterances),
    options={
      "variant": variant.name,
      **choice.options(),
      **sound.options(),
      "release": account.describe(release),
      "alignment": words.account(),
    },
    tally={**counted, **off_scale, **words.tally},
    make=rows.make,
    files=tuple(each.wav for each in utterances if each.wav is not None),
    notes=(*account.differences(release), *_silent(sound), *words.notes()),
    has_acoustic_word=words.exist,
    ratings=_RATINGS,
    **texts.corpus_fields(),
  )


def _require_any(
  modalities: Mapping[str, corpus_lib.Modality], folder: pathlib.Path
) -> None:
  """Refuses a release without recordings where the text is not wanted."""
  if not modalities:
    raise UserError(
      f"{folder} has no recording below SessionN/sentences/wav, and"
      " --word_vectors= goes without the text; there is nothing to convert"
    )


def _pick(
  folder: pathlib.Path, release: release_lib.Release, variant: labels.Variant
) -> tuple[list[release_lib.Utterance], dict[str, int]]:
  """Picks the utterances of a variant, and counts what is read and what not."""
  utterances = [
    each
    for each in release.utterances
    if variant.kind in each.evaluation.name.dialogue
  ]
  if not utterances:
    raise UserError(
      f"{folder} has no dialogue whose name holds {variant.kind!r}; use another"
      " --variant"
    )
  counted = account.tally(release, variant)
  if len(utterances) < len(release.utterances):
    counted[_LEFT_OUT] = len(release.utterances) - len(utterances)
  return utterances, counted


def _ratings(
  utterances: Sequence[release_lib.Utterance],
) -> tuple[list[np.ndarray | None], dict[str, int]]:
  """Takes the raters' means, and counts those that no rater's scale has.

  The release has some: a mean of 5.5, and of 0.5 where a rater left the
  dominance blank.
  """
  tally: dict[str, int] = {}
  ratings = [
    scales.read(
      each.evaluation.vad,
      _RATINGS,
      scales.UNRATED,
      each.evaluation.where,
      tally,
    )
    for each in utterances
  ]
  return ratings, tally


def _silent(sound: recorded.Recorded) -> list[str]:
  if sound.modalities():
    return []
  return [
    "there is no recording below SessionN/sentences/wav: the shards hold no"
    " acoustic features"
  ]


class _Words:
  """Finds the word of each acoustic frame, where sound has frames.

  Attributes:
    exist: Whether there are frames, words, and an alignment of any utterance.
    tally: Utterances without an alignment, in words.
  """

  def __init__(
    self,
    utterances: Sequence[release_lib.Utterance],
    texts: text_features.TextFeatures,
    sound: recorded.Recorded,
  ) -> None:
    self._rate_hz = sound.frame_rate_hz
    self._counts: Counter[str] = Counter()
    self._spans: list[list[alignment_lib.Span]] = []
    self.tally: dict[str, int] = {}
    files = [each.alignment for each in utterances]
    has_words = texts.has_words
    self.exist = has_words and self._rate_hz is not None and any(files)
    if not self.exist:
      return
    for each in utterances:
      spans: list[alignment_lib.Span] = []
      if each.alignment is not None:
        spans = alignment_lib.match(
          text_lib.tokenise(each.text),
          alignment_lib.read(each.alignment, self._counts),
          self._counts,
        )
      self._spans.append(spans)
    missing = files.count(None)
    if missing:
      self.tally[_WITHOUT_ALIGNMENT] = missing

  def add(
    self,
    example: corpus_lib.Example,
    number: int,
    embedded: text_lib.Embedded | None,
  ) -> None:
    """Gives an example the word of each of its frames."""
    if not self.exist:
      return
    count = len(example.streams.get("acoustic", ()))
    word = np.full(count, -1, np.int32)
    if embedded is not None:
      spans = self._spans[number]
      word = frame_alignment.word_of_frames(
        count,
        self._rate_hz,
        [span.start for span in spans],
        [span.end for span in spans],
      )
      # Numbers of spans first, then of tokens; the last entry is that of -1.
      token = np.array([*(span.token for span in spans), -1], np.int32)
      word = frame_alignment.rows_of_frames(token[word], embedded.tokens)
    example.acoustic_word = word

  def account(self) -> dict[str, int] | None:
    """Returns what the manifest records of the alignment."""
    return dict(self._counts) if self.exist else None

  def notes(self) -> list[str]:
    """Counts the words that were not matched by their letters."""
    counts = {k: v for k, v in self._counts.items() if v}
    if not counts.keys() - {alignment_lib.MATCHED}:
      return []
    shown = ", ".join(f"{count} {what}" for what, count in counts.items())
    return [f"transcripts and alignments differ; words {shown}"]


class _Rows(NamedTuple):
  """Makes the examples, in any process."""

  utterances: list[release_lib.Utterance]
  variant: labels.Variant
  texts: text_features.TextFeatures
  sound: recorded.Recorded
  words: _Words
  ratings: Sequence[np.ndarray | None]

  def make(self, number: int) -> corpus_lib.Example:
    """Makes the example of a number."""
    utterance = self.utterances[number]
    example = _example(utterance, self.variant)
    example.ratings = self.ratings[number]
    embedded = self.texts.add(example, utterance.text)
    self.sound.add(example, number)
    self.words.add(example, number, embedded)
    return example


def _example(
  utterance: release_lib.Utterance, variant: labels.Variant
) -> corpus_lib.Example:
  """Makes the row of an utterance, as yet without features."""
  evaluation, name = utterance.evaluation, utterance.evaluation.name
  emotion = variant.emotion.get(evaluation.label)
  wanted = None
  if emotion is not None:
    wanted = np.zeros(len(variant.emotions), np.float32)
    wanted[variant.emotions.index(emotion)] = 1
  return corpus_lib.Example(
    id=evaluation.id,
    where=evaluation.where,
    streams={},
    labels=wanted,
    speaker=name.speaker,
    session=str(name.session),
    dialogue=name.dialogue,
  )
