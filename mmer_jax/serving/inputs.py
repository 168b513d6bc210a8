"""Reads the utterances of a shard folder or of a file of features.

Features are as they are, not normalised. A file is one of

- .jsonl: one object per line, {"id": ..., "lexical": [[...], ...], "acoustic":
  [...] or null};
- .npz: `id` (n,) if any, and modality to (n, d), or (n, t, d) with zeros behind
  the last frame;
- .csv: `id` if any, and a column `acoustic:NAME` for each column of
  feature_spec.json; features of whole utterances alone.
"""

import csv
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.serving import checks
from mmer_jax.serving import model as model_lib


class Utterance(NamedTuple):
  """Holds one utterance of the input.

  Attributes:
    id: The utterance's name; its number where it has none.
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
  model: model_lib.Model, source: pathlib.Path
) -> Iterator[Utterance]:
  """Reads the utterances of a shard folder or a file, in their order.

  Raises:
    UserError: It is neither, or does not fit the model.
  """
  if source.is_dir():
    return _shards(model, source)
  if not source.exists():
    raise errors.UserError(
      f"--input={source} does not exist, expected shards or a file; see --help"
    )
  for suffix, reader in _READ.items():
    if source.name.endswith(suffix):
      return reader(model, source)
  raise errors.UserError(
    f"--input={source} is no folder of shards and does not end in"
    f" {' or '.join(_READ)}; see --help"
  )


def _shards(
  model: model_lib.Model, folder: pathlib.Path
) -> Iterator[Utterance]:
  """Reads shards, whose columns must be the model's."""
  # Not at the top: it takes seconds, and files of features do without.
  from mmer_jax.data import shards

  manifest = manifest_lib.load_manifest(folder)
  known = model.spec["modalities"]
  shared = [name for name in known if name in manifest["modalities"]]
  if not shared:
    raise errors.UserError(
      f"{folder} holds {', '.join(manifest['modalities'])}, and the model reads"
      f" {', '.join(known)}; convert the corpus with one of them"
    )
  for modality in shared:
    columns = manifest["modalities"][modality]["columns"]
    checks.check_columns(model.spec, modality, columns, str(folder))
  for _, example in shards.read_examples(folder):
    yield Utterance(
      example["id"],
      {modality: example[modality] for modality in shared},
      [
        word.decode() if isinstance(word, bytes) else str(word)
        for word in example.get("words", ())
      ],
      example.get("acoustic_word"),
    )


def _jsonl(model: model_lib.Model, path: pathlib.Path) -> Iterator[Utterance]:
  """Reads an object per line."""
  known = model.spec["modalities"]
  with path.open(encoding="utf-8") as file:
    for number, line in enumerate(file, 1):
      if not line.strip():
        continue
      where = f"{path} line {number}"
      try:
        cells = json.loads(line)
      except json.JSONDecodeError as error:
        raise errors.UserError(f"{where} is not JSON ({error})") from None
      if not isinstance(cells, dict) or not set(known) & set(cells):
        raise errors.UserError(
          f"{where} holds none of {', '.join(known)}; see --help"
        )
      unknown = sorted(set(cells) - {"id", "words", *known})
      if unknown:
        raise errors.UserError(
          f"{where} has {unknown[0]!r}, expected id, words and"
          f" {', '.join(known)}"
        )
      features = {}
      for modality in known:
        try:
          values = cells.get(modality)
          features[modality] = (
            None if values is None else np.asarray(values, np.float32)
          )
        except (TypeError, ValueError):
          raise errors.UserError(
            f"{where}: {modality} is not rows of numbers of one length"
          ) from None
      yield Utterance(
        str(cells.get("id", number)),
        {m: _as_frames(frames) for m, frames in features.items()},
        cells.get("words", ()),
      )


def _npz(model: model_lib.Model, path: pathlib.Path) -> Iterator[Utterance]:
  """Reads arrays whose first axis is the utterances."""
  known = model.spec["modalities"]
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError) as error:
    raise errors.UserError(
      f"{path} cannot be read as .npz ({error}); save arrays of numbers and"
      " text"
    ) from None
  unknown = sorted(set(arrays) - {"id", *known})
  if unknown or not set(known) & set(arrays):
    raise errors.UserError(
      f"{path} holds {', '.join(arrays)}, expected {', '.join(known)}, and id"
    )
  counts = {name: len(array) for name, array in arrays.items() if array.ndim}
  if len(set(counts.values())) != 1 or len(counts) < len(arrays):
    raise errors.UserError(
      f"{path} has arrays of different lengths ({counts}), expected one entry"
      " per utterance"
    )
  for number in range(next(iter(counts.values()))):
    features = {}
    for modality in set(known) & set(arrays):
      frames = _as_frames(arrays[modality][number])
      real = np.flatnonzero(frames.any(axis=1))
      features[modality] = frames[: real[-1] + 1 if len(real) else 0]
    name = arrays["id"][number] if "id" in arrays else number
    yield Utterance(str(name), features)


def _csv(model: model_lib.Model, path: pathlib.Path) -> Iterator[Utterance]:
  """Reads a table of whole utterances."""
  known = model.spec["modalities"]
  with path.open(encoding="utf-8-sig", newline="") as file:
    reader = csv.DictReader(file)
    columns: dict[str, list[str]] = {}
    for heading in reader.fieldnames or ():
      modality, colon, name = heading.partition(":")
      if heading == "id":
        continue
      if not colon or modality not in known:
        raise errors.UserError(
          f"{path} has a column {heading!r}, expected id and MODALITY:COLUMN of"
          f" {', '.join(known)}"
        )
      columns.setdefault(modality, []).append(name)
    if not columns:
      raise errors.UserError(
        f"{path} has no column of features, expected MODALITY:COLUMN; see"
        " --help"
      )
    for modality, names in columns.items():
      checks.check_columns(model.spec, modality, names, str(path))
    for number, cells in enumerate(reader, 1):
      features = {}
      for modality, names in columns.items():
        text = [cells[f"{modality}:{name}"] for name in names]
        try:
          features[modality] = (
            np.asarray(text, np.float32)[None] if any(text) else None
          )
        except (TypeError, ValueError):
          raise errors.UserError(
            f"{path} row {number}: a {modality} column is not a number"
          ) from None
      yield Utterance(cells.get("id") or str(number), features)


_READ = {".jsonl": _jsonl, ".npz": _npz, ".csv": _csv}


def _as_frames(frames: np.ndarray | None) -> np.ndarray | None:
  """Makes a vector one frame."""
  return frames[None] if frames is not None and frames.ndim == 1 else frames
