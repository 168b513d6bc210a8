"""Splits text into words and finds their vectors.

Text is composed first (Unicode's NFC), so that letters with accents are the
same however they were typed. The tokeniser keeps words whole (`don't`,
`mm-hmm`, `U.S`, `1,000`), takes every other mark by itself (`...` and `--` in
one), and keeps tags such as `{vocalsound}` and `[laughter]` in one piece.
Combining marks (accents that have no letter of their own, the vowel signs of
Thai and Devanagari) belong to their word, and so do modifier apostrophes and
joiners inside of it. Curly quotes, dashes and the ellipsis become their ASCII
forms first, and so do the same marks where a Windows code page left them as
control characters.

A word is looked up in lower case, then as written, then, if it is a number, as
`<number>`. Where none of these has a vector, a compound falls into its pieces
(`don't` into `do` and `n't`, `mm-hmm` into `mm` and `hmm`, `[laughter]` into
`laughter`), each looked up in the same way. So vectors whose corpus kept
contractions whole (GloVe's Twitter vectors) and vectors whose corpus split them
as the Penn Treebank does (GloVe 6B, 42B, 840B) are both met on their own terms.

A token without a vector is out of vocabulary: `skip` leaves it out, `zero`
keeps its place as a row of zeros. Either way the manifest counts it.
"""

import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax.data import schema, word_vectors

TOKENISER = "words-2"
OOV_POLICIES = ("skip", "zero")

_MARKS = str.maketrans(
  {
    "\u2018": "'",
    "\u2019": "'",
    "\u201b": "'",
    "\u00b4": "'",
    "`": "'",
    "\x91": "'",
    "\x92": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u201e": '"',
    "\x93": '"',
    "\x94": '"',
    "\u2026": "...",
    "\x85": "...",
    "\u2013": "--",
    "\u2014": "--",
    "\u2015": "--",
    "\x96": "--",
    "\x97": "--",
    "\u2010": "-",
    "\u2011": "-",
    # A break without a width, and what shows nothing.
    "\u200b": " ",
    "\u00ad": None,
    "\ufeff": None,
    "\ufe0e": None,
    "\ufe0f": None,
  }
)


def _combining_marks() -> str:
  """Lists the marks of Unicode as ranges of a regular expression."""
  marks = [
    code
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)).startswith("M")
  ]
  ranges, first = [], marks[0]
  for code, following in itertools.pairwise([*marks, -1]):
    if following != code + 1:
      ranges.append(f"{chr(first)}-{chr(code)}")
      first = following
  return "".join(ranges)


_MARK = _combining_marks()
_LETTERS = rf"(?:[^\W_]|[{_MARK}])+"
_TOKEN = re.compile(
  r"\{[^{}\s]+\}|\[[^\[\]\s]+\]"
  # Joiners without a width are part of Persian and Indic words.
  rf"|{_LETTERS}(?:(?:['\-.\u200c\u200d]|(?<=\d),(?=\d)){_LETTERS})*"
  rf"|\.\.+|--+|(?:[^\w\s]|_)[{_MARK}]*"
)
# The modifier letter apostrophe, inside of a word.
_APOSTROPHE = re.compile(r"(?<=\w)\u02bc(?=\w)")
_CONTRACTION = re.compile(
  r"(?i)^(?P<stem>.+?)(?P<rest>n't|'(?:s|m|d|re|ve|ll))$"
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NUMBER = "<number>"


def tokenise(text: str) -> list[str]:
  """Splits a text into words, in the case they were written in."""
  return _TOKEN.findall(_plain(text))


def spans(text: str) -> tuple[str, list[tuple[int, int]]]:
  """Finds where the words of `tokenise` stand.

  Returns:
    The text as the tokeniser reads it, and the start and the end of each word
    in it.
  """
  plain = _plain(text)
  return plain, [match.span() for match in _TOKEN.finditer(plain)]


def _plain(text: str) -> str:
  """Composes a text, and gives its marks their ASCII forms."""
  text = word_vectors.normal_form(text).translate(_MARKS)
  return _APOSTROPHE.sub("'", text)


def candidates(word: str) -> tuple[str, ...]:
  """Lists the forms a word is looked up under, in order."""
  forms = (word.lower(), word)
  return (*forms, NUMBER) if _NUMBER.fullmatch(word) else forms


def pieces(word: str) -> list[str]:
  """Splits a compound into its pieces; none for a simple word."""
  parts = []
  for part in re.split(r"[-.\[\]{}]+", word):
    contraction = _CONTRACTION.match(part)
    if contraction:
      parts += [contraction["stem"], contraction["rest"]]
    elif part:
      parts.append(part)
  return [] if parts == [word] else parts


class Embedded(NamedTuple):
  """Holds a text as a model reads it.

  Attributes:
    words: The word of each row; None where rows are no words.
    rows: The vectors, (t, d) float32.
    tokens: The word that each row belongs to, as its number among those of
      `tokenise`, (t,) int32; -1 where rows are no words. A compound that falls
      into pieces has several rows, a word that is left out has none.
  """

  words: list[str] | None
  rows: np.ndarray
  tokens: np.ndarray


class Lexicon:
  """Maps a corpus's words to the forms that have vectors.

  Attributes:
    dim: Numbers of a vector.
    tokens: Words of the corpus.
    oov_tokens: Words without a vector.
    oov_types: Different words without a vector.
    used: Form to vector, the most frequent first.
  """

  def __init__(
    self, counts: Counter[str], vectors: word_vectors.WordVectors
  ) -> None:
    """Takes how often each word occurs, and the vectors of their forms."""
    self.dim = vectors.dim
    self._vectors = vectors.vectors
    self._resolved = {word: self._resolve(word) for word in counts}
    tokens: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for word, count in counts.items():
      for form, has_vector in self._resolved[word]:
        tokens[form] += count
        if not has_vector:
          missing[form] += count
    self.tokens = tokens.total()
    self.oov_tokens = missing.total()
    self.oov_types = len(missing)
    self.used = {
      form: vectors.vectors[form]
      for form, _ in sorted(
        tokens.items(), key=lambda item: (-item[1], item[0])
      )
      if form in vectors.vectors
    }

  def _resolve(self, word: str) -> list[tuple[str, bool]]:
    whole = self._find(word)
    if whole is not None:
      return [(whole, True)]
    resolved = []
    for piece in pieces(word) or [word]:
      form = self._find(piece)
      if form is None:
        resolved.append((piece.lower(), False))
      else:
        resolved.append((form, True))
    return resolved

  def _find(self, word: str) -> str | None:
    for form in candidates(word):
      if form in self._vectors:
        return form
    return None

  def embed(self, text: str, oov: str) -> Embedded:
    """Embeds a text that was counted."""
    words, rows, tokens = [], [], []
    zeros = np.zeros(self.dim, np.float32)
    for token, word in enumerate(tokenise(text)):
      for form, has_vector in self._resolved[word]:
        if has_vector or oov == "zero":
          words.append(form)
          rows.append(self._vectors[form] if has_vector else zeros)
          tokens.append(token)
    return Embedded(
      words,
      np.array(rows, np.float32).reshape(len(rows), self.dim),
      np.array(tokens, np.int32),
    )

  def summary(self, oov: str, emotions: schema.EmotionVectors) -> dict:
    """Returns the manifest's account of the text."""
    return {
      "tokeniser": TOKENISER,
      "oov_policy": oov,
      "tokens": self.tokens,
      "oov_tokens": self.oov_tokens,
      "oov_types": self.oov_types,
      "emotions_without_vector": without_vector(emotions),
    }


def forms(counts: Iterable[str]) -> set[str]:
  """Collects every form that any of the words may be looked up under."""
  wanted = set()
  for word in counts:
    for part in (word, *pieces(word)):
      wanted.update(candidates(part))
  return wanted


def composed(words: Iterable[str]) -> list[str]:
  """Composes words as those of texts and of vectors are (NFC)."""
  return [word_vectors.normal_form(word) for word in words]


def emotion_vectors(
  names: Sequence[str],
  words: dict[str, tuple[str, ...]],
  vectors: word_vectors.WordVectors,
) -> schema.EmotionVectors:
  """Chooses for each emotion its first candidate word with a vector.

  Args:
    names: Emotions in the order of the labels.
    words: Emotion to its candidates in order of preference, looked up exactly
      as written.
    vectors: Read with every candidate among the wanted words.
  """
  chosen = tuple(
    next(
      (form for form in composed(words[name]) if form in vectors.vectors), ""
    )
    for name in names
  )
  table = np.zeros((len(chosen), vectors.dim), np.float32)
  for row, word in enumerate(chosen):
    if word:
      table[row] = vectors.vectors[word]
  return schema.EmotionVectors(tuple(names), chosen, table)


def without_vector(emotions: schema.EmotionVectors) -> list[str]:
  """Lists the emotions for which no candidate had a vector."""
  return [
    name
    for name, word in zip(emotions.names, emotions.words, strict=True)
    if not word
  ]


# Words for emotions by the names that data sets give them, in order of
# preference. The first are those of Dai et al. 2020, where they name one.
EMOTION_WORDS = {
  "anger": ("anger", "angry"),
  "angry": ("angry", "anger"),
  "boredom": ("boredom", "bored"),
  "disgust": ("disgust", "disgusted", "disgusting"),
  "excited": ("exciting", "excited", "excitement"),
  "exciting": ("exciting", "excited", "excitement"),
  "fear": ("fear", "afraid", "scared"),
  "fearful": ("fearful", "fear", "afraid"),
  "frustrated": ("frustrating", "frustrated", "frustration"),
  "frustrating": ("frustrating", "frustrated", "frustration"),
  "happiness": ("happiness", "happy"),
  "happy": ("happy", "happiness"),
  "joy": ("joy", "happiness", "happy"),
  "sad": ("sad", "sadness"),
  "sadness": ("sadness", "sad"),
  "surprise": ("surprise", "surprised"),
  "surprised": ("surprising", "surprised", "surprise"),
  "surprising": ("surprising", "surprised", "surprise"),
  "negative": ("negative", "bad"),
  "positive": ("positive", "good"),
}
