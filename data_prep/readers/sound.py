"""Extracts openSMILE's features from recordings.

Channels are averaged. Nothing is resampled: openSMILE's features depend on the
sampling rate, so that all recordings of a corpus need one. The sound of videos
comes through ffmpeg at the rate of `media.RATE_HZ`.
"""

import contextlib
import os
import pathlib
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus
from data_prep.readers import media
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError


class AcousticSet(NamedTuple):
  """Describes a set of openSMILE's features.

  Attributes:
    feature_set: openSMILE's name of it.
    levels: openSMILE's levels; the features of each stand side by side.
    dim: The number of features.
    frame_rate_hz: Frames in a second; None where a recording is one frame.
    what: The set in a few words.
  """

  feature_set: str
  levels: tuple[str, ...]
  dim: int
  frame_rate_hz: float | None
  what: str


_FUNCTIONALS = ("Functionals",)
_LLD = ("LowLevelDescriptors",)
# openSMILE's descriptors come each 10 ms.
_EACH_10_MS = 100.0
ACOUSTIC = {
  "is09": AcousticSet(
    "IS09", _FUNCTIONALS, 384, None, "functionals of Interspeech 2009"
  ),
  "is10": AcousticSet(
    "IS10", _FUNCTIONALS, 1582, None, "functionals of Interspeech 2010"
  ),
  "egemaps": AcousticSet(
    "eGeMAPSv02", _FUNCTIONALS, 88, None, "functionals of eGeMAPS v02"
  ),
  "egemaps_lld": AcousticSet(
    "eGeMAPSv02", _LLD, 25, _EACH_10_MS, "descriptors of eGeMAPS v02"
  ),
  "compare2013": AcousticSet(
    "IS13",
    (*_LLD, "LowLevelDescriptors_Deltas"),
    130,
    _EACH_10_MS,
    "descriptors and deltas of Interspeech 2013 (ComParE)",
  ),
}


class Recording(NamedTuple):
  """Locates a recording.

  Attributes:
    number: Its place in the list, from 0.
    where: The list and the line, for messages.
    wav: The file, of sound or of video.
    start: Where in the file it begins, in seconds.
    end: Where in the file it ends, in seconds; None for the file's end.
  """

  number: int
  where: str
  wav: pathlib.Path
  start: float = 0.0
  end: float | None = None


class TooShort(UserError):
  """Says that a recording is too short for any features."""


# The longest of openSMILE's windows has 60 ms; deltas need a few of them.
_SHORTEST_S = 0.1


class Sound:
  """Extracts the features of recordings; a second pass reads the first's.

  It can be copied into other processes, which read what any of them has
  extracted.

  Attributes:
    version: The version of openSMILE.
    columns: Names of the features.
    frame_rate_hz: Frames in a second; None where a recording is one frame.
  """

  def __init__(self, acoustic: str) -> None:
    """Takes a key of `ACOUSTIC`."""
    self._set = ACOUSTIC[acoustic]
    self._open()
    self.columns = tuple(
      column for level in self._levels for column in level.feature_names
    )
    if len(self.columns) != self._set.dim:
      raise UserError(
        f"openSMILE {self.version} has {len(self.columns)} features in its set"
        f" {self._set.feature_set}, expected {self._set.dim}; install opensmile"
        " 2.6"
      )
    self.frame_rate_hz = self._set.frame_rate_hz
    self._rate: tuple[float, str] | None = None
    # Frames of a whole corpus may not fit into memory.
    folder = tempfile.TemporaryDirectory(prefix="recordings_")
    weakref.finalize(self, folder.cleanup)
    self._folder = pathlib.Path(folder.name)

  def _open(self) -> None:
    """Opens the packages and openSMILE's extractors."""
    opensmile, self._soundfile = (
      errors.require(package, "prep", "reading sound")
      for package in ("opensmile", "soundfile")
    )
    self.version = opensmile.__version__
    self._levels = [
      opensmile.Smile(
        feature_set=opensmile.FeatureSet[self._set.feature_set],
        feature_level=opensmile.FeatureLevel[level],
      )
      for level in self._set.levels
    ]

  def __getstate__(self) -> dict[str, Any]:
    """Leaves modules and extractors, which cannot be copied, out of a copy."""
    opened = ("_soundfile", "_levels")
    return {k: v for k, v in self.__dict__.items() if k not in opened}

  def __setstate__(self, state: dict[str, Any]) -> None:
    """Opens them again."""
    self.__dict__.update(state)
    self._open()

  def rate(self, recording: Recording) -> int:
    """Reads the sampling rate of a recording, in Hz; all others need it."""
    rate = self._read(recording)[1]
    self._check_rate(recording, rate)
    return rate

  def is_too_short(self, recording: Recording) -> bool:
    """Tells, by its header, whether a file of sound is too short."""
    with self._open_file(recording) as (file, first, last):
      return last - first < _SHORTEST_S * file.samplerate

  def _read(self, recording: Recording) -> tuple[np.ndarray, int]:
    with self._open_file(recording) as (file, first, last):
      file.seek(first)
      return file.read(last - first, dtype="float32"), file.samplerate

  @contextlib.contextmanager
  def _open_file(self, recording: Recording) -> Iterator[tuple[Any, int, int]]:
    """Opens a recording: the file, its first sample, and behind its last."""
    try:
      with (
        media.sound_of(recording.wav, recording.where) as wav,
        self._soundfile.SoundFile(str(wav)) as file,
      ):
        rate, total = file.samplerate, file.frames
        first = min(round(recording.start * rate), total)
        last = total
        if recording.end is not None:
          last = min(round(recording.end * rate), total)
        yield file, first, max(first, last)
    except (OSError, RuntimeError) as error:
      raise UserError(
        f"{recording.where}: {recording.wav} cannot be read as sound ({error})"
      ) from None

  def __call__(self, recording: Recording) -> np.ndarray:
    """Returns the features of a recording, (t, d) float32."""
    file = self._folder / f"{recording.number}.npy"
    if file.exists():
      return np.load(file)
    frames = self._extract(recording)
    # Another machine may not have it yet.
    self._folder.mkdir(parents=True, exist_ok=True)
    # Whole or absent, for other processes that look for it.
    part = file.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as opened:
      np.save(opened, frames)
    part.rename(file)
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

  def _check_rate(self, recording: Recording, rate: int) -> None:
    where, wav = recording.where, recording.wav
    if self._rate is None:
      self._rate = (rate, where)
    if rate != self._rate[0]:
      raise UserError(
        f"{where}: {wav} has {rate} Hz, {self._rate[1]} has"
        f" {self._rate[0]} Hz; resample the recordings to one rate"
      )

  def _check(
    self, recording: Recording, samples: np.ndarray, rate: int
  ) -> None:
    where, wav = recording.where, recording.wav
    self._check_rate(recording, rate)
    if not len(samples):
      raise TooShort(f"{where}: {wav} is empty, expected sound; leave it out")
    if not np.isfinite(samples).all():
      raise UserError(
        f"{where}: {wav} holds samples that are not finite; record or convert"
        " it again"
      )
    if len(samples) < _SHORTEST_S * rate:
      raise TooShort(
        f"{where}: {wav} lasts {1e3 * len(samples) / rate:.3g} ms,"
        f" expected {1e3 * _SHORTEST_S:.0f} ms at least; leave it out"
      )
