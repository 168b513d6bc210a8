"""Reads recordings and their transcripts, by a list of them.

The list is a .csv or .jsonl file with the columns `wav` (a file that libsndfile
reads, by its path below the folder of the list) and `text`, and optionally `id`
(otherwise the path), `speaker`, `session`, `dialogue`, `split` (`train`,
`validation` or `dev`, `test`; empty for none) and `label` (empty where there is
none). Other columns are named when the conversion ends, and not read. Words
become word vectors as in `utterances`, sound becomes openSMILE's features:

- `is10`: the 1,582 functionals of Interspeech 2010's paralinguistic challenge,
  one row per recording (Liang et al. 2020, section 4.1);
- `compare2013`: the 65 descriptors of the Interspeech 2013 challenge and their
  65 deltas, one row each 10 ms (Aguilar et al. 2019, section 4.1).

Channels are averaged. Nothing is resampled: openSMILE's features depend on the
sampling rate, so that all recordings need one, which the manifest records.
"""

import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus, text
from data_prep.readers import sound as sound_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files
from mmer_jax.data import word_vectors as word_vectors_lib

_COLUMNS = (
  *("wav", "text", "id", "speaker", "session", "dialogue", "split", "label"),
)
# What lists call the splits.
_SPLITS = {
  "": "",
  **{split: split for split in corpus.SPLITS},
  **dict.fromkeys(("dev", "val", "valid"), "validation"),
}


class _Row(NamedTuple):
  """Holds a line of the list.

  Attributes:
    recording: The file of the line.
    cells: Column name to text.
  """

  recording: sound_lib.Recording
  cells: dict[str, str]


def build(
  path: pathlib.Path,
  *,
  acoustic: str,
  word_vectors: pathlib.Path | None,
  oov: str,
  emotions: Sequence[str],
) -> corpus.Corpus:
  """Builds the corpus of a list of recordings.

  Args:
    path: The list.
    acoustic: A key of `sound.ACOUSTIC`.
    word_vectors: None to go without the text.
    oov: A policy of `text.OOV_POLICIES`.
    emotions: Names, in the order of the labels; empty for those that are used,
      sorted.

  Raises:
    UserError: The list lacks a column, or a recording is missing.
  """
  rows, unread = _rows(path)
  emotions = _emotions(path, rows, emotions)
  sound = sound_lib.Sound(acoustic)
  lexicon, vectors = None, None
  if word_vectors is not None:
    lexicon, vectors = _lexicon(rows, emotions, word_vectors)

  def examples() -> Iterator[corpus.Example]:
    for row in rows:
      yield _example(row, sound, lexicon, oov, emotions)

  return corpus.Corpus(
    name="recordings",
    source="recordings",
    layout=f"a list of {len(rows)} recordings, {path.suffix.lstrip('.')}",
    emotions=emotions,
    label_type="single",
    modalities=_modalities(sound, lexicon),
    examples=examples,
    total=len(rows),
    options={
      "acoustic": acoustic,
      "opensmile": sound.version,
      "rate_hz": sound.rate(rows[0].recording),
      "word_vectors": word_vectors.name if word_vectors else None,
      "oov": oov if word_vectors else None,
    },
    vectors=vectors,
    text=lexicon.summary(oov, vectors) if lexicon else None,
    word_vectors=lexicon.used if lexicon else {},
    notes=tuple(f"column {column!r} is not read" for column in unread),
    has_words=lexicon is not None,
  )


def _modalities(
  sound: sound_lib.Sound, lexicon: text.Lexicon | None
) -> dict[str, corpus.Modality]:
  """Describes the sound, and the words where there are vectors for them."""
  acoustic = corpus.Modality(
    sound.columns, corpus.NO_PADDING, sound.frame_rate_hz
  )
  if lexicon is None:
    return {"acoustic": acoustic}
  names = corpus.numbered("vector", lexicon.dim)
  lexical = corpus.Modality(names, corpus.NO_PADDING)
  return {"lexical": lexical, "acoustic": acoustic}


def _emotions(
  path: pathlib.Path, rows: Sequence[_Row], named: Sequence[str]
) -> tuple[str, ...]:
  """Names the emotions, and checks that the labels are among them."""
  used = sorted({row.cells["label"] for row in rows if row.cells["label"]})
  emotions = tuple(named) or tuple(used)
  for row in rows:
    label = row.cells["label"]
    if label and label not in emotions:
      raise UserError(
        f"{row.recording.where}: label {label!r} is not one of --emotions"
        f" {', '.join(emotions)}"
      )
  if not emotions:
    raise UserError(
      f"{path} has no label, so that nothing names the emotions; pass"
      " --emotions=happy,sad, as the model that will be used has them"
    )
  return emotions


def _example(
  row: _Row,
  sound: sound_lib.Sound,
  lexicon: text.Lexicon | None,
  oov: str,
  emotions: tuple[str, ...],
) -> corpus.Example:
  streams, words = {"acoustic": sound(row.recording)}, None
  if lexicon is not None:
    words, streams["lexical"] = lexicon.embed(row.cells["text"], oov)
  labels = None
  if row.cells["label"]:
    labels = np.zeros(len(emotions), np.float32)
    labels[emotions.index(row.cells["label"])] = 1
  return corpus.Example(
    id=row.cells["id"],
    where=row.recording.where,
    streams=streams,
    labels=labels,
    speaker=row.cells["speaker"],
    session=row.cells["session"],
    dialogue=row.cells["dialogue"],
    split=row.cells["split"],
    words=words,
  )


def _rows(path: pathlib.Path) -> tuple[list[_Row], list[str]]:
  """Reads the list, and the names of the columns that are not read."""
  if path.is_dir() or path.name.lower().endswith(".npz"):
    raise UserError(
      f"--input={path} is no list of recordings, expected a .csv or .jsonl file"
      " with the columns wav and text"
    )
  table = table_files.open_table(path)
  for column in ("wav", "text"):
    table.require(column)
  known = [c for c in _COLUMNS if c in (table.columns or ("wav", "text"))]
  rows, unread = [], dict.fromkeys(c for c in table.columns if c not in known)
  for row in table.rows(known):
    unread.update(dict.fromkeys(c for c in row.cells if c not in _COLUMNS))
    cells = {
      column: table_files.as_text(
        row.cells.get(column), row.where, column
      ).strip()
      for column in _COLUMNS
    }
    if not cells["wav"]:
      raise UserError(f"{row.where}: wav is empty, expected the path of a file")
    wav = path.parent / cells["wav"]
    if not wav.is_file():
      raise UserError(
        f"{row.where}: {wav} is not a file; paths are relative to the list"
      )
    cells["id"] = cells["id"] or cells["wav"]
    if cells["split"].lower() not in _SPLITS:
      raise UserError(
        f"{row.where}: split {cells['split']!r}, expected one of"
        f" {', '.join(filter(None, _SPLITS))}, or none"
      )
    cells["split"] = _SPLITS[cells["split"].lower()]
    recording = sound_lib.Recording(len(rows), row.where, wav)
    rows.append(_Row(recording, cells))
  if not rows:
    raise UserError(f"{path} lists no recording, expected one at least")
  return rows, list(unread)


def _lexicon(
  rows: Sequence[_Row], emotions: Sequence[str], path: pathlib.Path
) -> tuple[text.Lexicon, schema.EmotionVectors]:
  counts: Counter[str] = Counter()
  for row in rows:
    counts.update(text.tokenise(row.cells["text"]))
  words = {name: text.EMOTION_WORDS.get(name, (name,)) for name in emotions}
  wanted = text.forms(counts).union(*map(text.composed, words.values()))
  vectors = word_vectors_lib.read(path, wanted)
  lexicon = text.Lexicon(counts, vectors)
  return lexicon, text.emotion_vectors(emotions, words, vectors)
