"""Extracts openSMILE's features from recordings.

Channels are averaged. Nothing is resampled: openSMILE's features depend on the
sampling rate, so that all recordings of a corpus need one.
"""

import pathlib
import tempfile
import weakref
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError

# Feature set and levels of openSMILE; the levels stand side by side.
ACOUSTIC = {
  "is10": ("IS10", ("Functionals",)),
  "compare2013": (
    "IS13",
    ("LowLevelDescriptors", "LowLevelDescriptors_Deltas"),
  ),
}


class Recording(NamedTuple):
  """Locates a recording.

  Attributes:
    number: Its place in the list, from 0.
    where: The list and the line, for messages.
    wav: The file.
  """

  number: int
  where: str
  wav: pathlib.Path


class Sound:
  """Extracts the features of recordings; a second pass reads the first's.

  Attributes:
    version: The version of openSMILE.
    columns: Names of the features.
    frame_rate_hz: Frames in a second; None where a recording is one frame.
  """

  def __init__(self, acoustic: str) -> None:
    """Takes a key of `ACOUSTIC`."""
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
    # openSMILE's descriptors come each 10 ms.
    self.frame_rate_hz = None if levels == ("Functionals",) else 100.0
    self._rate: tuple[float, str] | None = None
    # Frames of a whole corpus may not fit into memory.
    self._folder = tempfile.TemporaryDirectory(prefix="recordings_")
    weakref.finalize(self, self._folder.cleanup)

  def rate(self, recording: Recording) -> int:
    """Reads the sampling rate of a recording, in Hz."""
    return self._read(recording)[1]

  def _read(self, recording: Recording) -> tuple[np.ndarray, int]:
    try:
      return self._soundfile.read(str(recording.wav), dtype="float32")
    except (OSError, RuntimeError) as error:
      raise UserError(
        f"{recording.where}: {recording.wav} cannot be read as sound ({error})"
      ) from None

  def __call__(self, recording: Recording) -> np.ndarray:
    """Returns the features of a recording, (t, d) float32."""
    file = pathlib.Path(self._folder.name) / f"{recording.number}.npy"
    if file.exists():
      return np.load(file)
    frames = self._extract(recording)
    np.save(file, frames)
    return frames

  def _extract(self, recording: Recording) -> np.ndarray:
    samples, rate = self._read(recording)
    self._check(recording, samples, rate)
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    parts = [
      np.asarray(level.process_signal(mono, rate), np.float64)
      for level in self._levels
    ]
    # Deltas go on for some frames behind the last one of the descriptors.
    length = min(len(part) for part in parts)
    return corpus.as_float32(
      np.concatenate([part[:length] for part in parts], axis=1)
    )

  def _check(
    self, recording: Recording, samples: np.ndarray, rate: int
  ) -> None:
    where, wav = recording.where, recording.wav
    if self._rate is None:
      self._rate = (rate, where)
    if rate != self._rate[0]:
      raise UserError(
        f"{where}: {wav} has {rate} Hz, {self._rate[1]} has"
        f" {self._rate[0]} Hz; resample the recordings to one rate"
      )
    if not len(samples):
      raise UserError(f"{where}: {wav} is empty, expected sound; leave it out")
    if not np.isfinite(samples).all():
      raise UserError(
        f"{where}: {wav} holds samples that are not finite; record or convert"
        " it again"
      )
    # The longest of openSMILE's windows has 60 ms; deltas need a few of them.
    if len(samples) < 0.1 * rate:
      raise UserError(
        f"{where}: {wav} lasts {1e3 * len(samples) / rate:.0f} ms,"
        " expected 100 ms at least; leave it out"
      )
