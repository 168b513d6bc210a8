"""Reads corpora whose labels are their file names.

RAVDESS, CREMA-D and EMO-DB are read speech: their sentences are known, so that
words can stand beside the sound (they are the same for every emotion). In
MSP-IMPROV's names stands the emotion that was meant; the labels, which are what
people heard, are in a text file of ratings.

Files that are no .wav, and names that do not fit, are counted and named.
"""

import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources import ratings as ratings_lib
from data_prep.sources import spoken
from mmer_jax.base.errors import UserError


class Recipe(NamedTuple):
  """Says how to read the file names of a corpus.

  Attributes:
    title: The corpus.
    name: What matches a name without its ending: `speaker`, and where the
      corpus has them `label`, `text`, `session`, `dialogue`, `remark`.
    example: A name that fits.
    labels: Code to emotion; `""` for no label.
    texts: Code to sentence; empty where what is said is not known.
    published: How many files the corpus has.
    remarks: Code to what is to be said of such files.
    rated: Whether the labels are in a file of ratings.
  """

  title: str
  name: re.Pattern[str]
  example: str
  labels: Mapping[str, str]
  texts: Mapping[str, str]
  published: int
  remarks: Mapping[str, str] = {}
  rated: bool = False


# Livingstone and Russo 2018, "The Ryerson Audio-Visual Database of Emotional
# Speech and Song", PLOS ONE 13(5): modality, vocal channel, emotion, intensity
# (neutral has only the normal one), statement, repetition, actor.
_RAVDESS = Recipe(
  title="RAVDESS",
  name=re.compile(
    r"0[123]-(?P<remark>0[12])-(?!01-02)(?P<label>0[1-8])-0[12]"
    r"-(?P<text>0[12])-0[12]-(?P<speaker>0[1-9]|1\d|2[0-4])"
  ),
  example="03-01-06-01-02-01-12.wav",
  labels={
    **{"01": "neutral", "02": "calm", "03": "happy", "04": "sad"},
    **{"05": "angry", "06": "fearful", "07": "disgust", "08": "surprised"},
  },
  texts={
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
  },
  published=1440,
  remarks={"02": "sung, not spoken"},
)
# Cao, Cooper, Keutmann, Gur, Nenkova and Verma 2014, "CREMA-D", IEEE
# Transactions on Affective Computing 5(4); CheyneyComputerScience/CREMA-D,
# README.md. Copies have a name with the level X for XX.
_CREMAD = Recipe(
  title="CREMA-D",
  name=re.compile(
    r"(?P<speaker>10(?:0[1-9]|[1-8]\d|9[01]))_(?P<text>[A-Z]{3})"
    r"_(?P<label>[A-Z]{3})_(?:LO|MD|HI|XX?)"
  ),
  example="1001_DFA_ANG_XX.wav",
  labels={
    **{"ANG": "anger", "DIS": "disgust", "FEA": "fear"},
    **{"HAP": "happy", "NEU": "neutral", "SAD": "sad"},
  },
  texts={
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
  },
  published=7442,
)
# Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss 2005, "A database of German
# emotional speech", Interspeech; emodb.bilderbar.info/docu: speaker, text, the
# German initial of the emotion, version.
_EMODB = Recipe(
  title="EMO-DB",
  name=re.compile(
    r"(?P<speaker>03|08|09|1[0-6])(?P<text>[ab]\d\d)(?P<label>[WLEAFTN])[a-z]"
  ),
  example="03a01Fa.wav",
  labels={
    **{"W": "anger", "L": "boredom", "E": "disgust", "A": "fear"},
    **{"F": "joy", "T": "sadness", "N": "neutral"},
  },
  texts={
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem"
    " Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder"
    " runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und"
    " habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
  },
  published=535,
)
# Busso, Parthasarathy, Burmania, AbdelWahab, Sadoughi and Mower Provost 2017,
# "MSP-IMPROV", IEEE Transactions on Affective Computing 8(1): sentence and
# emotion that was meant, speaker, condition, turn. A man and a woman of the
# same number are a session.
_MSP_IMPROV = Recipe(
  title="MSP-IMPROV",
  name=re.compile(
    r"MSP-IMPROV-(?P<dialogue>S\d\d[AHNS]-(?P<speaker>[FM]0(?P<session>[1-6]))"
    r"-[A-Z])-[FM]{2}\d\d"
  ),
  example="MSP-IMPROV-S01A-F01-P-FM01.wav",
  labels={
    **{"A": "anger", "H": "happy", "S": "sad", "N": "neutral"},
    # Another emotion, and no majority of the raters.
    **{"O": "", "X": ""},
  },
  texts={},
  published=8438,
  rated=True,
)
RECIPES = {
  "ravdess": _RAVDESS,
  "cremad": _CREMAD,
  "emodb": _EMODB,
  "msp_improv": _MSP_IMPROV,
}


class Reading(NamedTuple):
  """Holds what a recipe has read.

  Attributes:
    utterances: In the order of their names.
    emotions: Every emotion of the corpus, in its order.
    layout: What was read, in words.
    tally: What became of files, in words, to how many.
    notes: What a user should know, a sentence each.
    columns: Role to the column of a list; empty for file names.
    ratings: The scales that utterances are rated on.
  """

  utterances: list[spoken.Utterance]
  emotions: tuple[str, ...]
  layout: str
  tally: dict[str, int]
  notes: list[str]
  columns: Mapping[str, str] = {}
  ratings: tuple[corpus_lib.Rating, ...] = ()


class Names(NamedTuple):
  """Holds the files below a folder, as a recipe takes them.

  Attributes:
    fitting: File and match of each name that fits, in the order of the names.
    others: Paths of .wav files whose names do not fit.
    unread: Ending of a name to the number of files that are no .wav.
    apple_double: How many files `._*` there are.
  """

  fitting: list[tuple[pathlib.Path, re.Match[str]]]
  others: list[str]
  unread: Counter[str]
  apple_double: int


def names(recipe: Recipe, folder: pathlib.Path) -> Names:
  """Matches the name of every file below a folder."""
  found = Names([], [], Counter(), 0)
  apple_double = 0
  files = (path for path in folder.rglob("*") if path.is_file())
  for path in sorted(files, key=lambda path: (path.stem, path)):
    if path.name.startswith("._"):
      apple_double += 1
    elif path.suffix.lower() != ".wav":
      found.unread[path.suffix.lower() or "without an ending"] += 1
    else:
      match = recipe.name.fullmatch(path.stem)
      if match is None or not _is_known(recipe, match):
        found.others.append(path.relative_to(folder).as_posix())
      else:
        found.fitting.append((path, match))
  return found._replace(apple_double=apple_double)


def _is_known(recipe: Recipe, match: re.Match[str]) -> bool:
  """Tells whether the corpus has the label and the sentence of a name."""
  fields = match.groupdict()
  return ("label" not in fields or fields["label"] in recipe.labels) and (
    "text" not in fields or fields["text"] in recipe.texts
  )


def read(
  name: str, folder: pathlib.Path, ratings: pathlib.Path | None
) -> Reading:
  """Reads the files below a folder.

  Args:
    name: A key of `RECIPES`.
    folder: The corpus, or a part of it.
    ratings: MSP-IMPROV's text file of ratings; None to look for it below the
      folder.

  Raises:
    UserError: No name fits, a name is there twice, or ratings are missing.
  """
  recipe = RECIPES[name]
  if not folder.is_dir():
    raise UserError(
      f"--input={folder} is a file; --recipe={name} reads the names of files"
      f" below a folder, such as {recipe.example}"
    )
  if ratings is not None and not recipe.rated:
    raise UserError(
      f"--ratings={ratings} does nothing with --recipe={name}: {recipe.title}'s"
      " labels are in its file names"
    )
  found = names(recipe, folder)
  if not found.fitting:
    raise UserError(
      f"--input={folder} has no .wav file whose name fits --recipe={name}, such"
      f" as {recipe.example}; it has"
      f" {spoken.shown(found.others) or 'no .wav file'}"
    )
  _refuse_repeated(folder, found)
  labels = _labels(recipe, found, folder, ratings)
  utterances = [
    _utterance(recipe, path, match, labels, folder)
    for path, match in found.fitting
  ]
  notes = remarks(recipe, name, found)
  if recipe.rated:
    missing = [each.id for each in utterances if each.id not in labels]
    if missing:
      notes.append(
        f"recordings without a rating, unlabelled: {len(missing)}"
        f" ({spoken.shown(missing)})"
      )
  return Reading(
    utterances,
    tuple(dict.fromkeys(filter(None, recipe.labels.values()))),
    f"{recipe.title}, {len(utterances)} recordings by their names",
    _tally(labels, utterances),
    notes,
    ratings=ratings_lib.SCALES
    if any(each.ratings is not None for each in utterances)
    else (),
  )


def _refuse_repeated(folder: pathlib.Path, found: Names) -> None:
  """Refuses a name that two files have."""
  first: dict[str, pathlib.Path] = {}
  for path, _ in found.fitting:
    if path.stem in first:
      raise UserError(
        f"{path} and {first[path.stem]} have the same name; expected each"
        f" recording once below {folder}: give the folder of one copy"
      )
    first[path.stem] = path


def _labels(
  recipe: Recipe,
  found: Names,
  folder: pathlib.Path,
  ratings: pathlib.Path | None,
) -> dict[str, ratings_lib.Rated]:
  """Finds the code of every label by the file's name without its ending."""
  if recipe.rated:
    return ratings_lib.read(folder, ratings, recipe.labels)
  return {
    path.stem: ratings_lib.Rated(match["label"], None)
    for path, match in found.fitting
  }


def _utterance(
  recipe: Recipe,
  path: pathlib.Path,
  match: re.Match[str],
  labels: Mapping[str, ratings_lib.Rated],
  folder: pathlib.Path,
) -> spoken.Utterance:
  fields, rated = match.groupdict(), labels.get(path.stem)
  session = fields.get("session", "")
  dialogue = fields.get("dialogue", "")
  return spoken.Utterance(
    id=path.stem,
    where=path.relative_to(folder).as_posix(),
    wav=path,
    text=recipe.texts.get(fields.get("text", ""), ""),
    label=recipe.labels[rated.label] if rated else "",
    speaker=fields["speaker"],
    session=session,
    dialogue=dialogue,
    ratings=rated and rated.ratings,
  )


def remarks(recipe: Recipe, name: str, found: Names) -> list[str]:
  """Says what was not read, and what is unlike the corpus as published."""
  notes = []
  if found.others:
    notes.append(
      f".wav files whose names do not fit --recipe={name}, left out:"
      f" {len(found.others)} ({spoken.shown(found.others)})"
    )
  if found.unread:
    kinds = [f"{kind} {count}" for kind, count in sorted(found.unread.items())]
    notes.append(f"files that are no .wav, not read: {spoken.shown(kinds)}")
  if found.apple_double:
    notes.append(f"files ._* (AppleDouble), not read: {found.apple_double}")
  remarked = Counter(
    recipe.remarks.get(match.groupdict().get("remark", ""), "")
    for _, match in found.fitting
  )
  for remark, count in sorted(remarked.items()):
    if remark:
      notes.append(f"recordings {remark}: {count} of {len(found.fitting)}")
  plain = remarked[""]
  if plain != recipe.published:
    notes.append(
      f"{recipe.title} as published has {recipe.published} recordings, the"
      f" folder {plain}"
    )
  return notes


def _tally(
  labels: Mapping[str, ratings_lib.Rated],
  utterances: Sequence[spoken.Utterance],
) -> dict[str, int]:
  """Counts recordings whose code means no label."""
  codes = Counter(
    labels[each.id].label
    for each in utterances
    if each.id in labels and not each.label
  )
  return {
    f"unlabelled, their rating is {code}": count
    for code, count in sorted(codes.items())
  }
