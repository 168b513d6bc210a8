"""Finds the media of MELD's utterances, and knows which are broken.

The raw release has a video an utterance, `dia{D}_utt{U}.mp4`, in
`train/train_splits`, `dev/dev_splits_complete` and
`test/output_repeated_splits_test`. Files of the same names that end in .wav may
lie beside them or in their place, and are preferred.

Source of the lists: the raw release that declare-lab/MELD hands on.
"""

import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from data_prep.readers import media as media_lib
from data_prep.sources import spoken
from data_prep.sources.meld import tables
from mmer_jax.base.errors import UserError

# The release's file is damaged.
UNREADABLE = frozenset({tables.Key("train", 125, 3)})
# The release has a row and no file.
MISSING = frozenset({tables.Key("dev", 110, 7)})
# Minutes of video around one sentence.
BADLY_CUT = frozenset(
  {
    tables.Key("train", 309, 0),
    tables.Key("test", 38, 4),
    tables.Key("test", 220, 0),
  }
)
# The release has a file and no row; so has `final_videos_test*`, all of it.
SURPLUS = frozenset(
  tables.Key("dev", dialogue, utterance)
  for dialogue, utterance in ((49, 4), (49, 5), (66, 9), (66, 10))
)
_SURPLUS_NAME = "final_videos_test"

_NAME = re.compile(r"dia(\d+)_utt(\d+)")
_SPLIT = re.compile(
  r"(train|dev|test)(?:[._-].*)?|output_repeated_splits_test.*"
)


class Files(NamedTuple):
  """Holds what lies below the folder of media.

  Attributes:
    found: Utterance to its file, of the splits that have a table.
    surplus: Files that no row names, known to the release.
    unknown: Files that no row names, not known.
    apple_double: How many files `._*` there are.
  """

  found: dict[tables.Key, pathlib.Path]
  surplus: list[str]
  unknown: list[str]
  apple_double: int


def find(folder: pathlib.Path, keys: Collection[tables.Key]) -> Files:
  """Finds the files of utterances.

  Raises:
    UserError: The folder has none of them, or an utterance has two.
  """
  if not folder.is_dir():
    raise UserError(f"--media={folder} is not a folder; expected MELD.Raw")
  files = look(folder, keys)
  if not files.found:
    raise UserError(
      f"--media={folder} has no file of any row, expected such as"
      " train/train_splits/dia0_utt0.mp4 or .wav; unpack the archives in it"
    )
  return files


def look(folder: pathlib.Path, keys: Collection[tables.Key]) -> Files:
  """Finds the files of utterances, if there are any."""
  files = Files({}, [], [], 0)
  apple_double = 0
  for path in sorted(folder.rglob("*")):
    is_sound = path.suffix.lower() == ".wav"
    if path.name.startswith("._"):
      apple_double += 1
    elif (is_sound or media_lib.is_video(path)) and path.is_file():
      _sort(path, folder, keys, files)
  return files._replace(apple_double=apple_double)


def _sort(
  path: pathlib.Path,
  folder: pathlib.Path,
  keys: Collection[tables.Key],
  files: Files,
) -> None:
  """Puts a file where it belongs."""
  shown = path.relative_to(folder).as_posix()
  key = _key(path, folder)
  if key is None or key not in keys:
    known = path.name.startswith(_SURPLUS_NAME) or key in SURPLUS
    (files.surplus if known else files.unknown).append(shown)
    return
  other = files.found.get(key)
  if other is not None and media_lib.is_video(other) == media_lib.is_video(
    path
  ):
    raise UserError(
      f"--media={folder}: {other.relative_to(folder).as_posix()} and {shown}"
      f" are both of {key}; expected one, remove the other"
    )
  if other is None or media_lib.is_video(other):
    files.found[key] = path


def _key(path: pathlib.Path, folder: pathlib.Path) -> tables.Key | None:
  """Names the utterance of a file; None where its name or folder tells none."""
  match = _NAME.fullmatch(path.stem)
  parts = (*path.relative_to(folder).parts[:-1], folder.name)
  splits = (_SPLIT.fullmatch(part) for part in parts)
  split = next((each[1] or "test" for each in splits if each), None)
  if match is None or split is None:
    return None
  return tables.Key(split, int(match[1]), int(match[2]))


def usable(
  files: Files, keys: Sequence[tables.Key], *, keep_badly_cut: bool
) -> tuple[dict[tables.Key, pathlib.Path], dict[str, int]]:
  """Leaves out what is known to be broken.

  Args:
    files: What was found.
    keys: Every row.
    keep_badly_cut: Whether the media of `BADLY_CUT` are used.

  Returns:
    Utterance to its file, and a tally of the rows without one, by the reason.
  """
  used, tally = {}, {}
  why: Mapping[str, list[str]] = {
    "no file, known to be missing or broken": [],
    "no file": [],
    "not readable in the release": [],
    "badly cut in the release, --keep_badly_cut keeps it": [],
  }
  absent, missing, unreadable, cut = why.values()
  for key in keys:
    path = files.found.get(key)
    if path is None:
      (absent if key in MISSING | UNREADABLE else missing).append(str(key))
    elif key in UNREADABLE and media_lib.is_video(path):
      unreadable.append(str(key))
    elif key in BADLY_CUT and not keep_badly_cut:
      cut.append(str(key))
    else:
      used[key] = path
  for reason, names in why.items():
    if names:
      tally[f"without sound: {reason} ({spoken.shown(names)})"] = len(names)
  return used, tally


def notes(files: Files) -> list[str]:
  """Says which files have no row."""
  said = []
  if files.surplus:
    said.append(
      f"files of --media without a row, as in the release: {len(files.surplus)}"
      f" ({spoken.shown(files.surplus)})"
    )
  if files.unknown:
    said.append(
      f"files of --media without a row: {len(files.unknown)}"
      f" ({spoken.shown(files.unknown)})"
    )
  if files.apple_double:
    said.append(f"files ._* (AppleDouble), not read: {files.apple_double}")
  return said
