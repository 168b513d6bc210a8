"""Frames inside words, as padded arrays: one .npz of utterances by words.

The arrays of the file, n utterances of at most w words of at most f frames:

- `audio` (n, d, f, w): the frames of each word, zeros behind its last;
- `word_embeddings` (n, e, w): a vector for each word;
- `sentence_len` (n,): how many words there are;
- `label` (n,): places in `label_names`, the emotions;
- `name` (n,): ids.

Every frame belongs to a word: there is no silence. A word may lack a vector
(zeros); it stays a word.
"""

import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError

_DIMS = {
  "audio": 4,
  "word_embeddings": 3,
  "sentence_len": 1,
  "label": 1,
  "label_names": 1,
  "name": 1,
}


def build(path: pathlib.Path) -> corpus.Corpus:
  """The corpus of a file.

  Raises:
    UserError: It is not of this form.
  """
  arrays = _read(path)
  emotions = tuple(str(name) for name in arrays["label_names"])
  audio, vectors = arrays["audio"], arrays["word_embeddings"]

  def examples() -> Iterator[corpus.Example]:
    for row, name in enumerate(arrays["name"]):
      length = int(arrays["sentence_len"][row])
      word, frames = _frames(audio[row, :, :, :length])
      yield corpus.Example(
        id=str(name),
        where=f"{path} row {row}",
        streams={
          "lexical": corpus.as_float32(vectors[row, :, :length].T),
          "acoustic": corpus.as_float32(frames),
        },
        labels=np.eye(len(emotions), dtype=np.float32)[arrays["label"][row]],
        acoustic_word=word,
      )

  return corpus.Corpus(
    name="word_aligned",
    source="word_aligned",
    layout=(
      f"{audio.shape[1]} features of up to {audio.shape[2]} frames in up to"
      f" {audio.shape[3]} words"
    ),
    emotions=emotions,
    label_type="single",
    modalities={
      "lexical": corpus.Modality(
        corpus.numbered("vector", vectors.shape[1]), corpus.NO_PADDING
      ),
      "acoustic": corpus.Modality(
        corpus.numbered("audio", audio.shape[1]), corpus.NO_PADDING
      ),
    },
    examples=examples,
    total=len(arrays["name"]),
    options={},
    has_acoustic_word=True,
  )


def _frames(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The word of every frame, and the frames (t, d), of (d, f, w)."""
  by_word = np.moveaxis(audio, 2, 0)
  # A frame of zeros inside of a word is one; behind its last, padding.
  some = np.any(by_word != 0, axis=1)
  counts = np.where(
    some.any(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1), 0
  )
  word = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
  frames = [by_word[w, :, :count].T for w, count in enumerate(counts)]
  return word, np.concatenate([np.zeros((0, len(audio))), *frames])


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  if path.is_dir():
    raise UserError(f"--input={path} is a folder, expected one .npz file")
  try:
    with np.load(path, allow_pickle=False) as file:
      lacking = sorted(set(_DIMS) - set(file.files))
      if lacking:
        raise UserError(
          f"{path} lacks the arrays {', '.join(lacking)}; see"
          " data_prep/sources/word_aligned.py"
        )
      arrays = {name: file[name] for name in _DIMS}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
    if isinstance(error, UserError):
      raise
    raise UserError(f"cannot read {path} as an .npz file: {error}") from None
  n = len(arrays["name"])
  for name, dims in _DIMS.items():
    array = arrays[name]
    if array.ndim != dims or (name != "label_names" and len(array) != n):
      raise UserError(
        f"{path}: {name} has shape {array.shape}, expected {dims} dimensions"
        f" and {n} rows, one for each name"
      )
  longest = arrays["audio"].shape[3]
  if arrays["word_embeddings"].shape[2] != longest:
    raise UserError(
      f"{path}: audio has {longest} words, word_embeddings"
      f" {arrays['word_embeddings'].shape[2]}; expected as many"
    )
  for name, most in (
    ("sentence_len", longest),
    ("label", len(arrays["label_names"]) - 1),
  ):
    if n and not (0 <= arrays[name].min() and arrays[name].max() <= most):
      raise UserError(
        f"{path}: {name} goes from {arrays[name].min()} to"
        f" {arrays[name].max()}, expected 0 to {most}"
      )
  return arrays
