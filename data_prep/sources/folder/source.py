"""Reads one array per utterance and modality, beside a table of what they are.

The way in for every format that has no source of its own: whatever makes the
features writes an array for each utterance (see `arrays`), and a table (.csv,
.tsv, .jsonl, .npz) says what each utterance is: its id, which names the arrays,
and, if known, label (one column, or one for each emotion), text, speaker,
session, dialogue and split. Columns are found by their usual names
(`column_names`) or named by `--ROLE_column`; or a spec says what they mean, as
for `utterances`.

Ids are matched exactly; where not one is, by the last part of path and without
the ending. An utterance without an array lacks that modality; arrays without a
row are left out. Both are counted and named.
"""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
from absl import flags

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.features import text_features
from data_prep.sources import (
  column_names,
  label_names,
  spec_defaults,
  utterance_ratings,
  utterance_rows,
  utterance_tables,
  utterances,
)
from data_prep.sources import source as source_lib
from data_prep.sources import spec as spec_lib
from data_prep.sources.folder import arrays as arrays_lib
from data_prep.sources.folder import matching
from data_prep.sources.folder import table as table_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

_ARRAYS = {name: f"{name}_features" for name in schema.MODALITIES}
_COLUMNS = {role: f"{role}_column" for role in column_names.ROLES}
FLAGS = frozenset(
  {
    *("input", "spec", "emotions", "label_map", "unlabelled", "positive_above"),
    *_ARRAYS.values(),
    *_COLUMNS.values(),
    "zero_rows",
    *text_features.FLAGS,
    *scales.FLAGS,
  }
)


def define(values: flags.FlagValues) -> None:
  """Defines the flags of this source alone."""
  for modality, flag in _ARRAYS.items():
    flags.DEFINE_string(
      flag,
      None,
      f"folder: the {modality} arrays, one for each utterance: a folder of .npy"
      " or .csv files, one .npz, .h5 (FILE.h5:NAME), .csv with a column of"
      " names, or .npy in the table's order.",
      flag_values=values,
    )
  for role, flag in _COLUMNS.items():
    if role == "label":
      flags.DEFINE_list(
        flag,
        None,
        "folder, recordings: the column of the labels, or (folder) one for each"
        " emotion. Empty for none.",
        flag_values=values,
      )
    else:
      flags.DEFINE_string(
        flag,
        None,
        f"folder, recordings: the column of the {role}s; found by its name"
        f" where it is not given{'' if role == 'id' else ', empty for none'}.",
        flag_values=values,
      )
  flags.DEFINE_list(
    "zero_rows",
    None,
    "folder: modalities in which all-zero frames are padding. OpenFace's frames"
    " without a face always are.",
    flag_values=values,
  )


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the arrays and the table that the flags name."""
  choice = text_features.choose(values)
  arrays = {
    modality: arrays_lib.open_arrays(values[flag].value)
    for modality, flag in _ARRAYS.items()
    if values[flag].value
  }
  if not arrays:
    raise UserError(
      "--source=folder needs one at least of"
      f" {', '.join(f'--{flag}' for flag in _ARRAYS.values())}: a folder or a"
      " file with an array for each utterance"
    )
  path = source_lib.input_path(values)
  ratings = scales.from_flags(values)
  if values.spec is not None:
    spec, tables, notes = _from_spec(values, path)
  else:
    spec, tables, notes = _from_flags(values, path, choice, arrays, ratings)
  spec = utterance_ratings.into_spec(spec, ratings)
  spec_lib.check_spec(spec, has_arrays=True)
  notes = (*notes, *spec_defaults.notes(spec))
  _check_modalities(spec, arrays)
  spec = spec_defaults.complete(spec, tables)
  return _corpus(spec, tables, arrays, choice, values, notes)


def _from_spec(
  values: flags.FlagValues, path: pathlib.Path
) -> tuple[ml_collections.ConfigDict, utterance_tables.Tables, tuple[str, ...]]:
  for flag in (*_COLUMNS.values(), "emotions", "label_map", "unlabelled"):
    if values[flag].present:
      raise UserError(
        f"--{flag} and --spec both say what the table means; keep one"
      )
  files = tuple(values.spec.get("files", ()))
  return values.spec, utterance_tables.Tables(path, files), ()


def _from_flags(
  values: flags.FlagValues,
  path: pathlib.Path,
  choice: text_features.Choice,
  arrays: Mapping[str, arrays_lib.Arrays],
  ratings: scales.Wanted,
) -> tuple[ml_collections.ConfigDict, utterance_tables.Tables, tuple[str, ...]]:
  tables = utterance_tables.Tables(path, (), table_lib.open_table)
  given = {role: values[flag].value for role, flag in _COLUMNS.items()}
  labels = given.pop("label")
  if given["text"] and choice.is_none:
    raise UserError(
      f"--text_column={given['text']} needs --word_vectors=FILE or"
      " --text_encoder=NAME"
    )
  columns = table_lib.Columns(
    tables,
    given,
    labels if labels is None else [name for name in labels if name],
    reads_text=not choice.is_none and "lexical" not in arrays,
    ratings=[c.split(tables.columns)[0] for c in ratings.columns or ()],
  )
  spec = table_lib.make_spec(
    columns,
    tables,
    label_names.read(values.label_map or (), values.unlabelled or ()),
    tuple(values.emotions or ()),
    rated=bool(ratings.columns),
  )
  return spec, tables, columns.notes


def _check_modalities(
  spec: ml_collections.ConfigDict, arrays: Mapping[str, arrays_lib.Arrays]
) -> None:
  """Refuses a modality that comes from two places."""
  for modality in arrays:
    other = modality in spec.get("features", {})
    if other or (modality == "lexical" and spec.get("text")):
      raise UserError(
        f"--{_ARRAYS[modality]} and the table's"
        f" {'features' if other else 'text'} are both the {modality} modality;"
        " keep one"
      )


def _corpus(
  spec: ml_collections.ConfigDict,
  tables: utterance_tables.Tables,
  arrays: Mapping[str, arrays_lib.Arrays],
  choice: text_features.Choice,
  values: flags.FlagValues,
  notes: tuple[str, ...],
) -> corpus_lib.Corpus:
  rows = utterance_rows.Rows(spec, tables, values.positive_above)
  matched = matching.Matched(arrays, rows, values.zero_rows or ())
  text = utterances.open_text(spec, rows, choice)
  modalities = {
    **text.modalities(),
    **rows.modalities(),
    **matched.modalities,
  }
  ordered = {m: modalities[m] for m in schema.MODALITIES if m in modalities}

  def examples() -> Iterator[corpus_lib.Example]:
    for example, written in rows.examples(ordered):
      matched.add(example, rows.tally)
      text.add(example, written)
      yield example

  kinds = [f"{name} {each.kind}" for name, each in arrays.items()]
  return corpus_lib.Corpus(
    name=spec.name,
    source="folder",
    layout=f"{rows.layout}; {', '.join(kinds)}",
    emotions=tuple(spec.emotions),
    label_type=spec.label_type,
    modalities=ordered,
    examples=examples,
    total=rows.total,
    options=_options(spec, arrays, choice, values),
    tally=rows.tally,
    notes=(*notes, *matched.notes),
    ratings=rows.ratings,
    **text.corpus_fields(),
  )


def _options(
  spec: ml_collections.ConfigDict,
  arrays: Mapping[str, arrays_lib.Arrays],
  choice: text_features.Choice,
  values: flags.FlagValues,
) -> dict[str, Any]:
  """Lists what shaped the result, for the manifest."""
  return {
    "spec": utterances.plain(spec.to_dict()),
    "arrays": {name: each.path.name for name, each in arrays.items()},
    "zero_rows": list(values.zero_rows or ()),
    **choice.options(),
    "positive_above": values.positive_above,
  }
