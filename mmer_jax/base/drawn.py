"""Draws what rich can show as text or HTML, for what shows itself."""

import io
import shutil

import rich.console


def text(shown: rich.console.RenderableType) -> str:
  """Draws something for a terminal as wide as the one there is."""
  width = max(shutil.get_terminal_size((100, 24)).columns, 60)
  return _draw(shown, width).export_text().rstrip("\n")


def html(shown: rich.console.RenderableType) -> str:
  """Draws something for a notebook."""
  return _draw(shown, 100).export_html(
    inline_styles=True, code_format="<pre>{code}</pre>"
  )


def _draw(
  shown: rich.console.RenderableType, width: int
) -> rich.console.Console:
  console = rich.console.Console(
    record=True, file=io.StringIO(), width=width, force_jupyter=False
  )
  console.print(shown)
  return console
