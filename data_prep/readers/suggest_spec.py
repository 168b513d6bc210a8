"""Suggests a spec for a table, by what its columns are called and hold.

Everything it says is a guess and says so; as it stands, the spec converts.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence

from data_prep.corpus import text
from data_prep.readers import (
  other_formats,
  spec_text,
  suggest_ratings,
  table_profile,
  vendor_tables,
)
from data_prep.sources import column_names, spec_defaults
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files

_HINTS = {
  "lexical": (
    "text|lexical|bert|glove|word|elmo|sentence|liwc|tfidf|embed|language"
  ),
  "visual": (
    r"video|visual|vision|face|\bau_?\d|gaze|pose_|landmark|densenet|resnet"
    r"|image|eye_"
  ),
  "acoustic": (
    "audio|acoustic|speech|gemaps|compare|covarep|smile|is09|is10|is13|mfcc"
    "|mel_|f0|pitch|loud|jitter|shimmer|hnr|pcm|wav2vec|hubert|wavlm|spectral"
    "|formant|energy|prosod|voic|lld"
  ),
}
# Numbers of other kinds than features.
_NO_FEATURES = re.compile(
  r"(start|end|begin|stop|onset|offset)?(time|s|sec|seconds|ms)?|start|end"
  r"|.*id|frame(time|index)?|timestamp|index|number|no|nr|srno|season|episode"
  r"|duration|length|valence|arousal|activation|dominance|vad|confidence"
  r"|success|year|age|gender|fold|turn(index)?|unnamed\d*|level|row|rating\d*"
)
# What IEMOCAP and its like call them.
_LONG_NAMES = {
  "neu": "neutral",
  "hap": "happy",
  "exc": "excited",
  "ang": "angry",
  "fru": "frustrated",
  "sur": "surprised",
  "fea": "fear",
  "dis": "disgust",
}
_NO_LABELS = (
  *("xxx", "oth", "other", "unknown", "none", "nan", "undefined", "null"),
)
_EMOTIONS = frozenset(
  {
    *text.EMOTION_WORDS,
    *("neutral", "joy", "happiness", "sadness", "contempt", "boredom"),
    *("frustration", "excitement", "calm", "love", "pride"),
  }
)
# Of numbers: those that count the utterances of a dialogue.
_COUNTERS = ("utterance_id", "utt_id", "turn", "turn_index", "utterance_index")


def suggest(path: pathlib.Path) -> str:
  """Writes a spec for a table, as a Python file.

  Raises:
    UserError: It is no table that is read, or holds neither text nor features.
  """
  if not path.exists():
    raise UserError(f"{path} does not exist")
  other_formats.refuse(path)
  if not path.is_file() or not path.name.lower().endswith(table_files.SUFFIXES):
    raise UserError(
      f"--suggest_spec reads a table ({', '.join(table_files.SUFFIXES)}), and"
      f" {path} is none; of arrays, --source=folder needs no spec"
    )
  return spec_text.write(path, guess(path))


def guess(path: pathlib.Path) -> spec_text.Found:
  """Guesses what the columns of a table are."""
  rows, columns = table_profile.profile(path)
  found = spec_text.Found(rows, columns, {}, [], {}, [], {})
  usable = {
    name: column
    for name, column in columns.items()
    if name and column.readable and not re.search(r"[{}*]", name)
  }
  taken = _label(found, usable)
  written = _column("text", usable, taken, (table_profile.TEXT,))
  if written:
    found.keys["text"] = (
      f"{{{written}}}",
      "what is said; becomes word vectors",
    )
    found.options.append("--word_vectors=VECTORS.txt")
    taken.append(written)
  taken += _people_and_places(found, usable, taken)
  taken += _id(found, path, usable, taken)
  found.ratings.update(suggest_ratings.guess(usable, taken))
  taken += [*found.ratings]
  taken += _features(found, usable, taken)
  if not {"text", "features"} & set(found.keys):
    commas = any(
      re.fullmatch(r"-?\d+,\d+", value)
      for column in columns.values()
      for value in column.values
    )
    raise UserError(
      f"{path}: neither text nor features are among its columns"
      f" ({', '.join(_shown(c) for c in columns.values())});"
      + (
        " numbers need a decimal point in place of the comma"
        if commas
        else " is it the table beside arrays? --source=folder reads those,"
        " without a spec"
      )
    )
  for name, column in columns.items():
    if name not in taken:
      found.unread[name] = column.kind if column.readable else "not readable"
  return found


def _shown(column: table_profile.Column) -> str:
  first = next(iter(column.values), "")
  return f"{column.name!r}: {column.kind}" + (
    f" such as {first[:20]!r}" if first else ""
  )


def _column(
  role: str,
  columns: Mapping[str, table_profile.Column],
  taken: Sequence[str],
  kinds: Sequence[str],
) -> str | None:
  """Finds the column of a role that holds something of some kinds."""
  fit = [c for c in columns if c not in taken and columns[c].kind in kinds]
  return column_names.find(role, fit)


def _label(
  found: spec_text.Found, columns: Mapping[str, table_profile.Column]
) -> list[str]:
  """Guesses the column of the labels, or one for each emotion."""
  fit = [c for c, column in columns.items() if _is_label(column)]
  others = column_names.candidates("label", fit)
  if others:
    _one_label(found, columns[others[0]], others[1:])
    return [others[0]]
  scores = [
    c
    for c, column in columns.items()
    if column_names.plain(c) in _EMOTIONS
    and column.kind == table_profile.NUMBER
  ]
  if len(scores) > 1:
    pairs = tuple((column_names.plain(c), c) for c in scores)
    found.keys["label_columns"] = (
      pairs,
      "a column for each emotion, present above 0",
    )
    low = min(columns[c].low for c in scores)
    high = max(columns[c].high for c in scores)
    if low > 0 and high != 1:
      found.options.append(f"--positive_above={(low + high) / 2:g}")
      found.remarks.append(
        f"The labels go from {low:g} to {high:g} and are never 0: above what an"
        " emotion is present, --positive_above says."
      )
    return scores
  found.keys["label"] = ("", "no column of emotions was found: unlabelled")
  found.keys["emotions"] = (
    spec_defaults.EMOTIONS,
    "those that a model will be asked about; ours, not the table's",
  )
  return []


def _is_label(column: table_profile.Column) -> bool:
  """Tells whether a column holds a few names, or a few whole numbers."""
  if column.kind == table_profile.NUMBER:
    whole = all(_is_whole(value) for value in column.values if value)
    return whole and column.few and 2 <= len(column.values) <= 20
  return (
    column.kind == table_profile.TEXT
    and column.few
    and 2 <= len(column.values) <= 50
  )


def _is_whole(value: str) -> bool:
  return re.fullmatch(r"[-+]?\d+(\.0*)?", value) is not None


def _one_label(
  found: spec_text.Found, column: table_profile.Column, others: Sequence[str]
) -> None:
  """Names the emotions by the values of a column."""
  also = f"; {', '.join(map(repr, others))} would do as well" if others else ""
  found.keys["label"] = (f"{{{column.name}}}", f"the emotions{also}")
  pairs, unlabelled = [], []
  for value in sorted(column.values):
    plain = column_names.plain(value)
    if not plain or plain in _NO_LABELS:
      unlabelled.append(value)
    elif column.kind == table_profile.NUMBER:
      pairs.append((spec_defaults.whole(value), f"class_{len(pairs)}"))
    else:
      pairs.append((value, _LONG_NAMES.get(value.lower(), value)))
  if column.kind == table_profile.NUMBER:
    found.remarks.append(
      "The labels are numbers: which emotion each is, the table does not say;"
      " name them in label_values."
    )
  found.keys["label_values"] = (tuple(pairs), "a value, and its emotion")
  found.keys["unlabelled"] = (
    tuple(dict.fromkeys(["", *unlabelled])),
    "values that mean no emotion",
  )


def _people_and_places(
  found: spec_text.Found,
  columns: Mapping[str, table_profile.Column],
  taken: Sequence[str],
) -> list[str]:
  """Guesses speaker, session, dialogue and split."""
  kinds, own = (table_profile.TEXT, table_profile.NUMBER), []
  for role in ("speaker", "session", "dialogue", "split"):
    column = _column(role, columns, [*taken, *own], kinds)
    if column is None:
      continue
    values = columns[column].values
    if role == "split":
      known = [v.lower() in spec_defaults.SPLIT_NAMES for v in values]
      if not all(known):
        found.keys[role] = ("", f"{column!r} holds other values than splits")
        continue
    found.keys[role] = (
      f"{{{column}}}",
      f"{_number_of(columns[column])} of them",
    )
    own.append(column)
  return own


def _number_of(column: table_profile.Column) -> str:
  return str(len(column.values)) if column.few else f"over {len(column.values)}"


def _id(
  found: spec_text.Found,
  path: pathlib.Path,
  columns: Mapping[str, table_profile.Column],
  taken: Sequence[str],
) -> list[str]:
  """Guesses what names a row: a column, two together, or its number."""
  fit = [c for c in columns if c not in taken]
  for column in (*column_names.candidates("id", fit), "frame"):
    if column in fit and columns[column].unique:
      found.keys["id"] = (f"{{{column}}}", "different in every row")
      return [column]
  places = column_names.candidates("dialogue", list(columns))
  counters = [
    c
    for c in columns
    if column_names.plain(c) in map(column_names.plain, _COUNTERS)
    or c == "frameTime"
  ]
  for place in (*places, *column_names.candidates("id", fit)):
    for counter in counters:
      if place != counter and _together_unique(path, place, counter):
        found.keys["id"] = (
          f"{{{place}}}_{{{counter}}}",
          "different in every row, together",
        )
        return [place, counter]
  found.keys["id"] = (
    "{row}",
    "no column is different in every row: its number",
  )
  return []


def _together_unique(path: pathlib.Path, first: str, second: str) -> bool:
  seen = set()
  for row in table_files.open_table(path).rows((first, second)):
    pair = tuple(table_files.as_text(row.cells[c]) for c in (first, second))
    if pair in seen:
      return False
    seen.add(pair)
  return True


def _features(
  found: spec_text.Found,
  columns: Mapping[str, table_profile.Column],
  taken: Sequence[str],
) -> list[str]:
  """Guesses the features of each modality."""
  vendor = vendor_tables.vendor(tuple(found.columns))
  numeric = [
    c for c, column in columns.items() if c not in taken and _is_feature(column)
  ]
  arrays = [c for c in numeric if columns[c].dim]
  by_modality: dict[str, list[str]] = {}
  for column in arrays or numeric:
    by_modality.setdefault(_modality(column, vendor), []).append(column)
  if "text" in found.keys and "lexical" in by_modality:
    gone = by_modality.pop("lexical")
    found.remarks.append(
      f"{', '.join(map(repr, gone[:5]))} may be of the text as well: read"
      " either the text or features of it."
    )
  features, own = {}, []
  for modality in schema.MODALITIES:
    group = by_modality.get(modality, [])
    if not group:
      continue
    if len(group) > 1 and any(
      columns[c].kind == table_profile.FRAMES for c in group
    ):
      found.remarks.append(
        f"{modality} frames are in several columns,"
        f" {', '.join(map(repr, group))}; the first is taken."
      )
      group = group[:1]
    features[modality] = _patterns(group, tuple(found.columns))
    own += group
  if features:
    reason = "numbers; no name tells of which modality"
    if any(map(_hint, own)):
      reason = "the modality by their names"
    if vendor:
      reason = f"columns of {vendor}"
    found.keys["features"] = (features, reason)
  _remark_on_frames(found, vendor)
  return own


def _is_feature(column: table_profile.Column) -> bool:
  kinds = (table_profile.NUMBER, table_profile.VECTOR, table_profile.FRAMES)
  plain = column_names.plain(column.name)
  return column.kind in kinds and not _NO_FEATURES.fullmatch(plain)


def _modality(column: str, vendor: str) -> str:
  if vendor:
    return "visual" if vendor == vendor_tables.OPENFACE else "acoustic"
  return _hint(column) or "acoustic"


def _hint(column: str) -> str:
  """Names the modality that a column's name tells; empty for none."""
  found = (m for m, hint in _HINTS.items() if re.search(hint, column.lower()))
  return next(found, "")


def _patterns(group: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
  """Writes columns as prefixes where that says the same, in the same order."""
  prefix = re.match(r"\D*", group[0])[0]
  alike = [c for c in columns if c.startswith(prefix)]
  if len(group) > 2 and prefix and alike == list(group):
    return (f"{prefix}*",)
  return tuple(group)


def _remark_on_frames(found: spec_text.Found, vendor: str) -> None:
  """Says where rows look like the frames of one utterance."""
  is_openface = vendor == vendor_tables.OPENFACE
  several = "frameTime" in str(found.keys["id"][0])
  if not is_openface and not several:
    return
  found.remarks.append(
    "The rows look like the frames of one utterance. As it stands, each is an"
    " utterance of its own; a folder of such files, one for each utterance, is"
    " --source=folder, without a spec."
  )
  if is_openface and "success" in found.columns:
    values = found.columns["success"].values
    one = next((v for v in values if spec_defaults.whole(v) == "1"), "1")
    found.keys["rows"] = ((("{success}", one),), "frames with a face")
