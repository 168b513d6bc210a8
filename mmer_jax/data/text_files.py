"""Opens text files as UTF-8 and names the line and the fix where they are not.

A byte order mark in front of UTF-8 is skipped. UTF-16, UTF-32 and bytes of
another encoding are refused: guessing an encoding changes words without a
word. Halves of UTF-16 pairs (lone surrogates), which JSON may escape and no
file can hold, are refused too.
"""

import codecs
import gzip
import io
import pathlib
import zlib
from typing import BinaryIO, TextIO

from mmer_jax.base.errors import UserError

UTF8_MARK = codecs.BOM_UTF8
# The marks of UTF-32 begin with those of UTF-16 and come first.
_OTHER_MARKS = {
  codecs.BOM_UTF32_LE: "UTF-32",
  codecs.BOM_UTF32_BE: "UTF-32",
  codecs.BOM_UTF16_LE: "UTF-16",
  codecs.BOM_UTF16_BE: "UTF-16",
}
# What reading a file, packed or not, may raise.
READ_ERRORS = (OSError, EOFError, zlib.error)


def open_bytes(path: pathlib.Path) -> BinaryIO:
  """Opens a file, or what a `.gz` file packs, for reading bytes.

  Raises:
    UserError: It begins as text of another encoding than UTF-8 does.
  """
  opener = gzip.open if path.suffix == ".gz" else open
  file = opener(path, "rb")
  try:
    start = file.read(64)
    file.seek(0)
    check_start(path, start)
  except BaseException:
    file.close()
    raise
  return file


def check_start(path: pathlib.Path, start: bytes) -> None:
  """Raises a `UserError` where a file's first bytes are of UTF-16 or -32."""
  for mark, encoding in _OTHER_MARKS.items():
    if start.startswith(mark):
      raise _wrong_encoding(path, f"is {encoding} text", encoding)
  if b"\0" in start:
    raise _wrong_encoding(
      path, "holds NUL bytes, as UTF-16 without a byte order mark", "UTF-16"
    )


def open_text(path: pathlib.Path) -> TextIO:
  """Opens a UTF-8 file, `.gz` or not; line ends stay as they are.

  What is not UTF-8 raises `UnicodeDecodeError` while reading; see
  `not_utf8`.
  """
  return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="")


def not_utf8(path: pathlib.Path) -> UserError:
  """Makes the error that names the first line that is not UTF-8."""
  with open_bytes(path) as file:
    for number, line in enumerate(file, 1):
      try:
        line.decode("utf-8")
      except UnicodeDecodeError as error:
        return _wrong_encoding(
          path,
          f"line {number} is not UTF-8 (byte 0x{line[error.start]:02x}); it"
          " may be Latin-1, as Windows writes it",
          "WINDOWS-1252",
        )
  return UserError(f"{path} changed while it was read; try again")


def _wrong_encoding(path: pathlib.Path, what: str, encoding: str) -> UserError:
  return UserError(
    f"{path} {what}; expected UTF-8: save it as such, or"
    f" `iconv -f {encoding} -t UTF-8 {path.name} > NEW`"
  )


def check_surrogates(text: str, where: str) -> None:
  """Raises a `UserError` where a text holds a lone surrogate."""
  try:
    text.encode("utf-8")
  except UnicodeEncodeError as error:
    raise UserError(
      f"{where}: the text holds a lone surrogate"
      f" (\\u{ord(text[error.start]):04x}), half of a character that no file"
      " can hold; remove it or write the whole character"
    ) from None
