"""Features of texts: word vectors or an encoder, in one object for any source.

A source that has text opens its features once, with all of its texts, and adds
them to its examples:

  features = text_features.open_text(choice, texts, emotions, words)
  modalities = {**features.modalities(), "acoustic": ...}
  ...
  features.add(example, written)
  ...
  corpus.Corpus(..., **features.corpus_fields())

`choice` is what the command line says (`choose`). Without word vectors and
encoder the features are none: `modalities` is empty and `add` does nothing.
"""

import dataclasses
import functools
import pathlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import text as text_lib
from data_prep.features import encoded_texts, encoders
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from mmer_jax.data import word_vectors as word_vectors_lib


class Choice(NamedTuple):
  """Says how texts become features.

  Attributes:
    word_vectors: A file of word vectors; None to go without.
    oov: A policy of `text.OOV_POLICIES`.
    encoder: An encoder in the place of word vectors; None for none.
    reader: Finds the vectors of words in the place of a file; None for none.
    opened: The encoder, where it is open already; None where it is not.
  """

  word_vectors: pathlib.Path | None = None
  oov: str = "skip"
  encoder: encoders.EncoderChoice | None = None
  reader: Callable[[set[str]], word_vectors_lib.WordVectors] | None = None
  opened: encoders.Encoder | None = None

  @property
  def is_none(self) -> bool:
    """Whether texts are to have no features."""
    return (self.word_vectors, self.encoder, self.reader) == (None, None, None)

  def read(self, wanted: set[str]) -> word_vectors_lib.WordVectors:
    """Reads the vectors of words; without an encoder alone."""
    if self.reader is not None:
      return self.reader(wanted)
    return word_vectors_lib.read(self.word_vectors, wanted)

  def options(self) -> dict[str, Any]:
    """Returns what the manifest records of the choice; no paths."""
    options = {
      "word_vectors": self.word_vectors.name if self.word_vectors else None,
      "oov": None if self.is_none else self.oov,
    }
    if self.encoder is not None:
      options["text_encoder"] = self.encoder.label
    return options


_OF_ENCODERS = ("text_layer", "text_pooling", "text_max_length")
# The flags that `choose` reads; a source with text lists them among its own.
FLAGS = frozenset({"word_vectors", "oov", "text_encoder", *_OF_ENCODERS})


def choose(values: flags.FlagValues) -> Choice:
  """Reads the choice from the command line.

  Raises:
    UserError: Word vectors and an encoder are given, or flags of an encoder
      without one.
  """
  path = pathlib.Path(values.word_vectors) if values.word_vectors else None
  if not values.text_encoder:
    for name in _OF_ENCODERS:
      if values[name].present:
        raise UserError(
          f"--{name} does nothing without --text_encoder; give one or leave it"
        )
    return Choice(path, values.oov)
  if path is not None:
    raise UserError(
      f"--word_vectors={path} and --text_encoder={values.text_encoder} are both"
      " given; text becomes one of them, leave the other"
    )
  return Choice(None, values.oov, encoder_choice(values))


def choose_for_speech(values: flags.FlagValues) -> Choice:
  """Reads the choice for a source of speech, which may go without its text.

  Raises:
    UserError: As `choose`, or nothing says what becomes of the text.
  """
  choice = choose(values)
  if choice.is_none and values.word_vectors is None:
    raise UserError(
      f"--source={values.source} needs --word_vectors=FILE or --text_encoder"
      " for the text; --word_vectors= goes without"
    )
  return choice


def encoder_choice(values: flags.FlagValues) -> encoders.EncoderChoice:
  """Reads the choice of an encoder, which is given, from the command line."""
  return encoders.EncoderChoice(
    values.text_encoder,
    values.text_layer,
    values.text_pooling,
    values.text_max_length,
  )


@dataclasses.dataclass(frozen=True)
class TextFeatures:
  """Holds the features of a corpus's texts.

  Attributes:
    modality: Describes the rows; None where texts have no features.
    embed: Makes the rows of one of the texts that the features were opened
      with; None where texts have no features.
    has_words: Whether each row is a word.
    emotions: Vectors of the emotions in the same space; None for none.
    account: What the manifest says of the text; None without features.
    word_vectors: The vectors of the words of the texts, the most frequent
      first; empty where a word has no vector of its own.
  """

  modality: corpus_lib.Modality | None = None
  embed: Callable[[str], text_lib.Embedded] | None = None
  has_words: bool = False
  emotions: schema.EmotionVectors | None = None
  account: dict[str, Any] | None = None
  word_vectors: Mapping[str, np.ndarray] = dataclasses.field(
    default_factory=dict
  )

  def modalities(self) -> dict[str, corpus_lib.Modality]:
    """Returns the lexical modality by its name; nothing without features."""
    return {} if self.modality is None else {"lexical": self.modality}

  def add(
    self, example: corpus_lib.Example, written: str
  ) -> text_lib.Embedded | None:
    """Gives an example the rows of its text, and their words.

    Args:
      example: Gets `words` and the stream `lexical`.
      written: Its text, one of those that the features were opened with.

    Returns:
      What was added; None without features.
    """
    if self.embed is None:
      return None
    embedded = self.embed(written)
    example.words = embedded.words
    example.streams = {"lexical": embedded.rows, **example.streams}
    return embedded

  def corpus_fields(self) -> dict[str, Any]:
    """Returns what a `Corpus` says of its text, as keyword arguments."""
    return {
      "vectors": self.emotions,
      "text": self.account,
      "word_vectors": self.word_vectors,
      "has_words": self.has_words,
    }


def open_text(
  choice: Choice,
  texts: Iterable[str] | None,
  emotions: Sequence[str],
  words: Mapping[str, Sequence[str]] | None = None,
) -> TextFeatures:
  """Opens the features of a corpus's texts.

  Args:
    choice: From `choose`.
    texts: Every text that will be embedded; None where the corpus has none
      and only the emotions need vectors.
    emotions: In the order of the labels.
    words: Emotion to the words that may stand for it, in order of preference;
      None for those of `text.EMOTION_WORDS`, or the emotion's own name.

  Raises:
    UserError: The word vectors cannot be read, or the encoder not be loaded.
  """
  if choice.is_none:
    return TextFeatures()
  if words is None:
    words = {
      name: text_lib.EMOTION_WORDS.get(name, (name,)) for name in emotions
    }
  if choice.encoder is None:
    return _of_word_vectors(choice, texts, emotions, words)
  encoder = choice.opened or encoders.Encoder(choice.encoder)
  found = encoded_texts.emotion_vectors(encoder, emotions, words)
  if texts is None:
    return TextFeatures(emotions=found)
  encoded = encoded_texts.EncodedTexts(encoder, texts, choice.oov)
  return TextFeatures(
    modality=corpus_lib.Modality(
      corpus_lib.numbered("encoded", encoder.dim), corpus_lib.NO_PADDING
    ),
    embed=encoded.embed,
    has_words=encoded.has_words,
    emotions=found,
    account=encoded.account(found),
  )


def _of_word_vectors(
  choice: Choice,
  texts: Iterable[str] | None,
  emotions: Sequence[str],
  words: Mapping[str, Sequence[str]],
) -> TextFeatures:
  """Opens the vectors of a file for the words of the texts."""
  counts: Counter[str] = Counter()
  for written in texts or ():
    counts.update(text_lib.tokenise(written))
  wanted = text_lib.forms(counts).union(*map(text_lib.composed, words.values()))
  vectors = choice.read(wanted)
  found = text_lib.emotion_vectors(emotions, words, vectors)
  if texts is None:
    return TextFeatures(emotions=found)
  lexicon = text_lib.Lexicon(counts, vectors)
  return TextFeatures(
    modality=corpus_lib.Modality(
      corpus_lib.numbered("vector", lexicon.dim), corpus_lib.NO_PADDING
    ),
    embed=functools.partial(lexicon.embed, oov=choice.oov),
    has_words=True,
    emotions=found,
    account=lexicon.summary(choice.oov, found),
    word_vectors=lexicon.used,
  )
