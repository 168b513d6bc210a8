"""Reads MELD: the tables of its three splits, and the sound of its media.

Words become word vectors. With --media the sound of each utterance becomes
openSMILE's features; files that are missing, broken, badly cut or too short
leave a row without sound. They are counted and named, but for videos that are
too short, which are known when ffmpeg has read them: the closing line counts
all utterances without sound.
"""

import pathlib
from collections.abc import Mapping

from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from data_prep.readers import media as media_lib
from data_prep.sources import source as source_lib
from data_prep.sources import spoken
from data_prep.sources.meld import media, tables
from mmer_jax.base.errors import UserError

FLAGS = frozenset(
  {
    *("input", "variant", "media", "keep_badly_cut", "acoustic"),
    *text_features.FLAGS,
  }
)


def define(values: flags.FlagValues) -> None:
  """Defines the flags of this source alone."""
  flags.DEFINE_string(
    "media",
    None,
    "meld: the folder MELD.Raw, unpacked: a .mp4 an utterance, which the"
    " program ffmpeg reads, or a .wav.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "keep_badly_cut",
    False,
    "meld: use the three media that hold minutes around one sentence, too.",
    flag_values=values,
  )


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus that the flags name."""
  choice = text_features.choose_for_speech(values)
  variant = values.variant or "emotion"
  if variant not in tables.EMOTIONS:
    raise UserError(
      f"--variant={variant} with --source=meld, expected"
      f" {' or '.join(tables.EMOTIONS)}"
    )
  if values.media is None and (values.keep_badly_cut or choice.is_none):
    raise UserError(
      "--source=meld without --media=MELD.Raw has no sound"
      + (
        ", so that --keep_badly_cut does nothing"
        if values.keep_badly_cut
        else ", and --word_vectors= goes without text; there is nothing to"
        " convert"
      )
    )
  return build_corpus(
    source_lib.required(values, "input"),
    variant=variant,
    folder=pathlib.Path(values.media) if values.media else None,
    keep_badly_cut=values.keep_badly_cut,
    acoustic=values.acoustic,
    choice=choice,
  )


def build_corpus(
  given: str,
  *,
  variant: str,
  folder: pathlib.Path | None,
  keep_badly_cut: bool,
  acoustic: str,
  choice: text_features.Choice,
) -> corpus_lib.Corpus:
  """Builds the corpus of MELD's tables.

  Args:
    given: The folder of the tables, or tables separated by commas.
    variant: A key of `tables.EMOTIONS`.
    folder: The media; None for the text alone.
    keep_badly_cut: Whether media of minutes are used.
    acoustic: A key of `sound.ACOUSTIC`.
    choice: How texts become features.

  Raises:
    UserError: A table or the media are not as they should be.
  """
  paths = tables.find(given)
  lines = _lines(paths, variant)
  tally, notes = tables.tally(lines), tables.differences(lines)
  used: dict[tables.Key, pathlib.Path] = {}
  options = {"variant": variant}
  if folder is not None:
    keys = [line.key for line in lines]
    files = media.find(folder, set(keys))
    used, without = media.usable(files, keys, keep_badly_cut=keep_badly_cut)
    tally.update(without)
    notes += media.notes(files)
    options["keep_badly_cut"] = keep_badly_cut
    options["ffmpeg"] = _ffmpeg(used, folder)
  utterances = [_utterance(line, used.get(line.key)) for line in lines]
  if choice.is_none:
    utterances = [each for each in utterances if each.wav is not None]
    if len(utterances) < len(lines):
      tally["left out, without sound"] = len(lines) - len(utterances)
  return spoken.build(
    utterances,
    tables.EMOTIONS[variant],
    spoken.Account(
      name=f"meld_{variant}",
      source="meld",
      layout=f"MELD's tables of {len(lines)} utterances"
      + (", with media" if used else ""),
      options=options,
      tally=tally,
      notes=tuple(notes),
      files=tuple(paths.values()),
    ),
    acoustic=acoustic,
    choice=choice,
    keep_short=True,
  )


def _lines(
  paths: Mapping[str, pathlib.Path], variant: str
) -> list[tables.Line]:
  """Reads the tables of all splits."""
  return [
    line
    for split, path in paths.items()
    for line in tables.read(split, path, variant)
  ]


def _ffmpeg(
  used: dict[tables.Key, pathlib.Path], folder: pathlib.Path
) -> str | None:
  """Names the ffmpeg that reads the media; None where all are .wav."""
  if any(map(media_lib.is_video, used.values())):
    return media_lib.version(f"--media={folder}")
  return None


def _utterance(
  line: tables.Line, path: pathlib.Path | None
) -> spoken.Utterance:
  split = line.key.split
  return spoken.Utterance(
    id=str(line.key),
    where=line.where,
    wav=path,
    text=line.text,
    label=line.label,
    speaker=line.speaker,
    dialogue=f"{split}_dia{line.key.dialogue}",
    split=tables.SPLITS[split],
  )
