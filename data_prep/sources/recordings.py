"""Reads recordings and their transcripts, by a list of them or by their names.

A list is a table with a row for each recording; see `recording_list`. With
`--recipe` the input is a folder, and its files' names say all that; see
`recipes`. `--label_map` renames labels, `--unlabelled` lists those that mean
none.

Words become word vectors as in `utterances`, sound becomes openSMILE's
features; see `readers.sound`. Channels are averaged. Nothing is resampled:
openSMILE's features depend on the sampling rate, so that all recordings need
one, which the manifest records.
"""

import pathlib
from collections.abc import Mapping, Sequence

from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.features import text_features
from data_prep.sources import (
  label_names,
  recipes,
  recording_list,
  spec_defaults,
  spoken,
)
from data_prep.sources import source as source_lib
from mmer_jax.base.errors import UserError

FLAGS = frozenset(
  {
    *("input", "emotions", "acoustic", "label_map", "unlabelled"),
    *("recipe", "ratings", *text_features.FLAGS, *scales.FLAGS),
    *recording_list.COLUMNS.values(),
  }
)


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
  flags.DEFINE_string(
    recording_list.COLUMNS["wav"],
    None,
    "recordings: the column of the files; found by its name where it is not"
    " given.",
    flag_values=values,
  )


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the recordings that the flags name."""
  choice = text_features.choose_for_speech(values)
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
    columns=_named_columns(values),
    rated=_rated(values),
  )


def _rated(values: flags.FlagValues) -> scales.Wanted:
  """Reads the columns of ratings, which a recipe has none of."""
  rated = scales.from_flags(values)
  if values.recipe and rated.columns is not None:
    raise UserError(
      f"--rating_columns does nothing with --recipe={values.recipe}, which"
      " reads file names"
    )
  return rated


def _named_columns(values: flags.FlagValues) -> dict[str, str | None]:
  """Reads the columns that the flags name; None for those to look for."""
  named = {role: values[f].value for role, f in recording_list.COLUMNS.items()}
  if values.recipe:
    for role, flag in recording_list.COLUMNS.items():
      if named[role] is not None:
        raise UserError(
          f"--{flag} does nothing with --recipe={values.recipe}, which reads"
          " file names"
        )
  # A list, as other sources have one column for each emotion.
  labels = named["label"]
  if labels is not None and len(labels) > 1:
    raise UserError(
      f"--label_column={','.join(labels)} names {len(labels)} columns, expected"
      " one with the name of the emotion"
    )
  named["label"] = labels and labels[0]
  return named


def build_corpus(
  path: pathlib.Path,
  *,
  acoustic: str,
  choice: text_features.Choice,
  emotions: Sequence[str] = (),
  names: label_names.Names = label_names.NONE,
  recipe: str | None = None,
  ratings: pathlib.Path | None = None,
  columns: Mapping[str, str | None] | None = None,
  rated: scales.Wanted = scales.OF_LAYOUT,
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
    columns: A role of `recording_list.COLUMNS` to the list's column, None to
      look for one, `""` for none; None to look for all.
    rated: The list's columns of ratings.

  Raises:
    UserError: The list lacks a column, a recording is missing, or no file name
      fits.
  """
  if recipe is None:
    reading = _read_list(path, columns or {}, rated, choice)
  else:
    reading = recipes.read(recipe, path, ratings)
  utterances, unlabelled = label_names.apply(names, reading.utterances)
  order = [names.mapped.get(name, name) for name in reading.emotions]
  notes = ()
  if reading.ratings and not emotions and not any(u.label for u in utterances):
    emotions = spec_defaults.EMOTIONS
    notes = (spec_defaults.NO_LABEL,)
  return spoken.build(
    utterances,
    label_names.emotions(utterances, emotions, order, str(path)),
    spoken.Account(
      name=recipe or "recordings",
      source="recordings",
      layout=reading.layout,
      options={
        **{"recipe": recipe, "columns": dict(reading.columns)},
        **{**names.options(), **rated.options()},
      },
      tally={**reading.tally, **unlabelled},
      notes=(*reading.notes, *notes, *_text_notes(recipe, choice)),
      ratings=reading.ratings,
    ),
    acoustic=acoustic,
    choice=choice,
    has_text=recipe is None or bool(recipes.RECIPES[recipe].texts),
  )


def _read_list(
  path: pathlib.Path,
  columns: Mapping[str, str | None],
  rated: scales.Wanted,
  choice: text_features.Choice,
) -> recipes.Reading:
  """Reads a list, which needs texts where they become features."""
  needs = ("wav",) if choice.is_none else ("wav", "text")
  return recording_list.read(path, columns, needs=needs, ratings=rated)


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
