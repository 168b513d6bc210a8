"""Keeps what is done of a conversion as files, in a folder of their own.

A part holds the utterances of one chunk: their records in TFDS's order, in one
file, and in a second one everything else. The second appears last and whole, so
that a part is there or not, whenever a conversion is ended.
"""

import io
import json
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from data_prep.corpus import nonfinite
from data_prep.writing import statistics
from mmer_jax.data import npz_files

_MOMENTS = "moments/"
_OBSERVED = "observed/"


class Part(NamedTuple):
  """Holds what is known of a chunk's utterances, without their records.

  Attributes:
    rows: In the order of the corpus.
    moments: By row and modality.
    observed: The state of `nonfinite.Nonfinite`.
    error: What is wrong with the last row, or behind it; empty for nothing.
    keys: The places of the records in TFDS's order, ascending, 16 bytes each.
    sizes: The bytes of the records, in the order of `keys`.
  """

  rows: Sequence[statistics.Row]
  moments: Sequence[Mapping[str, statistics.Moment]]
  observed: Mapping[str, np.ndarray]
  error: str
  keys: np.ndarray
  sizes: np.ndarray


class Folder:
  """Writes and reads parts; any number of processes may, at the same time."""

  def __init__(self, path: pathlib.Path) -> None:
    """Takes the folder, which is made where it is not there."""
    path.mkdir(exist_ok=True)
    self.path = path

  def save(
    self,
    number: int,
    rows: Sequence[statistics.Row],
    moments: Sequence[Mapping[str, statistics.Moment]],
    observed: nonfinite.Nonfinite,
    records: Sequence[tuple[bytes, bytes]],
    error: str,
  ) -> None:
    """Writes a part.

    Args:
      number: Of its chunk.
      rows: In the order of the corpus.
      moments: By row and modality.
      observed: What was found not to be finite.
      records: A key and the bytes of each; in any order.
      error: What is wrong with the last row, or behind it; empty for nothing.
    """
    records = sorted(records)
    content = b"".join(data for _, data in records)
    keys = np.frombuffer(b"".join(key for key, _ in records), np.uint8)
    text = json.dumps([row._asdict() for row in rows])
    arrays = {
      "rows": np.frombuffer(text.encode(), np.uint8),
      "error": np.array(error),
      "keys": keys.reshape(-1, 16),
      "sizes": np.array([len(data) for _, data in records], np.int64),
      "crc32c": np.array(google_crc32c.value(content)),
      **_stack(moments),
      **{f"{_OBSERVED}{k}": v for k, v in observed.state().items()},
    }
    self._put(f"{number:06d}.records", content)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    self._put(f"{number:06d}.npz", buffer.getvalue())

  def _put(self, name: str, content: bytes) -> None:
    # Whole or absent, even where two processes have got the same chunk.
    path = unfinished(self.path / name)
    path.write_bytes(content)
    path.rename(self.path / name)

  def has(self, number: int) -> bool:
    """Says whether a part is there."""
    return (self.path / f"{number:06d}.npz").exists()

  def load(self, number: int) -> Part:
    """Reads a part."""
    with np.load(self.path / f"{number:06d}.npz", allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    rows = [
      statistics.Row(**row) for row in json.loads(arrays["rows"].tobytes())
    ]
    return Part(
      rows,
      _unstack(arrays, len(rows)),
      {
        name.removeprefix(_OBSERVED): value
        for name, value in arrays.items()
        if name.startswith(_OBSERVED)
      },
      str(arrays["error"]),
      arrays["keys"],
      arrays["sizes"],
    )

  def sound(self) -> set[int]:
    """Finds the parts that are as they were written; removes the others."""
    found = set()
    for path in self.path.glob("[0-9]*.npz"):
      if self._is_sound(path):
        found.add(int(path.stem))
      else:
        path.unlink()
    return found

  def _is_sound(self, path: pathlib.Path) -> bool:
    try:
      with np.load(path, allow_pickle=False) as file:
        # All of it: each array has a checksum.
        arrays = {name: file[name] for name in file.files}
      content = path.with_suffix(".records").read_bytes()
    except npz_files.DAMAGE:
      return False
    crc = google_crc32c.value(content)
    return not str(arrays["error"]) and crc == int(arrays["crc32c"])

  def read(self, number: int, start: int, stop: int) -> bytes:
    """Reads some bytes of a part's records."""
    with (self.path / f"{number:06d}.records").open("rb") as file:
      file.seek(start)
      return file.read(stop - start)


def unfinished(path: pathlib.Path) -> pathlib.Path:
  """Names a file that will get a name, for this process alone."""
  return path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")


def _stack(
  moments: Sequence[Mapping[str, statistics.Moment]],
) -> dict[str, np.ndarray]:
  """Puts moments side by side; rows without any have a count of 0."""
  arrays: dict[str, Any] = {}
  for name in sorted(set().union(*moments)):
    having = [each[name] for each in moments if name in each]
    path = f"{_MOMENTS}{name}"
    arrays[f"{path}/count"] = np.array(
      [each[name].count if name in each else 0 for each in moments]
    )
    arrays[f"{path}/mean"] = np.stack([each.mean for each in having])
    arrays[f"{path}/squares"] = np.stack([each.squares for each in having])
  return arrays


def _unstack(
  arrays: Mapping[str, np.ndarray], length: int
) -> list[dict[str, statistics.Moment]]:
  moments: list[dict[str, statistics.Moment]] = [{} for _ in range(length)]
  for path in arrays:
    if not path.startswith(_MOMENTS) or not path.endswith("/count"):
      continue
    path = path.removesuffix("/count")
    counts = arrays[f"{path}/count"]
    having = zip(
      np.flatnonzero(counts),
      arrays[f"{path}/mean"],
      arrays[f"{path}/squares"],
      strict=True,
    )
    for row, mean, squares in having:
      moment = statistics.Moment(int(counts[row]), mean, squares)
      moments[row][path.removeprefix(_MOMENTS)] = moment
  return moments
