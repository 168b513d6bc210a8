"""Reads recordings and their transcripts, by a list of them or by their names.

The list is a .csv or .jsonl file with the columns `wav` (a file of sound, or of
video where ffmpeg is installed, by its path below the folder of the list) and
`text` (not needed where `--word_vectors=` goes without), and optionally `id`
(otherwise the path), `speaker`, `session`, `dialogue`, `split` (`train`,
`validation` or `dev`, `test`; empty for none) and `label` (empty where there is
none). Other columns are named when the conversion ends, and not read. With
`--recipe` the input is a folder, and its files' names say all that; see
`recipes`. `--label_map` renames labels, `--unlabelled` lists those that mean
none.

Words become word vectors as in `utterances`, sound becomes openSMILE's
features; see `readers.sound`. Channels are averaged. Nothing is resampled:
openSMILE's features depend on the sampling rate, so that all recordings need
one, which the manifest records.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from data_prep.sources import label_names, recipes, spoken
from data_prep.sources import source as source_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

FLAGS = frozenset(
  {
    *("input", "emotions", "acoustic", "label_map", "unlabelled"),
    *("recipe", "ratings", *text_features.FLAGS),
  }
)
_COLUMNS = (
  *("wav", "text", "id", "speaker", "session", "dialogue", "split", "label"),
)
# What lists call the splits.
_SPLITS = {
  "": "",
  **{split: split for split in corpus_lib.SPLITS},
  **dict.fromkeys(("dev", "val", "valid"), "validation"),
}


def define(values: flags.FlagValues) -> None:
  """Defines the flags of this source alone."""
  flags.DEFINE_enum(
    "recipe",
    None,
    list(recipes.RECIPES),
    "recordings: the input is a folder of this corpus, its file names say label"
    " and speaker.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "ratings",
    None,
    "recordings, --recipe=msp_improv: the text file of ratings, where there is"
    " not one below the input.",
    flag_values=values,
  )


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the recordings that the flags name."""
  choice = text_features.choose(values)
  if choice.is_none and values.word_vectors is None:
    raise UserError(
      "--source=recordings needs --word_vectors=FILE for the text;"
      " --word_vectors= goes without"
    )
  if values.ratings and not values.recipe:
    raise UserError(
      f"--ratings={values.ratings} does nothing without --recipe=msp_improv"
    )
  return build_corpus(
    source_lib.input_path(values),
    acoustic=values.acoustic,
    choice=choice,
    emotions=tuple(values.emotions or ()),
    names=label_names.read(values.label_map or (), values.unlabelled or ()),
    recipe=values.recipe,
    ratings=pathlib.Path(values.ratings) if values.ratings else None,
  )


def build_corpus(
  path: pathlib.Path,
  *,
  acoustic: str,
  choice: text_features.Choice,
  emotions: Sequence[str] = (),
  names: label_names.Names = label_names.NONE,
  recipe: str | None = None,
  ratings: pathlib.Path | None = None,
) -> corpus_lib.Corpus:
  """Builds the corpus of a list of recordings, or of a folder by a recipe.

  Args:
    path: The list, or the folder.
    acoustic: A key of `sound.ACOUSTIC`.
    choice: How texts become features.
    emotions: Names, in the order of the labels; empty for those that are used,
      in the recipe's order or sorted.
    names: What labels become.
    recipe: A key of `recipes.RECIPES`; None for a list.
    ratings: A file of ratings for the recipe.

  Raises:
    UserError: The list lacks a column, a recording is missing, or no file name
      fits.
  """
  if recipe is None:
    reading = _read_list(path, needs_text=not choice.is_none)
  else:
    reading = recipes.read(recipe, path, ratings)
  utterances, unlabelled = label_names.apply(names, reading.utterances)
  order = [names.mapped.get(name, name) for name in reading.emotions]
  return spoken.build(
    utterances,
    label_names.emotions(utterances, emotions, order, str(path)),
    spoken.Account(
      name=recipe or "recordings",
      source="recordings",
      layout=reading.layout,
      options={
        "recipe": recipe,
        "label_map": dict(names.mapped),
        "unlabelled": list(names.unlabelled),
      },
      tally={**reading.tally, **unlabelled},
      notes=(*reading.notes, *_text_notes(recipe, choice)),
    ),
    acoustic=acoustic,
    choice=choice,
    has_text=recipe is None or bool(recipes.RECIPES[recipe].texts),
  )


def _text_notes(
  recipe: str | None, choice: text_features.Choice
) -> tuple[str, ...]:
  """Says what the words of a recipe's corpus are worth."""
  if recipe is None or choice.is_none:
    return ()
  title, count = (
    recipes.RECIPES[recipe].title,
    len(recipes.RECIPES[recipe].texts),
  )
  if not count:
    return (
      f"what is said in {title} is not known: only emotions have vectors",
    )
  return (
    f"{title} is read speech: its {count} sentences are the same for every"
    " emotion and on both sides of a split; words tell nothing",
  )


def _read_list(path: pathlib.Path, *, needs_text: bool) -> recipes.Reading:
  """Reads a list, and names the columns that are not read."""
  if path.is_dir() or path.name.lower().endswith(".npz"):
    raise UserError(
      f"--input={path} is no list of recordings, expected a .csv or .jsonl file"
      " with the columns wav and text, or --recipe="
      f"{'|'.join(recipes.RECIPES)} for a folder"
    )
  table = table_files.open_table(path)
  needed = ("wav", "text") if needs_text else ("wav",)
  for column in needed:
    table.require(column)
  known = [c for c in _COLUMNS if c in (table.columns or needed)]
  unread = dict.fromkeys(c for c in table.columns if c not in known)
  utterances = []
  for row in table.rows(known):
    unread.update(dict.fromkeys(c for c in row.cells if c not in _COLUMNS))
    utterances.append(_utterance(row, path.parent))
  if not utterances:
    raise UserError(f"{path} lists no recording, expected one at least")
  return recipes.Reading(
    utterances,
    (),
    f"a list of {len(utterances)} recordings, {path.suffix.lstrip('.')}",
    {},
    [f"column {column!r} is not read" for column in unread],
  )


def _utterance(row: table_files.Row, folder: pathlib.Path) -> spoken.Utterance:
  """Reads a row of a list."""
  cells = {
    column: table_files.as_text(
      row.cells.get(column), row.where, column
    ).strip()
    for column in _COLUMNS
  }
  name, split = cells.pop("wav"), cells["split"].lower()
  if not name:
    raise UserError(f"{row.where}: wav is empty, expected the path of a file")
  wav = folder / name
  if not wav.is_file():
    raise UserError(
      f"{row.where}: {wav} is not a file; paths are relative to the list"
    )
  if split not in _SPLITS:
    raise UserError(
      f"{row.where}: split {cells['split']!r}, expected one of"
      f" {', '.join(filter(None, _SPLITS))}, or none"
    )
  cells.update(id=cells["id"] or name, split=_SPLITS[split])
  return spoken.Utterance(where=row.where, wav=wav, **cells)
