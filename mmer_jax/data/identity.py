"""Compares what features of two corpora mean, and which data they are.

The identity of shards is what must be the same for their features to mean the
same to a model: columns, padding, frame rate, normalisation, and how words
became vectors. The conversion writes it into the manifest; training copies it
to `run.json` and `feature_spec.json`. What an older file does not say is not
compared.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import word_vectors

Identity = Mapping[str, Any]


def of_shards(folder: pathlib.Path, manifest: dict[str, Any]) -> Identity:
  """Returns the identity of shards.

  Args:
    folder: The shard folder.
    manifest: Its manifest. One of an older version says less: the words that
      are compared are then those of the emotions.
  """
  if "identity" in manifest:
    return manifest["identity"]
  text = manifest.get("text") or {}
  vectors = manifest_lib.load_emotion_vectors(folder)
  words = {}
  if vectors is not None:
    pairs = zip(vectors.words, vectors.vectors, strict=True)
    words = {word: vector for word, vector in pairs if word}
  modalities = manifest["modalities"]
  return {
    "columns": {m: list(each["columns"]) for m, each in modalities.items()},
    "padding": {m: each["padding"] for m, each in modalities.items()},
    "tokeniser": text.get("tokeniser"),
    "oov": text.get("oov_policy"),
    "word_vectors_sample": word_vectors.sample(words),
  }


def check(
  got: Identity,
  expected: Identity,
  modalities: Iterable[str],
  *,
  where: str,
  fix: str,
) -> dict[str, list[int]]:
  """Compares the features of a corpus with those of another.

  Args:
    got: The identity of the corpus.
    expected: The identity of the other, such as that of a training.
    modalities: The modalities that are read from the corpus.
    where: What the corpus is called, in the plural, as `the shards in DIR`.
    fix: What the user may do, as an imperative.

  Returns:
    Modality to the places of its columns, in the order expected; of those
    alone whose columns stand in another order.

  Raises:
    UserError: Features mean something else; the first difference is named.
  """
  orders = {}
  for modality in modalities:
    columns = [
      each.get("columns", {}).get(modality) for each in (got, expected)
    ]
    if None not in columns:
      order = column_order(*columns, what=f"{where}: {modality}", fix=fix)
      if order is not None:
        orders[modality] = order
    for key, unit in (("padding", "padding"), ("frame_rate_hz", "frames/s")):
      _check_equal(
        *(each.get(key, {}).get(modality) for each in (got, expected)),
        what=f"{where} have {modality} features of {unit}",
        fix=fix,
      )
  keys = ["normalisation"]
  if "lexical" in modalities:
    keys += ["tokeniser", "oov", "text_encoder"]
    _check_words(got, expected, where, fix)
  for key in keys:
    _check_equal(
      got.get(key), expected.get(key), what=f"{where} have {key}", fix=fix
    )
  return orders


def column_order(
  got: Sequence[str], expected: Sequence[str], *, what: str, fix: str
) -> list[int] | None:
  """Finds the columns of features by name.

  Args:
    got: The names of the columns, in their order.
    expected: Their names in the order that is wanted.
    what: What has the columns, as `DIR: acoustic`.
    fix: What the user may do, as an imperative.

  Returns:
    The place of each column that is wanted; None where all are in place.

  Raises:
    UserError: The names differ; the first column that does is named.
  """
  if list(got) == list(expected):
    return None
  difference = _differing_name(got, expected)
  if difference:
    raise errors.UserError(f"{what} {difference}; {fix}")
  places = {name: place for place, name in enumerate(got)}
  return [places[name] for name in expected]


def _differing_name(got: Sequence[str], expected: Sequence[str]) -> str:
  """Says which column name differs; "" where only the order does."""
  missing = [name for name in expected if name not in got]
  added = [name for name in got if name not in expected]
  if missing and added:
    number = list(got).index(added[0]) + 1
    return f"column {number} is {added[0]!r}, expected {missing[0]!r}"
  counts = f"({len(got)} columns, expected {len(expected)})"
  if missing:
    return f"columns lack {missing[0]!r} {counts}"
  if added:
    return f"columns have {added[0]!r}, which is not expected {counts}"
  twice = [name for name in got if list(got).count(name) > 1]
  if twice:
    return f"columns are in another order and two are named {twice[0]!r}"
  return ""


def reorder(
  manifest: dict[str, Any], orders: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
  """Puts the columns of a manifest into another order.

  Args:
    manifest: The manifest of shards.
    orders: From `check`.
  """
  if not orders:
    return manifest
  changed = {**manifest, "modalities": {**manifest["modalities"]}}
  if manifest["normalisation"] is not None:
    changed["normalisation"] = {**manifest["normalisation"]}
  for modality, order in orders.items():
    entry = manifest["modalities"][modality]
    columns = [entry["columns"][place] for place in order]
    changed["modalities"][modality] = {**entry, "columns": columns}
    statistics = (manifest["normalisation"] or {}).get(modality)
    if statistics is not None:
      changed["normalisation"][modality] = {
        **statistics,
        **{
          key: [statistics[key][place] for place in order]
          for key in ("mean", "std")
        },
      }
  return changed


def in_order(
  identity: Identity, orders: Mapping[str, Sequence[int]]
) -> Identity:
  """Puts the columns of an identity into another order, as `reorder` does."""
  columns = dict(identity["columns"])
  for modality, order in orders.items():
    columns[modality] = [columns[modality][place] for place in order]
  return {**identity, "columns": columns}


def check_fingerprint(
  got: str | None,
  expected: str | None,
  *,
  what: str,
  fix: str,
) -> None:
  """Refuses shards that are not those of a training.

  Args:
    got: The fingerprint of the shards; None where there are none.
    expected: The fingerprint of those that were trained on.
    what: What the shards are called, as `the shards in DIR`.
    fix: What the user may do, as an imperative.

  Raises:
    UserError: The fingerprints differ.
  """
  if got != expected:
    prints = [each[:12] if each else "none" for each in (got, expected)]
    raise errors.UserError(
      f"{what} have fingerprint {prints[0]}, the workdir was trained on"
      f" {prints[1]}; {fix}"
    )


def _check_equal(got: Any, expected: Any, *, what: str, fix: str) -> None:
  """Refuses a value that is known and another than the expected one."""
  if None not in (got, expected) and got != expected:
    raise errors.UserError(f"{what} {got}, expected {expected}; {fix}")


def _check_words(
  got: Identity, expected: Identity, where: str, fix: str
) -> None:
  """Refuses features of words that are of other word vectors."""
  digests = [each.get("word_vectors_sha256") for each in (got, expected)]
  if None not in digests and digests[0] == digests[1]:
    return
  # Corpora of different words: those that both have tell.
  samples = [each.get("word_vectors_sample") or {} for each in (got, expected)]
  word = word_vectors.different_word(*samples)
  if word:
    raise errors.UserError(
      f"{where} have other word vectors, the first word that differs is"
      f" {word!r}; {fix}"
    )
