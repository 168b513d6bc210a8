"""Reads MulT's and MMSA's pickles: arrays of utterances by split.

- MulT (yaohungt/Multimodal-Transformer, src/dataset.py): `train`, `valid`,
  `test`, each with `vision`, `audio`, `text` (n, t, d), `labels` and, where
  there is one, `id` (n, 3): video, start, end. Padded at the left. The files
  called `noalign` have a length t for each modality.
- MMSA (thuiar/MMSA, src/MMSA/data_loader.py): the same with
  `regression_labels` for labels, `raw_text`, `text_bert` (n, 3, t) of which the
  middle is the mask of `text`, and, not aligned, `audio_lengths` and
  `vision_lengths`.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources.pickles import family as family_lib
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import members, padding
from data_prep.sources.pickles import ratings as ratings_lib
from mmer_jax.base.errors import UserError

_MMSA_LABELS = "regression_labels"
_CLASSES = "classification_labels"
_MMSA = (_MMSA_LABELS, _CLASSES, "text_bert", "raw_text")
_LABELS = ("labels", _MMSA_LABELS, _CLASSES)
# Read here, or the same in other words.
_KNOWN = (*_LABELS, *_MMSA, *ratings_lib.MEMBERS, "id", "annotations")
_LENGTHS = {"acoustic": "audio_lengths", "visual": "vision_lengths"}


class _Part(NamedTuple):
  """Holds a split.

  Attributes:
    key: What the file calls it.
    streams: Modality to the member's name and array (n, t, d).
    labels: One row per utterance.
    ids: Ids and the video of each.
    texts: Transcripts; empty where there are none.
    mask: Which rows of the text are real (n, t); None without one.
    lengths: Modality to how many rows are real (n,).
  """

  key: str
  streams: dict[str, tuple[str, np.ndarray]]
  labels: np.ndarray
  ids: list[tuple[str, str]]
  texts: list[str]
  mask: np.ndarray | None
  lengths: dict[str, np.ndarray]


def matches(content: Any) -> bool:
  """Whether a pickle is of splits that have labels and features by name."""
  return (
    isinstance(content, dict)
    and bool(content)
    and all(
      isinstance(key, str) and key in family_lib.SPLITS for key in content
    )
    and all(isinstance(part, dict) for part in content.values())
    and any(name in part for part in content.values() for name in _LABELS)
    and any(
      name in part
      for part in content.values()
      for name in family_lib.MODALITIES
    )
  )


def name_of(content: Mapping[str, Any]) -> str:
  """Says which of the two families a pickle is."""
  mmsa = any(name in part for part in content.values() for name in _MMSA)
  return "MMSA" if mmsa else "MulT"


def read(
  content: Mapping[str, Any], path: str, choice: labels_lib.Choice
) -> family_lib.Family:
  """Reads a pickle that `matches`.

  Raises:
    UserError: A member is missing, or does not fit the others.
  """
  name = name_of(content)
  label_name = next(
    each
    for each in (_MMSA_LABELS, "labels", _CLASSES)
    if any(each in part for part in content.values())
  )
  parts = [_part(part, key, label_name, path) for key, part in content.items()]
  dims = _dims(parts, path)
  aligned = all(
    len({array.shape[1] for _, array in part.streams.values()}) < 2
    and not part.lengths
    for part in parts
  )
  arrays = [part.labels for part in parts]
  if label_name == _CLASSES:
    labels_lib.require(choice, ("emotions",), path)
    values = [row for array in arrays for row in array]
    labels = labels_lib.classes(values, (), choice, path)
  else:
    labels = labels_lib.of_arrays(arrays, choice, path)
  named = [(f"{path} {key}", part) for key, part in content.items()]
  rated = ratings_lib.find(arrays, named, scored=label_name != _CLASSES)
  return family_lib.Family(
    layout=(
      f"{name}, {'aligned' if aligned else 'unaligned'},"
      f" {', '.join(part.key for part in parts)}; {labels.layout}"
    ),
    streams={
      each: _stream(each, dim, parts, aligned) for each, dim in dims.items()
    },
    labels=labels,
    utterances=functools.partial(_utterances, parts, path, aligned, rated),
    total=sum(len(part.labels) for part in parts),
    has_text=any(part.texts for part in parts),
    aligned=aligned,
    notes=[*_notes(content, parts), *rated.notes],
    ratings=rated.ratings,
  )


def _stream(
  name: str, dim: int, parts: list[_Part], aligned: bool
) -> family_lib.Stream:
  """Says whether rows of zeros are padding: not where a length says so."""
  told = all(
    name in part.lengths or (name == "lexical" and part.mask is not None)
    for part in parts
  )
  if told and not aligned:
    return family_lib.unpadded(dim)
  return family_lib.padded(dim)


def _part(
  part: Mapping[str, Any], key: str, label_name: str, path: str
) -> _Part:
  """Reads a split and checks that its members have as many rows."""
  where = f"{path} {key}"
  if label_name not in part:
    raise UserError(
      f"{where} has {', '.join(map(str, part))}, and no {label_name}; every"
      " split needs its labels"
    )
  labels = members.numbers(
    part[label_name], f"{where}/{label_name}", "one row per utterance"
  )
  if not labels.ndim:
    raise UserError(f"{where}/{label_name} is one number, expected rows")
  count = len(labels)
  streams = {}
  for member, value in part.items():
    modality = family_lib.MODALITIES.get(member)
    if modality is None:
      continue
    at = f"{where}/{member}"
    array = members.numbers(value, at, "(utterances, rows, features)")
    if array.ndim != 3 or not array.shape[2]:
      raise UserError(
        f"{at} has shape {array.shape}, expected (utterances, rows, features)"
      )
    if len(array) != count:
      raise UserError(
        f"{at} has {len(array)} rows and {label_name} {count}; a split needs"
        " one of each for an utterance"
      )
    if modality in streams:
      raise UserError(
        f"{where} has {streams[modality][0]} and {member}, both {modality};"
        " expected one"
      )
    streams[modality] = (member, array)
  if not streams:
    raise UserError(
      f"{where} has {', '.join(map(str, part))}, and none of text, audio,"
      " vision"
    )
  return _Part(
    key=key,
    streams=family_lib.in_order(streams),
    labels=labels,
    ids=_ids(part.get("id"), count, key, where),
    texts=members.texts(part["raw_text"], count, f"{where}/raw_text")
    if "raw_text" in part
    else [],
    mask=_mask(part, streams, where),
    lengths=_lengths(part, streams, count, where),
  )


def _mask(
  part: Mapping[str, Any],
  streams: Mapping[str, tuple[str, np.ndarray]],
  where: str,
) -> np.ndarray | None:
  """Reads the mask of BERT: what stands behind it need not be zero."""
  if "text_bert" not in part or "lexical" not in streams:
    return None
  bert = members.numbers(
    part["text_bert"], f"{where}/text_bert", "(utterances, 3, rows)"
  )
  rows = streams["lexical"][1].shape[:2]
  if bert.shape != (rows[0], 3, rows[1]):
    raise UserError(
      f"{where}/text_bert has shape {bert.shape}, expected"
      f" {(rows[0], 3, rows[1])}, ids, mask and segments of the {rows[1]} rows"
      " of text"
    )
  return bert[:, 1] > 0


def _lengths(
  part: Mapping[str, Any],
  streams: Mapping[str, Any],
  count: int,
  where: str,
) -> dict[str, np.ndarray]:
  """Reads how many rows of sound and vision are real."""
  lengths = {}
  for name, member in _LENGTHS.items():
    if member in part and name in streams:
      at = f"{where}/{member}"
      array = members.numbers(part[member], at, "one length per utterance")
      if array.size != count:
        raise UserError(f"{at} has {array.size} lengths, expected {count}")
      lengths[name] = array.reshape(count)
  return lengths


def _ids(value: Any, count: int, key: str, where: str) -> list[tuple[str, str]]:
  """Reads ids, and the video of each; numbers where there are none."""
  if value is None:
    split = family_lib.SPLITS[key]
    return [(f"{split}/{row:06d}", "") for row in range(count)]
  at = f"{where}/id"
  rows = value.tolist() if isinstance(value, np.ndarray) else value
  if not isinstance(rows, (list, tuple)) or len(rows) != count:
    raise UserError(
      f"{at} is {members.kind_of(value)}, expected {count} ids, or rows of"
      " video, start and end"
    )
  found = []
  for number, row in enumerate(rows):
    row = row.tolist() if isinstance(row, np.ndarray) else row
    fields = row if isinstance(row, (list, tuple)) else [row]
    texts = [
      members.text(
        repr(field) if isinstance(field, float) else field, f"{at} row {number}"
      )
      for field in fields
    ]
    video, *times = texts or [""]
    if times:
      found.append((f"{video}[{'-'.join(times)}]", video))
    else:
      found.append((video, video_of(video)))
  return found


def video_of(name: str) -> str:
  """Finds the video in an id: `video$_$clip` or `video[k]`."""
  for mark in ("$_$", "["):
    video, found, _ = name.partition(mark)
    if found:
      return video
  return ""


def _dims(parts: list[_Part], path: str) -> dict[str, int]:
  """Finds the features of each modality, the same in every split."""
  dims: dict[str, tuple[int, str]] = {}
  for part in parts:
    for name, (member, array) in part.streams.items():
      known, key = dims.setdefault(name, (array.shape[2], part.key))
      if array.shape[2] != known:
        raise UserError(
          f"{path} {part.key}/{member} has {array.shape[2]} features and"
          f" {key} {known}; every split needs the same"
        )
  return family_lib.in_order({name: dim for name, (dim, _) in dims.items()})


def _notes(content: Mapping[str, Any], parts: list[_Part]) -> list[str]:
  """Names the members that are not read, and masks that are none."""
  known = {*_KNOWN, *_LENGTHS.values(), *family_lib.MODALITIES}
  unread = dict.fromkeys(
    str(member)
    for part in content.values()
    for member in part
    if member not in known
  )
  notes = [f"member {member!r} is not read" for member in unread]
  odd = 0
  for part in parts:
    if part.mask is not None:
      mask = np.asarray(content[part.key]["text_bert"])[:, 1]
      odd += int(np.count_nonzero((mask != 0) & (mask != 1)))
  if odd:
    notes.append(
      f"{odd} values of text_bert's mask are neither 0 nor 1; above 0 a row"
      " counts as real"
    )
  return notes


def _utterances(
  parts: list[_Part],
  path: str,
  aligned: bool,
  rated: ratings_lib.Ratings,
  tally: family_lib.Tally,
) -> Iterator[family_lib.Utterance]:
  """Goes through the utterances of all splits, without padding."""
  number = itertools.count()
  for part in parts:
    for row, (name, video) in enumerate(part.ids):
      where = f"{path} {part.key} row {row}"
      yield family_lib.Utterance(
        id=name,
        where=where,
        streams=_streams(part, row, where, aligned, tally),
        label=part.labels[row],
        split=family_lib.SPLITS[part.key],
        dialogue=video,
        text=part.texts[row] if part.texts else "",
        ratings=rated.of(next(number)),
      )


def _streams(
  part: _Part,
  row: int,
  where: str,
  aligned: bool,
  tally: family_lib.Tally,
) -> dict[str, np.ndarray]:
  """Takes the real rows of an utterance."""
  streams, told = {}, {}
  for name, (_, array) in part.streams.items():
    frames = corpus_lib.as_float32(array[row])
    if name == "lexical" and part.mask is not None:
      mask = part.mask[row]
      behind = int(np.count_nonzero(frames[~mask].any(axis=1)))
      what = "of text outside of BERT's mask, not zeros, left out"
      family_lib.count(tally, what, behind)
      if aligned:
        # In place: the other streams share these rows.
        streams[name] = np.where(mask[:, None], frames, np.float32(0))
      else:
        told[name] = frames[mask]
    elif name in part.lengths:
      length = float(part.lengths[name][row])
      told[name] = padding.by_length(name, frames, length, where, tally)
    else:
      streams[name] = frames
  streams = padding.cut_left(streams, aligned, tally)
  streams |= {name: frames for name, frames in told.items() if frames.any()}
  return family_lib.in_order(streams)
