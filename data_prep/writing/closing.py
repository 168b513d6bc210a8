"""Says in one line what a conversion has made, and what it has left out."""

import pathlib
from typing import Any

from data_prep.corpus import classes
from data_prep.corpus import corpus as corpus_lib

_NONFINITE = {
  "zero": "became 0",
  "clip": "became the column's nearest finite value, NaN 0",
  "drop": "went with their frames",
}
_COLUMNS = 5


def summarise(
  output: pathlib.Path, corpus: corpus_lib.Corpus, manifest: dict[str, Any]
) -> str:
  """Sums up a conversion; whatever was lost on the way is counted."""
  counts = manifest["counts"]
  parts = [
    f"{output}: {counts['examples']} utterances"
    f" ({counts['labelled']} labelled) in {len(manifest['shards'])} shards,"
    f" fingerprint {manifest['fingerprint'][:12]}"
  ]
  for name, rating in counts.get("ratings", {}).items():
    parts.append(f"{name} of {_number(rating['count'], 'utterance')}")
  parts += _values(manifest["nonfinite"])
  parts += words(manifest["text"])
  parts += [
    f"{_number(count, 'row')} {what}" for what, count in corpus.tally.items()
  ]
  for name, present in counts["present"].items():
    if present < counts["examples"]:
      absent = counts["examples"] - present
      parts.append(f"{_number(absent, 'utterance')} without {name}")
  return "; ".join(parts)


def _number(count: int, noun: str) -> str:
  return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _values(nonfinite: dict[str, Any]) -> list[str]:
  """Counts the values that were blank, NaN, infinite or too large."""
  parts = []
  for modality, columns in nonfinite["counts"].items():
    most = sorted(columns.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {count}" for name, count in most[:_COLUMNS])
    if len(most) > _COLUMNS:
      shown += f" and {len(most) - _COLUMNS} other columns"
    parts.append(
      f"{_number(sum(columns.values()), f'{modality} value')} blank or not"
      f" finite {_NONFINITE[nonfinite['policy']]} ({shown})"
    )
  return parts


def words(text: dict[str, Any] | None) -> list[str]:
  """Counts the words without a vector, and texts that were read in parts."""
  parts = []
  if text and text["oov_tokens"]:
    fate = {"skip": "left out", "zero": "as rows of zeros"}[text["oov_policy"]]
    parts.append(
      f"{text['oov_tokens']} of {text['tokens']} words without a vector"
      f" ({text['oov_types']} different) {fate}"
    )
  encoder = (text or {}).get("encoder")
  if encoder and encoder["texts_in_windows"]:
    parts.append(
      f"{_number(encoder['texts_in_windows'], 'text')} of more than"
      f" {encoder['max_length']} pieces encoded in parts"
    )
  return parts


def warnings(corpus: corpus_lib.Corpus, manifest: dict[str, Any]) -> list[str]:
  """Lists what a user should look at before training."""
  lines = [*corpus.notes, *classes.warnings(manifest)]
  text = manifest["text"]
  for name in text["emotions_without_vector"] if text else ():
    lines.append(f"the emotion {name!r} has no word vector")
  return lines
