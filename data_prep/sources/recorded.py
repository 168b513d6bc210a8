"""Features of the sound of a corpus whose utterances may lack a recording.

A source opens them once, with the recordings of all utterances, and adds them
to its examples. Where no utterance has a recording, they are none.
"""

from collections.abc import Sequence
from typing import Any

from data_prep.corpus import corpus as corpus_lib
from data_prep.readers import sound as sound_lib


class Recorded:
  """Extracts the features of the recordings, where there are any.

  Attributes:
    frame_rate_hz: Frames in a second; None without sound, and where a recording
      is one frame.
  """

  def __init__(
    self, recordings: Sequence[sound_lib.Recording | None], acoustic: str
  ) -> None:
    """Opens the features.

    Args:
      recordings: One for each utterance; None where it has none.
      acoustic: A key of `sound.ACOUSTIC`.
    """
    self._recordings = recordings
    self._acoustic = acoustic
    first = next((each for each in recordings if each is not None), None)
    self._sound = None if first is None else sound_lib.Sound(acoustic)
    self._rate_hz = None if first is None else self._sound.rate(first)
    self.frame_rate_hz = None if first is None else self._sound.frame_rate_hz

  def modalities(self) -> dict[str, corpus_lib.Modality]:
    """Returns the acoustic modality by its name; nothing without sound."""
    if self._sound is None:
      return {}
    return {
      "acoustic": corpus_lib.Modality(
        self._sound.columns, corpus_lib.NO_PADDING, self.frame_rate_hz
      )
    }

  def add(self, example: corpus_lib.Example, number: int) -> None:
    """Gives an example the features of its recording, where it has one."""
    recording = self._recordings[number]
    if recording is not None:
      example.streams["acoustic"] = self._sound(recording)

  def options(self) -> dict[str, Any]:
    """Returns what the manifest records of the sound."""
    if self._sound is None:
      return {"acoustic": None}
    return {
      "acoustic": self._acoustic,
      "opensmile": self._sound.version,
      "rate_hz": self._rate_hz,
    }
