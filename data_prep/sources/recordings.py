"""Recordings and their transcripts, by a list of them.

The list is a .csv or .jsonl file with the columns `wav` (a file that libsndfile
reads, by its path below the folder of the list) and `text`, and optionally `id`
(otherwise the path), `speaker` and `label` (empty where there is none). Words
become word vectors as in `utterances`, sound becomes openSMILE's features:

- `is10`: the 1,582 functionals of Interspeech 2010's paralinguistic challenge,
  one row per recording (Liang et al. 2020, section 4.1);
- `compare2013`: the 65 descriptors of the Interspeech 2013 challenge and their
  65 deltas, one row each 10 ms (Aguilar et al. 2019, section 4.1).

Channels are averaged. Nothing is resampled: openSMILE's features depend on the
sampling rate, so that all recordings need one, which the manifest records.
"""

import pathlib
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus, text
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files
from mmer_jax.data import word_vectors as word_vectors_lib

# Feature set and levels of openSMILE; the levels stand side by side.
ACOUSTIC = {
  "is10": ("IS10", ("Functionals",)),
  "compare2013": (
    "IS13",
    ("LowLevelDescriptors", "LowLevelDescriptors_Deltas"),
  ),
}

_COLUMNS = ("wav", "text", "id", "speaker", "label")


class _Row(NamedTuple):
  """A line of the list."""

  number: int
  where: str
  wav: pathlib.Path
  cells: dict[str, str]


def build(
  path: pathlib.Path,
  *,
  acoustic: str,
  word_vectors: pathlib.Path | None,
  oov: str,
  emotions: Sequence[str],
) -> corpus.Corpus:
  """The corpus of a list of recordings.

  Args:
    path: The list.
    acoustic: A key of `ACOUSTIC`.
    word_vectors: None to go without the text.
    oov: A policy of `text.OOV_POLICIES`.
    emotions: Names, in the order of the labels; empty for those that are used,
      sorted.

  Raises:
    UserError: The list lacks a column, or a recording is missing.
  """
  rows = _rows(path)
  used = sorted({row.cells["label"] for row in rows if row.cells["label"]})
  emotions = tuple(emotions) or tuple(used)
  unknown = [name for name in used if name not in emotions]
  if unknown:
    row = next(row for row in rows if row.cells["label"] == unknown[0])
    raise UserError(
      f"{row.where}: label {unknown[0]!r} is not one of --emotions"
      f" {', '.join(emotions)}"
    )
  if not emotions:
    raise UserError(
      f"{path} has no label, so that nothing names the emotions; pass"
      " --emotions=happy,sad, as the model that will be used has them"
    )
  sound = _Sound(acoustic)
  modalities = {"acoustic": corpus.Modality(sound.columns, corpus.NO_PADDING)}
  lexicon, vectors, summary = None, None, None
  if word_vectors is not None:
    lexicon, vectors = _lexicon(rows, emotions, word_vectors)
    summary = lexicon.summary(oov, vectors)
    modalities["lexical"] = corpus.Modality(
      corpus.numbered("vector", lexicon.dim), corpus.NO_PADDING
    )

  def examples() -> Iterator[corpus.Example]:
    for row in rows:
      streams, words = {"acoustic": sound(row)}, None
      if lexicon is not None:
        words, streams["lexical"] = lexicon.embed(row.cells["text"], oov)
      label = row.cells["label"]
      labels = None
      if label:
        labels = np.zeros(len(emotions), np.float32)
        labels[emotions.index(label)] = 1
      yield corpus.Example(
        id=row.cells["id"],
        where=row.where,
        streams=streams,
        labels=labels,
        speaker=row.cells["speaker"],
        words=words,
      )

  return corpus.Corpus(
    name="recordings",
    source="recordings",
    layout=f"a list of {len(rows)} recordings, {path.suffix.lstrip('.')}",
    emotions=emotions,
    label_type="single",
    modalities={m: modalities[m] for m in schema.MODALITIES if m in modalities},
    examples=examples,
    total=len(rows),
    options={
      "acoustic": acoustic,
      "opensmile": sound.version,
      "rate_hz": sound.rate(rows[0]),
      "word_vectors": word_vectors.name if word_vectors else None,
      "oov": oov if word_vectors else None,
    },
    vectors=vectors,
    text=summary,
    has_words=lexicon is not None,
  )


def _rows(path: pathlib.Path) -> list[_Row]:
  if path.is_dir() or path.name.lower().endswith(".npz"):
    raise UserError(
      f"--input={path} is no list of recordings, expected a .csv or .jsonl file"
      " with the columns wav and text"
    )
  table = table_files.open_table(path)
  for column in ("wav", "text"):
    table.require(column)
  there = [c for c in _COLUMNS if c in (table.columns or ("wav", "text"))]
  rows = []
  for row in table.rows(there):
    cells = {c: table_files.as_text(row.cells.get(c)).strip() for c in _COLUMNS}
    if not cells["wav"]:
      raise UserError(f"{row.where}: wav is empty, expected the path of a file")
    wav = path.parent / cells["wav"]
    if not wav.is_file():
      raise UserError(
        f"{row.where}: {wav} is not a file; paths are relative to the list"
      )
    cells["id"] = cells["id"] or cells["wav"]
    rows.append(_Row(len(rows), row.where, wav, cells))
  if not rows:
    raise UserError(f"{path} lists no recording, expected one at least")
  return rows


def _lexicon(
  rows: Sequence[_Row], emotions: Sequence[str], path: pathlib.Path
) -> tuple[text.Lexicon, schema.EmotionVectors]:
  counts: Counter[str] = Counter()
  for row in rows:
    counts.update(text.tokenise(row.cells["text"]))
  words = {name: text.EMOTION_WORDS.get(name, (name,)) for name in emotions}
  wanted = text.forms(counts).union(*words.values())
  vectors = word_vectors_lib.read(path, wanted)
  lexicon = text.Lexicon(counts, vectors)
  return lexicon, text.emotion_vectors(emotions, words, vectors)


class _Sound:
  """Recordings to features; a second pass reads what the first has made."""

  def __init__(self, acoustic: str) -> None:
    try:
      import opensmile
      import soundfile
    except ImportError as error:
      raise UserError(
        f"--source=recordings needs the package {error.name}, which is not"
        " installed; pip install 'mmer_jax[prep]'"
      ) from None
    self._soundfile = soundfile
    name, levels = ACOUSTIC[acoustic]
    self._levels = [
      opensmile.Smile(
        feature_set=opensmile.FeatureSet[name],
        feature_level=opensmile.FeatureLevel[level],
      )
      for level in levels
    ]
    self.version = opensmile.__version__
    self.columns = tuple(
      column for level in self._levels for column in level.feature_names
    )
    self._rate: tuple[float, str] | None = None
    # Frames of a whole corpus may not fit into memory.
    self._made = tempfile.TemporaryDirectory(prefix="recordings_")
    weakref.finalize(self, self._made.cleanup)

  def rate(self, row: _Row) -> int:
    """The sampling rate of a recording, in Hz."""
    return self._read(row)[1]

  def _read(self, row: _Row) -> tuple[np.ndarray, int]:
    try:
      return self._soundfile.read(str(row.wav), dtype="float32")
    except (OSError, RuntimeError) as error:
      raise UserError(
        f"{row.where}: {row.wav} cannot be read as sound ({error})"
      ) from None

  def __call__(self, row: _Row) -> np.ndarray:
    """The features of a recording, (t, d) float32."""
    file = pathlib.Path(self._made.name) / f"{row.number}.npy"
    if file.exists():
      return np.load(file)
    frames = self._extract(row)
    np.save(file, frames)
    return frames

  def _extract(self, row: _Row) -> np.ndarray:
    samples, rate = self._read(row)
    if self._rate is None:
      self._rate = (rate, row.where)
    if rate != self._rate[0]:
      raise UserError(
        f"{row.where}: {row.wav} has {rate} Hz, {self._rate[1]} has"
        f" {self._rate[0]} Hz; resample the recordings to one rate"
      )
    if not len(samples):
      raise UserError(
        f"{row.where}: {row.wav} is empty, expected sound; leave it out"
      )
    if not np.isfinite(samples).all():
      raise UserError(
        f"{row.where}: {row.wav} holds samples that are not finite; record or"
        " convert it again"
      )
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    # The longest of openSMILE's windows has 60 ms; deltas need a few of them.
    if len(mono) < 0.1 * rate:
      raise UserError(
        f"{row.where}: {row.wav} lasts {1e3 * len(mono) / rate:.0f} ms,"
        " expected 100 ms at least; leave it out"
      )
    parts = [
      np.asarray(level.process_signal(mono, rate), np.float64)
      for level in self._levels
    ]
    # Deltas go on for some frames behind the last one of the descriptors.
    length = min(len(part) for part in parts)
    return corpus.as_float32(
      np.concatenate([part[:length] for part in parts], axis=1)
    )
