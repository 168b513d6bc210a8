"""Makes the features of what somebody wants predicted, as a corpus has them.

A model says how the features of its training were made (its origin, see
`mmer_jax.serving.origin`). Texts, recordings and tables are read here by the
code that reads corpora, into a `Corpus` that is not written: the same
tokeniser, encoder, openSMILE, spec, dropped columns and policy.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from data_prep.corpus import columns as columns_lib
from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.features import text_features
from data_prep.sources import (
  recording_list,
  spoken,
  utterance_tables,
  utterances,
)
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files, text_files

# `origin["table"]` of a corpus that a spec describes, and of any other.
SPEC, COLUMNS = "spec", "columns"
# Policies that need nothing but the value; ranges of a corpus are not recorded.
_POLICIES = ("zero", "drop")

Origin = Mapping[str, Any]


def of_items(
  origin: Origin,
  choice: text_features.Choice,
  texts: Sequence[str | None],
  recordings: Sequence[pathlib.Path | None],
) -> corpus_lib.Corpus:
  """Builds the corpus of utterances that are given one by one.

  Args:
    origin: How the features of the training were made.
    choice: How texts become features.
    texts: What is said in each; None where that is not known.
    recordings: A file of sound or of video of each; None for none.

  Raises:
    UserError: A file is missing or cannot be read.
  """
  items = []
  for number, (text, wav) in enumerate(zip(texts, recordings, strict=True), 1):
    if wav is not None and not wav.is_file():
      raise UserError(f"{wav} is not a file, expected a recording")
    where = f"utterance {number}"
    text_files.check_surrogates(text or "", where)
    name = wav.name if wav is not None else str(number)
    items.append(spoken.Utterance(name, where, wav, (text or "").strip()))
  return _of_utterances(origin, choice, items, "what was given")


def _of_utterances(
  origin: Origin,
  choice: text_features.Choice,
  items: Sequence[spoken.Utterance],
  layout: str,
  notes: Sequence[str] = (),
) -> corpus_lib.Corpus:
  has_text = any(each.text for each in items)
  corpus = spoken.build(
    items,
    (),
    spoken.Account("request", "request", layout, notes=tuple(notes)),
    acoustic=(origin["sound"] or {}).get("set", "is10"),
    choice=choice if has_text else text_features.Choice(),
    has_text=has_text,
  )
  return _without_dropped(origin, corpus)


def columns(origin: Origin) -> list[str]:
  """Lists the columns that a table of texts and recordings has, if any.

  A prefix ends in `*`, as in a spec.
  """
  table = origin["table"]
  if SPEC not in table:
    usual = {"text": "text", "wav": "wav", **table[COLUMNS]}
    parts = {"text": origin["text"], "wav": origin["sound"]}
    return [usual[role] for role, made in parts.items() if made]
  spec = table[SPEC]
  return [*utterance_tables.columns_in(spec["text"]), *features(origin)]


def features(origin: Origin) -> list[str]:
  """Lists the columns of a table that hold features, if any."""
  entries = origin["table"].get(SPEC, {}).get("features", {}).values()
  return [column for entry in entries for column in entry["columns"]]


def of_table(
  origin: Origin, choice: text_features.Choice, path: pathlib.Path
) -> corpus_lib.Corpus:
  """Builds the corpus of a table with the columns of the one converted.

  Labels, people and splits are not read. What the table has no column of is
  absent.

  Raises:
    UserError: The table has none of the columns, or a row cannot be read.
  """
  table = origin["table"]
  if SPEC in table:
    return _of_spec(origin, choice, path)
  found = table_files.open_table(path).columns
  named: dict[str, str | None] = dict.fromkeys(recording_list.COLUMNS, "")
  for role in ("id", "text", "wav"):
    column = table[COLUMNS].get(role)
    named[role] = column if column in found or not found else None
  if choice.is_none:
    named["text"] = ""
  if not origin["sound"]:
    named["wav"] = ""
  reading = recording_list.read(path, named, needs=())
  if not {"text", "wav"} & reading.columns.keys():
    raise UserError(
      f"{path} has the columns {', '.join(found)}, expected one of"
      f" {', '.join(columns(origin))}"
    )
  guessed = [note for note in reading.notes if "is not read" not in note]
  return _of_utterances(
    origin, choice, reading.utterances, reading.layout, guessed
  )


def _of_spec(
  origin: Origin, choice: text_features.Choice, path: pathlib.Path
) -> corpus_lib.Corpus:
  """Builds the corpus of a table that the training's spec describes."""
  spec = _tuples(origin["table"][SPEC])
  if not path.is_dir() and spec["files"]:
    # One of several tables: its key is part of ids.
    key = {name: key for key, name in spec["files"]}.get(path.name, path.stem)
    spec["files"], path = ((key, path.name),), path.parent
  tables = utterance_tables.Tables(path, spec["files"])
  has = _Has(tables)
  if choice.is_none or not has.template(spec["text"]):
    spec["text"] = ""
  if not has.template(spec["id"]):
    del spec["id"]
  spec["features"] = {
    modality: entry
    for modality, entry in spec["features"].items()
    if all(map(has.column, entry["columns"]))
  }
  if not spec["text"] and not spec["features"]:
    raise UserError(
      f"{tables.path} has the columns {', '.join(tables.columns)}, expected"
      f" {', '.join(columns(origin))}"
    )
  spec |= dict.fromkeys(("label", "split", "speaker"), "")
  spec |= dict.fromkeys(("session", "dialogue"), "")
  # Nothing of the labels is read; a spec needs one emotion.
  spec |= dict.fromkeys(("label_values", "label_columns", "emotion_words"), ())
  spec |= {"emotions": ("none",), "label_type": "single", "rating_columns": ()}
  corpus = utterances.build(ml_collections.ConfigDict(spec), path, choice)
  return _without_dropped(origin, corpus)


class _Has:
  """Tells which columns of a spec some tables have."""

  def __init__(self, tables: utterance_tables.Tables) -> None:
    self._columns = {
      *tables.columns,
      utterance_tables.ROW,
      utterance_tables.FILE,
    }

  def column(self, name: str) -> bool:
    if name.endswith("*"):
      return any(each.startswith(name[:-1]) for each in self._columns)
    return name in self._columns

  def template(self, template: str) -> bool:
    return all(map(self.column, utterance_tables.columns_in(template)))


def _tuples(value: Any) -> Any:
  """Turns the lists of JSON back into the tuples of a spec."""
  if isinstance(value, Mapping):
    return {key: _tuples(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return tuple(_tuples(item) for item in value)
  return value


def _without_dropped(
  origin: Origin, corpus: corpus_lib.Corpus
) -> corpus_lib.Corpus:
  """Leaves out the columns that the conversion left out."""
  names = [
    f"{modality}:{column}"
    for modality, dropped in origin["dropped"].items()
    for column in dropped
    if modality in corpus.modalities
  ]
  return columns_lib.drop(corpus, names, None)


def examples(
  origin: Origin, corpus: corpus_lib.Corpus
) -> Iterator[corpus_lib.Example]:
  """Yields the utterances, what is not finite as the conversion left it.

  Where that was the nearest value of the corpus, it stays: nobody knows its
  range here, and a model refuses what is not finite.
  """
  policy = nonfinite.Nonfinite(origin["nonfinite"], corpus.modalities)
  for example in corpus.examples():
    if origin["nonfinite"] in _POLICIES:
      example = policy.apply(example)
    yield example
