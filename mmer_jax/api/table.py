"""Holds a table that a notebook, a terminal, pandas and Markdown can show."""

import html
from collections.abc import Sequence
from typing import Any

import rich.table
import rich.text

from mmer_jax.base import drawn, errors
from mmer_jax.evaluation import tables


class Table:
  """Shows rows of text, and hands out the numbers behind them.

  Attributes:
    title: What is shown.
    heading: The columns of what is shown.
    rows: What is shown: formatted cells.
    records: The numbers, a mapping for each row of `to_pandas`.
    note: What the cells mean; empty for what needs no word.
  """

  def __init__(
    self,
    title: str,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    records: Sequence[dict[str, Any]],
    note: str = "",
  ):
    """Takes what is shown, and the numbers behind it."""
    self.title = title
    self.heading = list(heading)
    self.rows = [list(row) for row in rows]
    self.records = list(records)
    self.note = note

  def to_pandas(self) -> Any:
    """Makes a `pandas.DataFrame` of the numbers.

    Raises:
      UserError: The package pandas is not installed.
    """
    pandas = errors.require("pandas", "", "to_pandas()")
    return pandas.DataFrame(self.records)

  def markdown(self) -> str:
    """Formats what is shown as a table in Markdown."""
    return tables.markdown_table(self.heading, self.rows)

  def __len__(self) -> int:
    return len(self.rows)

  def __repr__(self) -> str:
    return drawn.text(self)

  def __rich__(self) -> rich.table.Table:
    # Names of folders and emotions may hold brackets.
    table = rich.table.Table(
      title=rich.text.Text(self.title),
      caption=rich.text.Text(self.note) if self.note else None,
    )
    for index, name in enumerate(self.heading):
      table.add_column(
        rich.text.Text(name), justify="left" if index == 0 else "right"
      )
    for row in self.rows:
      table.add_row(*map(rich.text.Text, row))
    return table

  def _repr_html_(self) -> str:
    """Formats what is shown for a notebook."""

    def cells(tag: str, values: Sequence[str]) -> str:
      return "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
    return (
      f"<table><caption>{html.escape(self.title)}</caption>"
      f"<thead><tr>{cells('th', self.heading)}</tr></thead>"
      f"<tbody>{body}</tbody></table>"
      + (f"<p>{html.escape(self.note)}</p>" if self.note else "")
    )
