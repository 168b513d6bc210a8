"""Reads the utterances of a shard folder or of a table of features.

Features are as they are, not normalised. A table is one of

- .jsonl: one object per line, {"id": ..., "lexical": [[...], ...], "acoustic":
  [...] or null}; `words` may name those of the lexical frames;
- .npz: `id` (n,) if any, and modality to (n, d), or (n, t, d); where utterances
  are padded, `MODALITY_lengths` (n,) or `MODALITY_mask` (n, t) says so;
- .csv, .tsv, .arff, also .gz: `id` if any, and `acoustic:NAME` for each
  column of feature_spec.json; features of whole utterances alone.

The conversion reads tables with the same code: `data.table_files`.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import identity, npz_files, table_files, text_files
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.serving import arrays, utterances

_ID, _WORDS = "id", "words"


class Utterance(NamedTuple):
  """Holds one utterance of the input.

  Attributes:
    id: The utterance's name; its number where the input names none.
    features: Modality to (t, d); None where it is absent.
    words: The words of the lexical frames; empty where they are not known.
    acoustic_word: The lexical frame of each acoustic one; None where it is
      not known.
  """

  id: str
  features: dict[str, np.ndarray | None]
  words: Sequence[str] = ()
  acoustic_word: np.ndarray | None = None


def read_utterances(
  spec: dict[str, Any], source: pathlib.Path
) -> Iterator[Utterance]:
  """Reads the utterances of a shard folder or a table, in their order.

  Args:
    spec: The content of the model's `feature_spec.json`.
    source: The folder or the file.

  Raises:
    UserError: It is neither, or does not fit the model.
  """
  if source.is_dir():
    return _read_shards(spec, source)
  if not source.exists():
    raise errors.UserError(
      f"--input={source} does not exist, expected shards or a file; see --help"
    )
  if not source.name.lower().endswith(table_files.SUFFIXES):
    raise errors.UserError(
      f"--input={source} is no folder of shards and does not end in"
      f" {' or '.join(table_files.SUFFIXES)}; see --help"
    )
  table = table_files.open_table(source)
  if source.name.lower().endswith(".jsonl"):
    return _read_jsonl(spec, table)
  if source.name.lower().endswith(".npz"):
    return _read_npz(spec, table)
  return _read_csv(spec, table)


def _read_shards(
  spec: dict[str, Any], folder: pathlib.Path
) -> Iterator[Utterance]:
  """Reads shards, which must have been made as those of the training."""
  # Not at the top: it takes seconds, and tables do without.
  from mmer_jax.data import shards

  manifest = manifest_lib.load_manifest(folder)
  known = spec["modalities"]
  shared = [name for name in known if name in manifest["modalities"]]
  if not shared:
    raise errors.UserError(
      f"{folder} holds {', '.join(manifest['modalities'])}, and the model reads"
      f" {', '.join(known)}; convert the corpus with one of them"
    )
  orders = identity.check(
    identity.of_shards(folder, manifest),
    _identity(spec),
    shared,
    where=f"the shards in {folder}",
    fix="convert them in the same way as those that the model was trained on",
  )
  for _, example in shards.read_examples(folder):
    features = {modality: example[modality] for modality in shared}
    for modality, order in orders.items():
      features[modality] = features[modality][:, order]
    yield Utterance(
      example["id"],
      features,
      [
        word.decode() if isinstance(word, bytes) else str(word)
        for word in example.get("words", ())
      ],
      example.get("acoustic_word"),
    )


def _identity(spec: dict[str, Any]) -> identity.Identity:
  """Returns what features must have in common with those of the training."""
  if spec.get("identity"):
    return spec["identity"]
  # An export of an earlier version says no more.
  entries = spec["modalities"].items()
  return {
    key: {modality: entry[key] for modality, entry in entries}
    for key in ("columns", "padding")
  }


def _read_jsonl(
  spec: dict[str, Any], table: table_files.Table
) -> Iterator[Utterance]:
  """Reads an object per line."""
  known = spec["modalities"]
  for number, row in enumerate(table.rows(()), 1):
    if not set(known) & set(row.cells):
      raise errors.UserError(
        f"{row.where} holds none of {', '.join(known)}; see --help"
      )
    unknown = sorted(set(row.cells) - {_ID, _WORDS, *known})
    if unknown:
      raise errors.UserError(
        f"{row.where} has {unknown[0]!r}, expected {_ID}, {_WORDS} and"
        f" {', '.join(known)}"
      )
    features = {
      modality: _frames(spec, modality, row.cells.get(modality), row.where)
      for modality in known
    }
    words = _words(row, features.get("lexical"))
    yield Utterance(_name(row, number), features, words)


def _read_npz(
  spec: dict[str, Any], table: table_files.Table
) -> Iterator[Utterance]:
  """Reads arrays whose first axis is the utterances."""
  known = spec["modalities"]
  given = [modality for modality in known if modality in table.columns]
  padding = [f"{m}_{what}" for m in given for what in ("lengths", "mask")]
  unknown = sorted(set(table.columns) - {_ID, *known, *padding})
  if unknown or not given:
    raise errors.UserError(
      f"{table.path} holds {', '.join(table.columns) or 'no array'}, expected"
      f" {', '.join(known)}, and {_ID}"
    )
  for modality, header in npz_files.headers(table.path).items():
    dim = known[modality]["dim"] if modality in given else 0
    if dim and (len(header.shape) not in (2, 3) or header.shape[-1] != dim):
      raise errors.UserError(
        f"{table.path}: {modality} has shape {header.shape}, expected"
        f" (n, {dim}) or (n, t, {dim}), n utterances"
      )
  zeros = dict.fromkeys(given, 0)
  for number, row in enumerate(table.rows(table.columns)):
    features = {}
    for modality in given:
      real = _real_frames(row, modality)
      frames = row.cells[modality]
      if real is None and frames.ndim == 2 and len(frames):
        zeros[modality] += not np.any(frames[-1])
      features[modality] = _frames(spec, modality, frames, row.where, real)
    yield Utterance(_name(row, number), features)
  for modality, count in zeros.items():
    if count and known[modality]["padding"] != "zero_rows":
      logging.warning(
        "%s: %s ends in zeros in %d utterance(s), and these are read as frames;"
        " where they are padding, save %s_lengths (n,) beside it",
        *(table.path.name, modality, count, modality),
      )


def _read_csv(
  spec: dict[str, Any], table: table_files.Table
) -> Iterator[Utterance]:
  """Reads a table of whole utterances, a number in each cell."""
  known = spec["modalities"]
  headings: dict[str, list[str]] = {}
  for heading in table.columns:
    modality, colon, _ = heading.partition(":")
    if heading == _ID:
      continue
    if not colon or modality not in known:
      raise errors.UserError(
        f"{table.path} has a column {heading!r}, expected {_ID} and"
        f" MODALITY:COLUMN of {', '.join(known)}"
      )
    headings.setdefault(modality, []).append(heading)
  if not headings:
    raise errors.UserError(
      f"{table.path} has no column of features, expected MODALITY:COLUMN; see"
      " --help"
    )
  for modality, group in headings.items():
    names = [heading.removeprefix(f"{modality}:") for heading in group]
    order = identity.column_order(
      names,
      known[modality]["columns"],
      what=f"{table.path}: {modality}",
      fix="give the columns that the model was trained on",
    )
    if order is not None:
      headings[modality] = [group[place] for place in order]
  for number, row in enumerate(table.rows(table.columns), 1):
    features = {
      modality: _frames(spec, modality, _numbers(row, group), row.where)
      for modality, group in headings.items()
    }
    yield Utterance(_name(row, number), features)


def _name(row: table_files.Row, number: int) -> str:
  """Reads the id of a row; its number where there is no id."""
  if _ID not in row.cells:
    return str(number)
  cell = row.cells[_ID]
  name = table_files.as_text(cell, row.where, _ID)
  if not name.strip() or isinstance(cell, bool):
    raise errors.UserError(
      f"{row.where}: {_ID} is {'empty' if not name.strip() else name}, expected"
      f" a name; give one, or leave {_ID} out of every row"
    )
  return name


def _frames(
  spec: dict[str, Any],
  modality: str,
  values: Any,
  where: str,
  real: np.ndarray | None = None,
) -> np.ndarray | None:
  """Reads the frames of a row; None where the modality is absent."""
  if values is None:
    return None
  entry = spec["modalities"][modality]
  return utterances.read_utterance(entry, values, f"{where}: {modality}", real)[
    0
  ]


def _real_frames(row: table_files.Row, modality: str) -> np.ndarray | None:
  """Reads which frames of a .npz row are real; None where all are."""
  lengths, mask = f"{modality}_lengths", f"{modality}_mask"
  marks = []
  if lengths in row.cells:
    where = f"{row.where}: {lengths}"
    marks.append(arrays.to_integers(row.cells[lengths], where, ndim=0))
  if mask in row.cells:
    where = f"{row.where}: {mask}"
    marks.append(arrays.to_mask(row.cells[mask], where))
  if len(marks) > 1:
    raise errors.UserError(
      f"{row.where}: {modality} has lengths and a mask, expected one of them"
    )
  return marks[0] if marks else None


def _numbers(row: table_files.Row, columns: Sequence[str]) -> np.ndarray | None:
  """Reads the numbers of a .csv row; None where all of them are blank."""
  blank = [table_files.is_blank(row.cells[column]) for column in columns]
  if all(blank):
    return None
  if any(blank):
    raise errors.UserError(
      f"{row.where}: column {columns[blank.index(True)]!r} is empty and others"
      " of its modality are not; give a number, or none where it is absent"
    )
  try:
    return np.asarray([row.cells[column] for column in columns], np.float64)
  except ValueError:
    for column in columns:
      table_files.as_vector(row.cells[column], row.where, column)
    raise


def _words(row: table_files.Row, lexical: np.ndarray | None) -> Sequence[str]:
  """Reads the words of a .jsonl row, one for each lexical frame."""
  words = row.cells.get(_WORDS)
  if words is None:
    return ()
  if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
    raise errors.UserError(
      f"{row.where}: {_WORDS} is {str(words)[:40]!r}, expected a list of texts"
    )
  frames = 0 if lexical is None else len(lexical)
  if words and len(words) != frames:
    raise errors.UserError(
      f"{row.where} has {len(words)} {_WORDS} and {frames} lexical frames,"
      " expected a word for each"
    )
  for word in words:
    text_files.check_surrogates(word, f"{row.where}: {_WORDS}")
  return words
