r"""Predicts the emotions of utterances with an export or a workdir.

Example:
  python -m mmer_jax.predict --model=models/mtee --input=data/iemocap4 \
    --out=predictions.jsonl --explain

--input is a shard folder of `data_prep.convert`, or a file of features as they
are, not normalised:

- .jsonl: one object per line, {"id": ..., "lexical": [[...], ...], "acoustic":
  [...] or null};
- .npz: `id` (n,) if any, and modality to (n, d), or (n, t, d) with zeros behind
  the last frame;
- .csv: `id` if any, and a column `acoustic:NAME` for each column of
  feature_spec.json; features of whole utterances alone.

--out is .jsonl, .csv or .parquet (which needs pyarrow): a row per utterance,
with its id, what is predicted, and the probability of every emotion.
"""

import csv
import io
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import rich.console
from absl import flags

from mmer_jax import errors, predictor, workdir
from mmer_jax.data import word_vectors

SUFFIXES = (".jsonl", ".csv", ".parquet")

# Utterances that are in memory at a time.
_ROWS = 256


class Utterance(NamedTuple):
  """A row of the input.

  Attributes:
    id: Of the row; its number where there is none.
    features: Modality to (t, d); None where it is absent.
    words: Of the lexical frames; empty where there are none.
    acoustic_word: The lexical frame of each acoustic one; None where it is
      not known.
  """

  id: str
  features: dict[str, np.ndarray | None]
  words: Sequence[str] = ()
  acoustic_word: np.ndarray | None = None


def predict(
  model: predictor.Model,
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  words: pathlib.Path | None = None,
  explain: bool = False,
  check_scale: bool = True,
) -> int:
  """Predicts every utterance of an input and writes a row for each.

  Args:
    model: From `mmer_jax.load`.
    source: Shards, or a file; see the module.
    out: The file to write.
    modalities: What the model may see; empty for all.
    emotions: Which, in this order; empty for those of training. A new one may
      be `name=word`.
    words: A file of word vectors for new emotions.
    explain: Whether rows hold what else the model knows.
    check_scale: See `predictor.Model.predict`.

  Returns:
    How many there were.

  Raises:
    UserError: Input or request do not fit the model.
  """
  if out.suffix not in SUFFIXES:
    raise errors.UserError(
      f"--out={out} ends in {out.suffix!r}, expected one of"
      f" {', '.join(SUFFIXES)}"
    )
  if out.suffix == ".parquet":
    _pyarrow()
  wanted = with_vectors(model, emotions, words) if emotions else None
  utterances, rows = read(model, source), []
  while chunk := list(itertools.islice(utterances, _ROWS)):
    found = model.predict(
      {
        modality: [utterance.features.get(modality) for utterance in chunk]
        for modality in model.spec["modalities"]
      },
      emotions=wanted,
      modalities=modalities,
      acoustic_word=_known_words(model, chunk),
      check_scale=check_scale,
    )
    rows += [
      row(model, utterance, found, index, explain)
      for index, utterance in enumerate(chunk)
    ]
  if not rows:
    raise errors.UserError(
      f"--input={source} holds no utterance, expected one at least"
    )
  _WRITE[out.suffix](out, rows)
  return len(rows)


def _known_words(
  model: predictor.Model, chunk: Sequence[Utterance]
) -> list[np.ndarray | None] | None:
  """What is known of the words of frames, where the model asks for it."""
  if not model.spec["acoustic_word"]:
    return None
  known = []
  for utterance in chunk:
    frames = utterance.features.get("acoustic")
    count = 0 if frames is None else len(frames)
    word = utterance.acoustic_word
    known.append(np.full(count, -1) if word is None else word)
  return known


def row(
  model: predictor.Model,
  utterance: Utterance,
  found: predictor.Prediction,
  index: int,
  explain: bool,
) -> dict[str, Any]:
  """What is written of an utterance."""

  def by_emotion(values: np.ndarray) -> dict[str, float]:
    return dict(zip(found.emotions, map(float, values), strict=True))

  names = found.chosen[index]
  single = model.spec["decision"] == "softmax"
  written: dict[str, Any] = {
    "id": utterance.id,
    "predicted": names[0] if single else names,
    "probs": by_emotion(found.probs[index]),
  }
  if not explain:
    return written
  there = {}
  for modality in model.spec["modalities"]:
    frames = utterance.features.get(modality)
    there[modality] = frames is not None and len(frames) > 0
  written["explain"] = {
    "present": there,
    "per_modality": {
      modality: by_emotion(scores[index]) if there[modality] else None
      for modality, scores in found.per_modality.items()
    },
    **{name: values[index].tolist() for name, values in found.explain.items()},
  }
  if utterance.words:
    written["explain"]["words"] = list(utterance.words)
  return written


def with_vectors(
  model: predictor.Model, emotions: Sequence[str], words: pathlib.Path | None
) -> dict[str, np.ndarray | None]:
  """Emotions by name to the word vector of those that are new.

  Raises:
    UserError: A new emotion has no vector.
  """
  known, forms = model.emotions, {}
  for form in emotions:
    name, equals, word = form.partition("=")
    forms[name] = word or name if equals or name not in known else None
  wanted = {word for word in forms.values() if word is not None}
  if not wanted or not model.spec["open_vocabulary"]:
    # A closed vocabulary says itself what it does not know.
    return dict.fromkeys(forms)
  if words is None:
    raise errors.UserError(
      f"--emotions needs the vector of {', '.join(sorted(wanted))}, and the"
      f" model has those of {', '.join(known)}; pass --word_vectors=FILE, the"
      " file that its shards were converted with"
    )
  table = word_vectors.read(words, wanted)
  missing = sorted(wanted - set(table.vectors))
  if missing:
    raise errors.UserError(
      f"{words} has no vector for {', '.join(missing)}; choose another word as"
      " --emotions=NAME=WORD"
    )
  return {
    name: None if word is None else table.vectors[word]
    for name, word in forms.items()
  }


def read(model: predictor.Model, source: pathlib.Path) -> Iterator[Utterance]:
  """The utterances of a shard folder or a file.

  Raises:
    UserError: It is neither, or does not fit the model.
  """
  if source.is_dir():
    return _shards(model, source)
  if not source.exists():
    raise errors.UserError(
      f"--input={source} does not exist, expected shards or a file; see --help"
    )
  for suffix, reader in _READ.items():
    if source.name.endswith(suffix):
      return reader(model, source)
  raise errors.UserError(
    f"--input={source} is no folder of shards and does not end in"
    f" {' or '.join(_READ)}; see --help"
  )


def _shards(
  model: predictor.Model, folder: pathlib.Path
) -> Iterator[Utterance]:
  # Not at the top: it takes seconds, and files of features do without.
  from mmer_jax.data import shards

  manifest = shards.load_manifest(folder)
  known = model.spec["modalities"]
  shared = [name for name in known if name in manifest["modalities"]]
  if not shared:
    raise errors.UserError(
      f"{folder} holds {', '.join(manifest['modalities'])}, and the model reads"
      f" {', '.join(known)}; convert the corpus with one of them"
    )
  for modality in shared:
    check_columns(
      model, modality, manifest["modalities"][modality]["columns"], str(folder)
    )
  for _, example in shards.read_examples(folder):
    yield Utterance(
      example["id"],
      {modality: example[modality] for modality in shared},
      [
        word.decode() if isinstance(word, bytes) else str(word)
        for word in example.get("words", ())
      ],
      example.get("acoustic_word"),
    )


def check_columns(
  model: predictor.Model, modality: str, found: Sequence[str], where: str
) -> None:
  """Refuses columns that are not those of the model, in its order.

  Raises:
    UserError: The first that differs is named.
  """
  expected = model.spec["modalities"][modality]["columns"]
  if len(found) != len(expected):
    raise errors.UserError(
      f"{where} has {len(found)} {modality} columns, the model reads"
      f" {len(expected)}, {expected[0]} to {expected[-1]}; convert the corpus"
      " as that of the training"
    )
  for number, (name, own) in enumerate(zip(found, expected, strict=True)):
    if name != own:
      raise errors.UserError(
        f"{where}: {modality} column {number} is {name}, the model reads {own}"
        " there; convert the corpus as that of the training"
      )


def _jsonl(model: predictor.Model, path: pathlib.Path) -> Iterator[Utterance]:
  known = model.spec["modalities"]
  with path.open(encoding="utf-8") as file:
    for number, line in enumerate(file, 1):
      if not line.strip():
        continue
      where = f"{path} line {number}"
      try:
        cells = json.loads(line)
      except json.JSONDecodeError as error:
        raise errors.UserError(f"{where} is not JSON ({error})") from None
      if not isinstance(cells, dict) or not set(known) & set(cells):
        raise errors.UserError(
          f"{where} holds none of {', '.join(known)}; see --help"
        )
      unknown = sorted(set(cells) - {"id", "words", *known})
      if unknown:
        raise errors.UserError(
          f"{where} has {unknown[0]!r}, expected id, words and"
          f" {', '.join(known)}"
        )
      features = {}
      for modality in known:
        try:
          values = cells.get(modality)
          features[modality] = (
            None if values is None else np.asarray(values, np.float32)
          )
        except (TypeError, ValueError):
          raise errors.UserError(
            f"{where}: {modality} is not rows of numbers of one length"
          ) from None
      yield Utterance(
        str(cells.get("id", number)),
        {m: _two(frames) for m, frames in features.items()},
        cells.get("words", ()),
      )


def _npz(model: predictor.Model, path: pathlib.Path) -> Iterator[Utterance]:
  known = model.spec["modalities"]
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError) as error:
    raise errors.UserError(
      f"{path} cannot be read as .npz ({error}); save arrays of numbers and"
      " text"
    ) from None
  unknown = sorted(set(arrays) - {"id", *known})
  if unknown or not set(known) & set(arrays):
    raise errors.UserError(
      f"{path} holds {', '.join(arrays)}, expected {', '.join(known)}, and id"
    )
  counts = {name: len(array) for name, array in arrays.items() if array.ndim}
  if len(set(counts.values())) != 1 or len(counts) < len(arrays):
    raise errors.UserError(
      f"{path} has arrays of different lengths ({counts}), expected one entry"
      " per utterance"
    )
  for number in range(next(iter(counts.values()))):
    features = {}
    for modality in set(known) & set(arrays):
      frames = _two(arrays[modality][number])
      real = np.flatnonzero(frames.any(axis=1))
      features[modality] = frames[: real[-1] + 1 if len(real) else 0]
    name = arrays["id"][number] if "id" in arrays else number
    yield Utterance(str(name), features)


def _csv(model: predictor.Model, path: pathlib.Path) -> Iterator[Utterance]:
  known = model.spec["modalities"]
  with path.open(encoding="utf-8-sig", newline="") as file:
    reader = csv.DictReader(file)
    columns: dict[str, list[str]] = {}
    for heading in reader.fieldnames or ():
      modality, colon, name = heading.partition(":")
      if heading == "id":
        continue
      if not colon or modality not in known:
        raise errors.UserError(
          f"{path} has a column {heading!r}, expected id and MODALITY:COLUMN of"
          f" {', '.join(known)}"
        )
      columns.setdefault(modality, []).append(name)
    if not columns:
      raise errors.UserError(
        f"{path} has no column of features, expected MODALITY:COLUMN; see"
        " --help"
      )
    for modality, found in columns.items():
      check_columns(model, modality, found, str(path))
    for number, cells in enumerate(reader, 1):
      features = {}
      for modality, found in columns.items():
        text = [cells[f"{modality}:{name}"] for name in found]
        try:
          features[modality] = (
            np.asarray(text, np.float32)[None] if any(text) else None
          )
        except (TypeError, ValueError):
          raise errors.UserError(
            f"{path} row {number}: a {modality} column is not a number"
          ) from None
      yield Utterance(cells.get("id") or str(number), features)


_READ = {".jsonl": _jsonl, ".npz": _npz, ".csv": _csv}


def _two(frames: np.ndarray | None) -> np.ndarray | None:
  """A vector as one frame."""
  return frames[None] if frames is not None and frames.ndim == 1 else frames


def _write_jsonl(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  lines = (json.dumps(workdir.finite(each), allow_nan=False) for each in rows)
  workdir.write_text(out, "".join(f"{line}\n" for line in lines))


def _write_csv(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  flat = [_flat(each) for each in rows]
  text = io.StringIO()
  writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(flat)
  workdir.write_text(out, text.getvalue())


def _write_parquet(out: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  pyarrow = _pyarrow()
  table = pyarrow.Table.from_pylist([_flat(each) for each in rows])
  with workdir.new_file(out) as path:
    pyarrow.parquet.write_table(table, path)


def _flat(written: dict[str, Any]) -> dict[str, Any]:
  """A row of columns; what has no fixed width is JSON."""
  names = written["predicted"]
  flat = {
    "id": written["id"],
    "predicted": names if isinstance(names, str) else ";".join(names),
  }
  flat |= {f"prob:{name}": prob for name, prob in written["probs"].items()}
  for name, value in written.get("explain", {}).items():
    flat[f"explain:{name}"] = json.dumps(workdir.finite(value))
  return flat


def _pyarrow() -> Any:
  try:
    import pyarrow
    import pyarrow.parquet
  except ImportError:
    raise errors.UserError(
      "a .parquet file needs the package pyarrow, which is not installed; pip"
      " install pyarrow, or write .csv or .jsonl"
    ) from None
  return pyarrow


_WRITE = {
  ".jsonl": _write_jsonl,
  ".csv": _write_csv,
  ".parquet": _write_parquet,
}


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("model", None, "An export, or a finished workdir.")
  flags.DEFINE_string("input", None, "Shards, or a .jsonl, .npz or .csv file.")
  flags.DEFINE_string("out", None, "A .jsonl, .csv or .parquet file.")
  flags.DEFINE_list(
    "modalities", [], "The model sees these alone; all by default."
  )
  flags.DEFINE_list(
    "emotions",
    [],
    "These alone, in this order. With an open vocabulary (mtee) they may be"
    " new, as NAME or NAME=WORD.",
  )
  flags.DEFINE_string(
    "word_vectors", "", "File of word vectors for new --emotions."
  )
  flags.DEFINE_bool(
    "explain", False, "Add scores per modality and what else the system knows."
  )
  flags.DEFINE_bool(
    "check_scale",
    True,
    "Refuse features that are far from those of the training.",
  )
  flags.mark_flags_as_required(["model", "input", "out"])


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  values = flags.FLAGS
  out = pathlib.Path(values.out)
  count = predict(
    predictor.load(values.model),
    pathlib.Path(values.input),
    out,
    modalities=values.modalities,
    emotions=values.emotions,
    words=pathlib.Path(values.word_vectors) if values.word_vectors else None,
    explain=values.explain,
    check_scale=values.check_scale,
  )
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{out}: {count} utterances"
  )


if __name__ == "__main__":
  define_flags()
  errors.run(main)
