"""Applies a policy to NaN and infinite feature values, and counts them.

The policies, by their names on the command line:

- `zero`: the value becomes 0.
- `clip`: -inf becomes the smallest and +inf the largest finite value of its
  column, over the real frames of the corpus's training split, or of the whole
  corpus where it has none; NaN, and a column without a finite value, become 0.
- `drop`: the whole frame goes. Where all-zero rows are padding it becomes such
  a row, so that frames at the same index stay aligned between modalities;
  elsewhere it is taken out, its word with it, and acoustic frames that belonged
  to a dropped word belong to none (-1).
- `error`: the conversion ends, naming file, row and column.

Whatever the policy, the manifest counts the values by column.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError

POLICIES = ("zero", "clip", "drop", "error")


class Nonfinite:
  """Counts, and afterwards replaces, the non-finite values of a corpus."""

  def __init__(
    self, policy: str, modalities: dict[str, corpus.Modality]
  ) -> None:
    """Takes a name of `POLICIES` and the modalities of the corpus."""
    self.policy = policy
    self._modalities = modalities
    self._counts = {
      name: np.zeros(modality.dim, np.int64)
      for name, modality in modalities.items()
    }
    # Split to modality to the column's range.
    self._low: dict[tuple[bool, str], np.ndarray] = {}
    self._high: dict[tuple[bool, str], np.ndarray] = {}
    self._train_seen = False

  def observe(self, example: corpus.Example) -> None:
    """Counts one example, in the pass before writing."""
    train = example.split == "train"
    self._train_seen |= train
    for name, frames in example.streams.items():
      finite = np.isfinite(frames)
      if not finite.all():
        if self.policy == "error":
          row, column = np.argwhere(~finite)[0]
          modality = self._modalities[name]
          where = example.stream_where.get(name, example.where)
          frame = f", frame {row}" if len(frames) > 1 else ""
          raise UserError(
            f"{where}{frame}: {name} column {modality.columns[column]!r} is"
            f" {frames[row, column]}, expected a finite value; use"
            " --nonfinite=zero, clip or drop"
          )
        self._counts[name] += (~finite).sum(axis=0)
      if self.policy == "clip":
        self._widen(train, name, frames, finite)

  def _widen(
    self, train: bool, name: str, frames: np.ndarray, finite: np.ndarray
  ) -> None:
    real = frames.any(axis=1)
    if self._modalities[name].padding == corpus.NO_PADDING:
      real[:] = True
    finite = finite & real[:, None]
    low = np.where(finite, frames, np.inf).min(axis=0, initial=np.inf)
    high = np.where(finite, frames, -np.inf).max(axis=0, initial=-np.inf)
    key = (train, name)
    self._low[key] = np.minimum(self._low.get(key, low), low)
    self._high[key] = np.maximum(self._high.get(key, high), high)

  def state(self) -> dict[str, np.ndarray]:
    """Returns what was observed, for `merge` in another process."""
    arrays = {f"count/{name}": each for name, each in self._counts.items()}
    for train, name in self._low:
      arrays[f"low/{int(train)}/{name}"] = self._low[train, name]
      arrays[f"high/{int(train)}/{name}"] = self._high[train, name]
    return {**arrays, "train_seen": np.array(self._train_seen)}

  def merge(self, state: Mapping[str, np.ndarray]) -> None:
    """Adds what another has observed; the order does not matter."""
    self._train_seen |= bool(state["train_seen"])
    for path, values in state.items():
      kind, _, name = path.partition("/")
      if kind == "count":
        self._counts[name] += values
      elif kind in ("low", "high"):
        train, _, name = name.partition("/")
        key = (train == "1", name)
        known = self._low if kind == "low" else self._high
        wider = np.minimum if kind == "low" else np.maximum
        known[key] = wider(known.get(key, values), values)

  def counts(self) -> dict[str, dict[str, int]]:
    """Returns the values by modality and column; only columns with any."""
    return {
      name: {
        self._modalities[name].columns[column]: int(counts[column])
        for column in np.flatnonzero(counts)
      }
      for name, counts in self._counts.items()
      if counts.any()
    }

  def apply(self, example: corpus.Example) -> corpus.Example:
    """Makes an example's values finite, in the pass that writes."""
    bad = {
      name: ~np.isfinite(frames)
      for name, frames in example.streams.items()
      if not np.isfinite(frames).all()
    }
    for name, mask in bad.items():
      if self.policy == "drop":
        example = self._drop(example, name, mask.any(axis=1))
        continue
      frames = example.streams[name]
      fill: np.ndarray | float = 0.0
      if self.policy == "clip":
        fill = self._range(name, frames)
      streams = {**example.streams, name: np.where(mask, fill, frames)}
      example = dataclasses.replace(example, streams=streams)
    return example

  def _range(self, name: str, frames: np.ndarray) -> np.ndarray:
    key = (self._train_seen, name)
    nothing = np.full(frames.shape[1], np.inf, np.float32)
    low = self._low.get(key, nothing)
    high = self._high.get(key, -nothing)
    low = np.where(np.isfinite(low), low, 0.0).astype(np.float32)
    high = np.where(np.isfinite(high), high, 0.0).astype(np.float32)
    fill = np.where(frames < 0, low, high)
    return np.where(np.isnan(frames), np.float32(0.0), fill)

  def _drop(
    self, example: corpus.Example, name: str, bad: np.ndarray
  ) -> corpus.Example:
    frames = example.streams[name]
    if self._modalities[name].padding == corpus.ZERO_ROWS:
      frames = np.where(bad[:, None], np.float32(0.0), frames)
      return dataclasses.replace(
        example, streams={**example.streams, name: frames}
      )
    changes = {"streams": {**example.streams, name: frames[~bad]}}
    word = example.acoustic_word
    if name == "acoustic" and word is not None:
      changes["acoustic_word"] = word[~bad]
    if name == "lexical":
      if example.words is not None:
        changes["words"] = [
          text
          for text, dropped in zip(example.words, bad, strict=True)
          if not dropped
        ]
      if word is not None:
        # Old row to new row; -1 where it went, and for what had no word.
        new = np.append(np.where(bad, -1, np.cumsum(~bad) - 1), -1)
        changes["acoustic_word"] = new[word].astype(np.int32)
    return dataclasses.replace(example, **changes)
