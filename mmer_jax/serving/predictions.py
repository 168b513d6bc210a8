"""Predicts every utterance of a file or a shard folder."""

import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax.base import errors, progress
from mmer_jax.data import table_files
from mmer_jax.serving import checks, inputs, rows
from mmer_jax.serving import model as model_lib
from mmer_jax.serving import words as words_lib

# Utterances that are in memory at a time.
_CHUNK = 256


class Request(NamedTuple):
  """Says how to predict, see `predict_file`."""

  modalities: Sequence[str] = ()
  emotions: Sequence[str] = ()
  words: pathlib.Path | None = None
  explain: bool = False
  check_scale: bool = True


@progress.doing("predicting")
def predict_file(
  model: model_lib.Model,
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  words: pathlib.Path | None = None,
  explain: bool = False,
  check_scale: bool = True,
) -> int:
  """Predicts every utterance of an input and writes a row for each.

  Args:
    model: From `mmer_jax.load`.
    source: Shards, or a file: of features, see `inputs`, or with the columns
      of the table that the training's corpus was converted from.
    out: The file to write; see `rows`.
    modalities: What the model may see; empty for all.
    emotions: Which, in this order; empty for those of training. A new one may
      be `name=word`.
    words: A file of word vectors for new emotions.
    explain: Whether rows hold what else the model knows.
    check_scale: See `Model.predict`.

  Returns:
    How many there were.

  Raises:
    UserError: Input or request do not fit the model.
  """
  rows.check_out(out, source)
  asked = read_emotions(model, emotions, words) if emotions else None
  if _is_made(model, source):
    made = model.maker.of_table(source)
    utterances = made.utterances
    check_scale = check_scale and made.has_given
  else:
    utterances = inputs.read_utterances(model.spec, source)
  written = predict_rows(
    model,
    utterances,
    modalities=modalities,
    emotions=asked,
    explain=explain,
    check_scale=check_scale,
  )
  rows.write(
    out,
    written,
    rows.columns(model.spec, list(asked or model.emotions), explain),
  )
  return len(written)


def predict_items(
  model: model_lib.Model,
  texts: Sequence[str],
  recordings: Sequence[str],
  out: pathlib.Path | None = None,
  request: Request = Request(),  # noqa: B008
) -> list[rows.Row]:
  """Predicts utterances that are given one by one.

  Args:
    model: From `mmer_jax.load`.
    texts: What is said in each; empty where that is not known.
    recordings: The recording of each; empty for none.
    out: The file to write; None for none.
    request: How.

  Returns:
    Their rows.

  Raises:
    UserError: What was given does not fit the model.
  """
  if texts and recordings and len(texts) != len(recordings):
    raise errors.UserError(
      f"--text is given {len(texts)} times and --wav {len(recordings)};"
      " expected as many, or one of them alone"
    )
  if out is not None:
    rows.check_out(out, None)
  asked = None
  if request.emotions:
    asked = read_emotions(model, request.emotions, request.words)
  count = max(len(texts), len(recordings))
  made = model.maker.of_items(
    texts or [None] * count, recordings or [None] * count
  )
  utterances = list(made.utterances)
  if count == 1:
    model.maker.require_any(utterances[0], texts)
  written = predict_rows(
    model,
    iter(utterances),
    modalities=request.modalities,
    emotions=asked,
    explain=request.explain,
    check_scale=False,
  )
  if out is not None:
    names = list(asked or model.emotions)
    rows.write(out, written, rows.columns(model.spec, names, request.explain))
  return written


def predict_rows(
  model: model_lib.Model,
  utterances: Iterator[inputs.Utterance],
  *,
  modalities: Sequence[str] = (),
  emotions: Mapping[str, np.ndarray | None] | None = None,
  explain: bool = False,
  check_scale: bool = True,
) -> list[rows.Row]:
  """Predicts utterances, and makes a row of each.

  Args:
    model: From `mmer_jax.load`.
    utterances: Their features.
    modalities: What the model may see; empty for all.
    emotions: From `read_emotions`; None for those of training.
    explain: Whether rows hold what else the model knows.
    check_scale: See `Model.predict`.

  Raises:
    UserError: Input or request do not fit the model.
  """
  written: list[rows.Row] = []
  for chunk in _chunks(utterances):
    features = {
      modality: [utterance.features.get(modality) for utterance in chunk]
      for modality in model.spec["modalities"]
    }
    try:
      prediction = model.predict(
        features,
        emotions=emotions,
        modalities=modalities,
        acoustic_word=_acoustic_words(model, chunk),
        check_scale=check_scale,
      )
    except checks.OutputError as error:
      # Its number is that in the chunk.
      raise checks.OutputError(error.row, repr(chunk[error.row].id)) from None
    written += [
      rows.make_row(model.spec, utterance, prediction, index, explain)
      for index, utterance in enumerate(chunk)
    ]
  return written


def _chunks(
  utterances: Iterator[inputs.Utterance],
) -> Iterator[list[inputs.Utterance]]:
  """Gives some utterances at a time, and says how many are done."""
  with progress.doing("predicting", unit="utterances") as task:
    while chunk := list(itertools.islice(utterances, _CHUNK)):
      yield chunk
      task.advance(len(chunk))


def _is_made(model: model_lib.Model, source: pathlib.Path) -> bool:
  """Tells whether a file is a table of texts, recordings or other columns."""
  is_table = source.name.lower().endswith(table_files.SUFFIXES)
  if not model.spec.get("features_from") or not is_table:
    return False
  if not source.is_file():
    return False
  table = table_files.open_table(source)
  first = next(table.rows(()), None) if not table.columns else None
  return model.maker.reads(table.columns or (first.cells if first else ()))


def read_emotions(
  model: model_lib.Model, emotions: Sequence[str], words: pathlib.Path | None
) -> dict[str, np.ndarray | None]:
  """Reads emotions as names to the word vectors of those that are new.

  Args:
    model: From `mmer_jax.load`.
    emotions: Each `name` or `name=word`.
    words: A file of word vectors; None for none.

  Raises:
    UserError: A new emotion has no vector.
  """
  trained, word_of = model.emotions, {}
  for form in emotions:
    name, equals, word = form.partition("=")
    is_new = equals or name not in trained
    word_of[name] = (word or name) if is_new else None
  wanted = {word for word in word_of.values() if word is not None}
  if not wanted or not model.spec["open_vocabulary"]:
    # The model itself says that its vocabulary is closed.
    return dict.fromkeys(word_of)
  if words is None:
    raise errors.UserError(
      f"--emotions needs the vector of {', '.join(sorted(wanted))}, and the"
      f" model has those of {', '.join(trained)}; pass --word_vectors=FILE,"
      f" {words_lib.which_file(model.spec)}"
    )
  table = words_lib.read(model.spec, words, wanted)
  missing = sorted(wanted - set(table.vectors))
  if missing:
    raise errors.UserError(
      f"{words} has no vector for {', '.join(missing)}; choose another word as"
      " --emotions=NAME=WORD"
    )
  return {
    name: None if word is None else table.vectors[word]
    for name, word in word_of.items()
  }


def _acoustic_words(
  model: model_lib.Model, chunk: Sequence[inputs.Utterance]
) -> list[np.ndarray] | None:
  """Collects the words of acoustic frames, where the model asks for them."""
  if not model.spec["acoustic_word"]:
    return None
  words = []
  for utterance in chunk:
    frames = utterance.features.get("acoustic")
    count = 0 if frames is None else len(frames)
    word = utterance.acoustic_word
    words.append(np.full(count, -1) if word is None else word)
  return words
