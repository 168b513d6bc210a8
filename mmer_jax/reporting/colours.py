"""Holds the colours of figures and pages, in light and in dark.

A line keeps its colour in both: the series are of middle lightness, with at
least three to one of contrast against either page.
"""

# Names of CSS variables; figures use the light ones.
LIGHT = {
  "page": "#ffffff",
  "text": "#1b1b1f",
  "soft": "#55555f",
  "line": "#d9d9e0",
  "band": "#f4f5f8",
  "accent": "#1f5fbf",
  "fill": "#5a92e2",
  "mark": "#12305f",
  "heat": "#5a92e2",
  "failed": "#b3261e",
  "shadow": "#b9b9c4",
  "attention": "#f2a33a",
}
DARK = {
  "page": "#15161a",
  "text": "#ececf1",
  "soft": "#b3b3bf",
  "line": "#3a3b44",
  "band": "#1f2027",
  "accent": "#8ab6ff",
  "fill": "#3d6cb0",
  "mark": "#e6efff",
  "heat": "#2d67b8",
  "failed": "#ff9d94",
  "shadow": "#6a6c78",
  "attention": "#9a5b0c",
}

# Lines, in their order.
SERIES = ("#3b7dd8", "#c96a12", "#2f9e62", "#b5539c", "#8a7a1f", "#7a6fd0")
# Lines that have an order: from the first to the last.
ORDER = (SERIES[0], SERIES[5], SERIES[3], SERIES[1])
# The cells of a matrix in a file: from none to all.
MATRIX = (LIGHT["page"], LIGHT["heat"], "#1d4f94")
MODALITIES = {"acoustic": SERIES[0], "lexical": SERIES[1], "visual": SERIES[2]}


def style_sheet() -> str:
  """Writes the colours as CSS variables that follow the reader's mode."""
  series = "".join(
    f" --{name}: {colour};" for name, colour in MODALITIES.items()
  )
  return (
    f":root {{ color-scheme: light dark;{_variables(LIGHT)}{series} }}\n"
    "@media (prefers-color-scheme: dark) {\n"
    f"  :root {{{_variables(DARK)} }}\n}}"
  )


def _variables(colours: dict[str, str]) -> str:
  return "".join(f" --{name}: {value};" for name, value in colours.items())


def follow_mode(svg: str) -> str:
  """Lets a figure that was drawn in the light colours follow the reader's mode.

  Args:
    svg: A figure whose text and axes have the light colour of text, and whose
      background that of the page.
  """
  start = svg.index("<svg")
  inside = svg.index(">", start) + 1
  style = (
    f"<style>svg {{{_variables(LIGHT)} }} @media (prefers-color-scheme: dark)"
    f" {{ svg {{{_variables(DARK)} }} }}</style>"
  )
  body = svg[inside:]
  for name in ("text", "page", "line"):
    body = body.replace(LIGHT[name], f"var(--{name})")
  return svg[start:inside] + style + body
