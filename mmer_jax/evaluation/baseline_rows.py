"""Adds the rows that keep everyone honest to a paper's table.

The majority's answer and linear models of TF-IDF, of functionals and of both:
programs of the same folds and seeds as the systems of a section, so that their
runs pair with those.
"""

import importlib.util
import pathlib
from typing import Any

import ml_collections

from mmer_jax.data import manifest as manifest_lib
from mmer_jax.evaluation import published
from mmer_jax.linear import experiment as linear

# Name of a program to its row and its features.
_ROWS = {
  "majority": ("Majority", ()),
  "tfidf": ("Linear, TF-IDF", ("tfidf",)),
  "functionals": ("Linear, functionals", ("functionals",)),
  "tfidf_functionals": (
    "Linear, TF-IDF and functionals",
    ("tfidf", "functionals"),
  ),
}
_NO_PACKAGE = (
  "Linear baselines are left out: scikit-learn is not installed (pip install"
  " 'mmer_jax[baselines]')."
)
_NO_WORDS = "Linear baselines of words are left out: the shards hold none."


def add(table: published.Table) -> published.Table:
  """Adds linear baselines to the sections of a table that they fit.

  Sections of noisy input, of emotions that are left out and of ratings get
  none: a linear baseline is fitted to clean rows with emotions.

  Args:
    table: From a config's `get_table`.

  Returns:
    The table with more programs and rows; `notes` say what could not be added.
  """
  programs, sections = dict(table.programs), []
  notes: dict[str, None] = {}
  # A section's config, but for the features, to its programs.
  made: dict[str, dict[str, str]] = {}
  for section in table.sections:
    config = _clean_config(table, section)
    if config is None:
      sections.append(section)
      continue
    if importlib.util.find_spec("sklearn") is None:
      notes[_NO_PACKAGE] = None
      sections.append(section)
      continue
    key = repr(sorted(_linear(config, ()).to_dict().items()))
    if key not in made:
      suffix = f"_{len(made) + 1}" if made else ""
      made[key] = {}
      for name, (_, features) in _ROWS.items():
        if "tfidf" in features and not _has_words(config):
          notes[_NO_WORDS] = None
          continue
        made[key][name] = f"baseline_{name}{suffix}"
        programs[made[key][name]] = _linear(config, features)
    sections.append(_with_rows(section, made[key]))
  return table._replace(
    programs=programs,
    sections=tuple(sections),
    notes=" ".join([table.notes, *notes]),
  )


def _with_rows(
  section: published.Section, programs: dict[str, str]
) -> published.Section:
  """Appends the rows of baselines to a section."""
  rows = tuple(
    published.Row(_ROWS[name][0], program) for name, program in programs.items()
  )
  return section._replace(
    columns=tuple(_or_nothing(column) for column in section.columns),
    rows=(*section.rows, *rows),
  )


def _or_nothing(column: published.Column) -> published.Column:
  """Makes a column empty where a baseline has nothing: stages, settings."""

  def value(run: dict[str, Any]) -> float | None:
    try:
      return column.value(run)
    except KeyError:
      if run["setting"] or "stages" in run:
        raise
      return None

  return column._replace(value=value)


def _clean_config(
  table: published.Table, section: published.Section
) -> ml_collections.ConfigDict | None:
  """Finds the config of a section that sees most; None where none fits."""
  rows = [row for row in section.rows if row.program]
  configs = [table.programs[row.program] for row in rows]
  if not rows or any(row.input_transform for row in rows):
    return None
  if any(
    config.noise.kind != "none"
    or config.protocol.unseen
    or config.protocol.decision == "regression"
    for config in configs
  ):
    return None
  return max(configs, key=lambda config: len(config.data.modalities))


def _has_words(config: ml_collections.ConfigDict) -> bool:
  """Tells whether the shards of a config hold words that it reads."""
  if not {"lexical", "auto"} & set(config.data.modalities):
    return False
  file = pathlib.Path(config.data.dir) / manifest_lib.FEATURES
  return file.exists() and '"words"' in file.read_text(encoding="utf-8")


def _linear(
  config: ml_collections.ConfigDict, features: tuple[str, ...]
) -> ml_collections.ConfigDict:
  """Makes the config of a baseline: the data, folds and metrics of a system."""
  made = ml_collections.ConfigDict(config.to_dict())
  made.system = linear.SYSTEM
  made.model = ml_collections.ConfigDict(linear.model(features))
  for name in made.sweep:
    made.sweep[name] = ()
  for name in made.data.max_length:
    made.data.max_length[name] = 0
  made.few_shot.method = "none"
  made.unlabelled.update(use=False, dir="")
  made.repair.update(training="none", inference="none")
  return made.lock()
