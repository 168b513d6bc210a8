"""Finds words, people and recordings of AMI's meetings."""

import itertools
import pathlib
from collections import Counter
from collections.abc import Sequence

from data_prep.corpus import corpus as corpus_lib
from data_prep.readers import sound as sound_lib
from data_prep.sources.ami import cuts as cuts_lib
from data_prep.sources.ami import nxt, people
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError

# What openSMILE needs at least.
_SHORTEST = 0.1

SHORT = "shorter than 0.1 s, without sound"
CUT_SHORT = "that end with their recording, earlier than they should"


class Meetings:
  """Reads words, people and recordings of the meetings."""

  def __init__(
    self, folder: pathlib.Path, files: Sequence[pathlib.Path]
  ) -> None:
    self._folder = folder
    self._files = files
    self._people = people.read(folder)
    # Cuts of a file follow each other.
    self._latest: tuple[int, list[nxt.Word | None]] = (-1, [])

  def _items(self, stream: int) -> list[nxt.Word | None]:
    """Reads a file of words; the latest one is kept."""
    if self._latest[0] != stream:
      items = nxt.read_words(self._files[stream]).items
      self._latest = (stream, list(items.values()))
    return self._latest[1]

  def _agent(self, stream: int) -> tuple[str, str]:
    return nxt.WORDS.fullmatch(self._files[stream].name).groups()

  def words(self, cut: cuts_lib.Cut) -> list[nxt.Word]:
    """Reads the words and marks of a cut."""
    items = self._items(cut.stream)
    return [items[place] for place in cut.places]

  def text(self, cut: cuts_lib.Cut) -> str:
    """Reads the text of a cut."""
    return " ".join(word.text for word in self.words(cut))

  def is_named(self, cut: cuts_lib.Cut) -> bool:
    """Tells whether the person of a cut has a global name."""
    return self._agent(cut.stream) in self._people

  def example(self, cut: cuts_lib.Cut) -> corpus_lib.Example:
    """Makes the row of a cut, as yet without features."""
    meeting, agent = self._agent(cut.stream)
    person = self._people.get((meeting, agent))
    return corpus_lib.Example(
      id=cut.id,
      where=cut.where,
      streams={},
      labels=None,
      speaker=person.name if person else f"{meeting} {agent}",
      session=meeting,
      dialogue=meeting,
    )

  def recordings(
    self, cuts: Sequence[cuts_lib.Cut], tally: Counter[str]
  ) -> list[sound_lib.Recording | None]:
    """Finds the recording of each cut; None where there is none.

    Args:
      cuts: All of them.
      tally: Counts cuts that are too short for sound, and those that go on
        behind the end of their recording.
    """
    found: list[sound_lib.Recording | None] = []
    streams = dict.fromkeys(cut.stream for cut in cuts)
    wavs = {stream: self._wav(stream) for stream in streams}
    ends = {wav: _duration(wav) for wav in wavs.values() if wav is not None}
    for number, cut in enumerate(cuts):
      wav = wavs[cut.stream]
      if wav is None:
        found.append(None)
        continue
      recording = sound_lib.Recording(
        number, cut.where, wav, cut.start, min(cut.end, ends[wav])
      )
      is_short = recording.end - recording.start < _SHORTEST
      tally[SHORT] += is_short
      tally[CUT_SHORT] += not is_short and recording.end < cut.end
      found.append(None if is_short else recording)
    return found

  def _wav(self, stream: int) -> pathlib.Path | None:
    """Finds a person's headset, or the mix of all."""
    meeting, agent = self._agent(stream)
    person = self._people.get((meeting, agent))
    channel = person.channel if person else None
    names = [f"{meeting}.Mix-Headset.wav"]
    if channel is not None:
      names.insert(0, f"{meeting}.Headset-{channel}.wav")
    places = ("", "audio", f"{meeting}/audio", f"amicorpus/{meeting}/audio")
    for name, place in itertools.product(names, places):
      wav = self._folder / place / name
      if wav.is_file():
        return wav
    return None

  def notes(self) -> tuple[str, ...]:
    """Says what is missing altogether."""
    if self._people:
      return ()
    return (
      f"there is no {people.FILE}: a speaker is an agent of one meeting, and"
      " people who meet several times are several speakers",
    )


def _duration(wav: pathlib.Path) -> float:
  """Reads how long a recording is, in seconds."""
  soundfile = errors.require("soundfile", "prep", "reading sound")
  try:
    return soundfile.info(str(wav)).duration
  except (OSError, RuntimeError) as error:
    raise UserError(f"{wav} cannot be read as sound ({error})") from None
