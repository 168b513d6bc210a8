"""Reads the header and the rows of ARFF, Weka's format, which openSMILE writes.

A line with `@attribute NAME TYPE` for each column, then `@data` and a row a
line, fields separated by commas or tabs. Names and values may be quoted with '
or ", a backslash in front of what would end them. `%` begins a comment, `?` is
a missing value, read as an empty text. Values of a nominal attribute must be
among those that it names. Sparse rows (`{1 x, 3 y}`), attributes of relations
and weights of rows are refused.

Source: Weka's manual, chapter ARFF (https://waikato.github.io/weka-wiki/
formats_and_processing/arff_stable/).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from mmer_jax.base.errors import UserError

# Possessive, so that no line takes longer than its length.
_QUOTED = r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\""
_ATTRIBUTE = re.compile(
  rf"@attribute\s+(?P<name>{_QUOTED}|[^\s'\"{{]+)\s*(?P<kind>\S.*)", re.I
)
_FIELD = re.compile(
  rf"[ ]*+(?:(?P<quoted>{_QUOTED})[ ]*+|(?P<bare>[^,\t'\"]*+))(?P<end>[,\t]|$)"
)
_KINDS = ("numeric", "real", "integer", "string", "date")
# What a backslash makes of letters; of any other character, itself.
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Attribute(NamedTuple):
  """Describes a column.

  Attributes:
    name: Its name.
    values: Those of a nominal attribute; None for numbers and texts.
  """

  name: str
  values: tuple[str, ...] | None


class Header(NamedTuple):
  """Describes a file.

  Attributes:
    attributes: The columns, in the order of the file.
    lines: How many lines stand up to and with `@data`.
  """

  attributes: tuple[Attribute, ...]
  lines: int


def read_header(file: TextIO, where: str) -> Header:
  """Reads up to the line `@data`.

  Args:
    file: Stands at its first line, and behind `@data` afterwards.
    where: The file, for messages.

  Raises:
    UserError: A line is none of a header, or there is no `@data`.
  """
  attributes = []
  # Not by iteration: what was read ahead would be lost to the next reader.
  for number, line in enumerate(iter(file.readline, ""), 1):
    text = line.strip()
    if text.lower() == "@data":
      if not attributes:
        raise UserError(f"{where}: no @attribute before @data, line {number}")
      return Header(tuple(attributes), number)
    if text.lower().startswith("@attribute"):
      attributes.append(_attribute(text, f"{where} line {number}"))
    elif text and not re.match(r"(?i)%|@relation\b", text):
      raise UserError(
        f"{where} line {number}: {text[:40]!r} is no line of an ARFF header,"
        " expected @relation, @attribute or @data"
      )
  raise UserError(f"{where}: no line @data; is it an ARFF file, and whole?")


def _attribute(text: str, where: str) -> Attribute:
  """Reads a line `@attribute NAME TYPE`."""
  match = _ATTRIBUTE.fullmatch(text)
  kind = match["kind"] if match else ""
  if match and kind.startswith("{") and kind.endswith("}"):
    values = _fields(kind[1:-1])
    if values is not None:
      return Attribute(_plain(match["name"]), tuple(map(_plain, values)))
  if match and kind.split()[0].lower() in _KINDS:
    return Attribute(_plain(match["name"]), None)
  raise UserError(
    f"{where}: {text[:60]!r}, expected @attribute NAME TYPE, with a type of"
    f" {', '.join(_KINDS)} or {{value, value}}"
  )


def _fields(text: str) -> list[str] | None:
  """Splits a line into fields, quotes still on; None where quotes are wrong."""
  fields, at = [], 0
  while True:
    match = _FIELD.match(text, at)
    if match is None:
      return None
    fields.append(match["quoted"] or match["bare"].strip())
    at = match.end()
    if not match["end"]:
      return fields


def _plain(field: str) -> str:
  """Takes quotes and backslashes off; a bare `?` is empty."""
  if field[:1] not in ("'", '"'):
    return "" if field == "?" else field
  return re.sub(
    r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), field[1:-1]
  )


def read_rows(
  file: TextIO, header: Header, where: str
) -> Iterator[tuple[int, list[str]]]:
  """Reads the rows behind `@data`, each with the number of its line.

  Raises:
    UserError: A row has another number of fields than there are attributes, or
      a value that its nominal attribute does not name.
  """
  for number, line in enumerate(iter(file.readline, ""), header.lines + 1):
    text = line.strip("\r\n ")
    if not text.strip() or text.startswith("%"):
      continue
    at = f"{where} line {number}"
    if "\0" in text:
      raise UserError(
        f"{at}: a NUL character, which no text holds; is the file damaged?"
      )
    if text.startswith("{"):
      raise UserError(
        f"{at}: a sparse row, expected every value; save the file dense (Weka:"
        " SparseToNonSparse)"
      )
    fields = _fields(text)
    if fields is None:
      raise UserError(f"{at}: a quote is opened and never closed, or misplaced")
    if len(fields) != len(header.attributes):
      raise UserError(
        f"{at}: {len(fields)} fields, expected {len(header.attributes)}, one"
        " for each @attribute"
      )
    cells = [_plain(field) for field in fields]
    for field, cell, (name, values) in zip(
      fields, cells, header.attributes, strict=True
    ):
      if values is not None and cell not in values and field != "?":
        raise UserError(
          f"{at}: {cell!r} is no value of the attribute {name!r}, expected one"
          f" of {', '.join(values)}"
        )
    yield number, cells
