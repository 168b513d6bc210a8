"""The texts of a corpus, encoded in blocks that lie on the disk.

A corpus is read twice, and its vectors may not fit into memory: texts are
encoded in blocks of neighbours when the first of a block is asked for. Blocks
are the same in whatever order texts are asked for, and so are the batches that
the encoder sees: a corpus that several processes read has the same vectors.
"""

import os
import pathlib
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.corpus import text as text_lib
from data_prep.features import encoders
from mmer_jax.data import schema

# Texts of a block; ours: as many as the utterances that a process gets at once.
_BLOCK = 64


class EncodedTexts:
  """Holds the vectors of texts; can be copied into other processes.

  Attributes:
    encoder: What encodes them.
    has_words: Whether each row is a word.
  """

  def __init__(
    self, encoder: encoders.Encoder, texts: Iterable[str], oov: str
  ) -> None:
    """Takes every text that will be embedded, and counts its pieces."""
    self.encoder = encoder
    self.has_words = encoder.choice.pooling != encoders.SENTENCE
    self._oov = oov
    # An equal text is encoded once.
    counts = Counter(texts)
    self._texts = list(counts)
    self._place = {text: place for place, text in enumerate(self._texts)}
    # Rows of each text, and its words without a piece.
    self._rows = np.zeros(len(self._texts), np.int64)
    self._dropped: dict[int, list[int]] = {}
    self._counts = self._count(counts)
    folder = tempfile.TemporaryDirectory(prefix="encoded_")
    weakref.finalize(self, folder.cleanup)
    self._folder = pathlib.Path(folder.name)
    # The block that was read last.
    self._opened = (-1, np.zeros((0, encoder.dim), np.float32))

  def _count(self, counts: Mapping[str, int]) -> dict[str, int]:
    """Counts words and pieces; an equal text counts as often as it is there."""
    total: Counter[str] = Counter()
    missing = set()
    for place, pieces in enumerate(self._pieces()):
      times = counts[self._texts[place]]
      dropped = [i for i, own in enumerate(pieces.places) if not len(own)]
      self._rows[place] = len(pieces.places) - len(dropped)
      if not self.has_words:
        self._rows[place] = min(len(pieces.places), 1)
      if dropped:
        self._dropped[place] = dropped
        words = text_lib.tokenise(self._texts[place])
        missing.update(words[i].lower() for i in dropped)
      total["tokens"] += times * len(pieces.places)
      total["oov_tokens"] += times * len(dropped)
      total["pieces"] += times * sum(map(len, pieces.windows))
      total["unknown_pieces"] += times * pieces.unknown
      total["texts_in_windows"] += times * (len(pieces.windows) > 1)
    names = ("tokens", "oov_tokens", "pieces", "unknown_pieces")
    every = dict.fromkeys((*names, "texts_in_windows"), 0)
    return {**every, **total, "oov_types": len(missing)}

  def _pieces(self) -> Iterator[encoders.Pieces]:
    for first in range(0, len(self._texts), _BLOCK):
      yield from self.encoder.pieces(self._texts[first : first + _BLOCK])

  def embed(self, text: str) -> text_lib.Embedded:
    """Embeds one of the texts."""
    place = self._place[text]
    number, within = divmod(place, _BLOCK)
    first = number * _BLOCK
    start = int(self._rows[first : first + within].sum())
    rows = self._block(number)[start : start + self._rows[place]].copy()
    if not self.has_words:
      return text_lib.Embedded(None, rows, np.full(len(rows), -1, np.int32))
    words = text_lib.tokenise(text)
    dropped = self._dropped.get(place, [])
    kept = np.delete(np.arange(len(words), dtype=np.int32), dropped)
    if dropped and self._oov == "zero":
      padded = np.zeros((len(words), self.encoder.dim), np.float32)
      padded[kept] = rows
      rows, kept = padded, np.arange(len(words), dtype=np.int32)
    return text_lib.Embedded([words[i] for i in kept], rows, kept)

  def _block(self, number: int) -> np.ndarray:
    """Reads the rows of a block, which are encoded where they are not yet."""
    if self._opened[0] != number:
      self._opened = (number, self._read(self._folder / f"{number}.npy"))
    return self._opened[1]

  def _read(self, file: pathlib.Path) -> np.ndarray:
    if not file.exists():
      first = int(file.stem) * _BLOCK
      encoded = self.encoder.encode(self._texts[first : first + _BLOCK])
      # Another machine may not have it yet.
      self._folder.mkdir(parents=True, exist_ok=True)
      # Whole or absent, for other processes that look for it.
      part = file.with_suffix(f".{os.getpid()}.part")
      with part.open("wb") as opened:
        np.save(opened, np.concatenate(encoded))
      part.rename(file)
    return np.load(file)

  def account(self, emotions: schema.EmotionVectors) -> dict[str, Any]:
    """Returns the manifest's account of the texts and of their encoder."""
    encoder, choice, counts = self.encoder, self.encoder.choice, self._counts
    return {
      "tokeniser": text_lib.TOKENISER,
      "oov_policy": self._oov,
      **{key: counts[key] for key in ("tokens", "oov_tokens", "oov_types")},
      "emotions_without_vector": text_lib.without_vector(emotions),
      "encoder": {
        "name": choice.label,
        "sha256": encoder.digest,
        "layer": encoder.layer,
        "pooling": choice.pooling,
        "max_length": encoder.max_length,
        "dim": encoder.dim,
        "transformers": encoder.version,
        **{
          key: counts[key]
          for key in ("pieces", "unknown_pieces", "texts_in_windows")
        },
      },
      "encoder_identity": encoder.identity(),
    }


def emotion_vectors(
  encoder: encoders.Encoder,
  names: Sequence[str],
  words: Mapping[str, Sequence[str]],
) -> schema.EmotionVectors:
  """Encodes for each emotion the first of its words that has a vector.

  Args:
    encoder: That of the texts.
    names: Emotions in the order of the labels.
    words: Emotion to its words in order of preference; phrases may be among
      them.
  """
  chosen, vectors = [], []
  for name in names:
    for word in text_lib.composed(words[name]):
      vector = word_vector(encoder, word)
      if vector is not None:
        break
    else:
      word, vector = "", np.zeros(encoder.dim, np.float32)
    chosen.append(word)
    vectors.append(vector)
  table = np.array(vectors, np.float32).reshape(len(chosen), encoder.dim)
  return schema.EmotionVectors(tuple(names), tuple(chosen), table)


def word_vector(encoder: encoders.Encoder, word: str) -> np.ndarray | None:
  """Encodes a word or a phrase as a text of its own: the mean of its rows.

  Returns:
    (dim,) float32; None where the encoder's tokeniser drops it.
  """
  (rows,) = encoder.encode([word])
  return rows.mean(axis=0) if len(rows) else None
