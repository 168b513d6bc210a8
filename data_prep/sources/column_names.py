"""Guesses what the columns of a table mean from what they are called."""

import re
from collections.abc import Iterable, Sequence

# What people call the columns, the likeliest first.
_NAMES = {
  "id": (
    *("id", "utt_id", "uttid", "utt", "utterance_id", "segment_id", "clip_id"),
    *("sample_id", "example_id", "segment", "clip", "name", "filename", "file"),
    *("file_name", "wav", "audio_file", "path"),
  ),
  "label": (
    *("label", "emotion", "emotion_label", "emo", "class", "category"),
    *("labels", "emotions", "sentiment"),
  ),
  "text": (
    *("text", "transcript", "transcription", "utterance", "sentence"),
    *("raw_text", "words", "transcripts"),
  ),
  "speaker": ("speaker", "speaker_id", "spk", "spk_id", "actor", "subject"),
  "session": ("session", "session_id", "ses"),
  "dialogue": (
    *("dialogue", "dialog", "dialogue_id", "dialog_id", "conversation"),
    *("conversation_id", "video", "video_id", "meeting"),
  ),
  "split": ("split", "set", "subset", "partition", "mode"),
}
ROLES = tuple(_NAMES)


def plain(column: str) -> str:
  """Writes a name as it is compared: letters and digits in lower case."""
  return re.sub(r"[\W_]+", "", column.lower())


def candidates(role: str, columns: Sequence[str]) -> list[str]:
  """Lists the columns that may have a role, the likeliest first."""
  by_name: dict[str, str] = {}
  for column in columns:
    by_name.setdefault(plain(column), column)
  names = dict.fromkeys(map(plain, _NAMES[role]))
  return [by_name[name] for name in names if name in by_name]


def find(
  role: str, columns: Sequence[str], taken: Iterable[str] = ()
) -> str | None:
  """Finds the likeliest column of a role that is not taken; None for none."""
  gone = set(taken)
  return next((c for c in candidates(role, columns) if c not in gone), None)
