"""Reads frames inside words, as padded arrays: one .npz of utterances.

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
from collections.abc import Iterator

import numpy as np

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files, table_files

# Dimensions and NumPy's kinds of each array.
_REAL, _WHOLE, _TEXT = "fiub", "iu", "US"
_KIND_NAMES = {_REAL: "real numbers", _WHOLE: "whole numbers", _TEXT: "text"}
_ARRAYS = {
  "audio": (4, _REAL),
  "word_embeddings": (3, _REAL),
  "sentence_len": (1, _WHOLE),
  "label": (1, _WHOLE),
  "label_names": (1, _TEXT),
  "name": (1, _TEXT),
}


def build(path: pathlib.Path) -> corpus.Corpus:
  """Builds the corpus of a file.

  Raises:
    UserError: It is not of this form.
  """
  arrays = _read(path)
  emotions = tuple(
    table_files.as_text(name, str(path), "label_names")
    for name in arrays["label_names"]
  )
  audio, vectors = arrays["audio"], arrays["word_embeddings"]

  def examples() -> Iterator[corpus.Example]:
    for row, name in enumerate(arrays["name"]):
      length = int(arrays["sentence_len"][row])
      word, frames = _frames(audio[row, :, :, :length])
      yield corpus.Example(
        id=table_files.as_text(name, f"{path} row {row}", "name"),
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
  """Lists the word of every frame, and the frames (t, d), of (d, f, w)."""
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
  """Reads the arrays of a file and checks that they fit each other."""
  if path.is_dir():
    raise UserError(f"--input={path} is a folder, expected one .npz file")
  headers = npz_files.headers(path)
  missing = sorted(set(_ARRAYS) - set(headers))
  if missing:
    raise UserError(
      f"{path} lacks the arrays {', '.join(missing)}; see"
      " data_prep/sources/word_aligned.py"
    )
  arrays = {}
  for name, (dims, kinds) in _ARRAYS.items():
    npz_files.check_kind(path, name, headers[name])
    if headers[name].dtype.kind not in kinds:
      raise UserError(
        f"{path}: {name} holds {headers[name].dtype}, expected"
        f" {_KIND_NAMES[kinds]}"
      )
    try:
      with np.load(path, allow_pickle=False) as file:
        arrays[name] = file[name]
    except npz_files.DAMAGE as error:
      reason = " ".join(str(error).split())
      raise UserError(
        f"cannot read {path} as an .npz file: {reason}; is it damaged?"
      ) from None
    if arrays[name].ndim != dims:
      raise UserError(
        f"{path}: {name} has shape {arrays[name].shape}, expected {dims}"
        " dimensions"
      )
  _check_sizes(path, arrays)
  return arrays


def _check_sizes(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
  """Checks the rows, the words and the ranges of indices."""
  n = len(arrays["name"])
  for name, array in arrays.items():
    if name != "label_names" and len(array) != n:
      raise UserError(
        f"{path}: {name} has shape {array.shape}, expected"
        f" {_ARRAYS[name][0]} dimensions and {n} rows, one for each name"
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
