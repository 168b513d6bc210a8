"""Draws the figures of `figures` and `lengths`: PNG, SVG, and their JSON.

Needs matplotlib: pip install 'mmer_jax[report]'.
"""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

from mmer_jax.base import errors, progress, workdir
from mmer_jax.reporting import colours, layouts

# Of a panel on a page, in inches.
_PANEL_WIDTH = 3.8


def save_all(
  contents: Sequence[dict[str, Any]], out: pathlib.Path
) -> list[pathlib.Path]:
  """Draws several figures into a folder; returns their PNGs."""
  return [
    save(content, out)
    for content in progress.each(contents, "drawing", len(contents), "figures")
  ]


def save(content: dict[str, Any], out: pathlib.Path) -> pathlib.Path:
  """Draws one figure: `<name>.json`, `.svg` and `.png`.

  Args:
    content: The data of the figure, from `figures` or `lengths`.
    out: The folder.

  Returns:
    The PNG.

  Raises:
    UserError: matplotlib is not installed.
  """
  name, plt = content["figure"], _pyplot()
  layout = layouts.LAYOUTS[name](content)
  rows = -(-len(layout.panels) // layout.columns)
  width, height = layout.size
  figure, axes = plt.subplots(
    rows,
    layout.columns,
    figsize=(width * layout.columns, height * rows + 0.3),
    squeeze=False,
    layout="constrained",
  )
  for axis in axes.flat[len(layout.panels) :]:
    axis.set_axis_off()
  for axis, panel in zip(axes.flat, layout.panels, strict=False):
    panel.draw(axis)
    axis.set_title(panel.title)
  figure.suptitle(layout.title)
  out.mkdir(parents=True, exist_ok=True)
  workdir.write_json(out / f"{name}.json", content)
  figure.savefig(out / f"{name}.svg", metadata={"Date": None})
  figure.savefig(out / f"{name}.png", dpi=150)
  plt.close(figure)
  return out / f"{name}.png"


def _pyplot() -> Any:
  """Imports matplotlib's pyplot, set up to draw without a display."""
  mpl = errors.require("matplotlib", "report", "a figure")
  mpl.use("Agg")
  mpl.rcParams.update(
    {
      # Text in SVGs can be searched and read out.
      "svg.fonttype": "none",
      "svg.hashsalt": "mmer_jax",
      "font.size": 9,
      "axes.titlesize": 9,
      "figure.titlesize": 10,
      "legend.fontsize": 7,
      "legend.framealpha": 0.0,
      "axes.axisbelow": True,
      "axes.spines.top": False,
      "axes.spines.right": False,
      "axes.prop_cycle": mpl.cycler(color=colours.SERIES),
      "grid.color": colours.LIGHT["line"],
      "figure.facecolor": colours.LIGHT["page"],
      "axes.facecolor": colours.LIGHT["page"],
      **dict.fromkeys(
        (
          "text.color",
          "axes.edgecolor",
          "axes.labelcolor",
          "axes.titlecolor",
          "xtick.color",
          "ytick.color",
        ),
        colours.LIGHT["text"],
      ),
    }
  )
  return errors.require("matplotlib.pyplot", "report", "a figure")


def draw_panels(content: dict[str, Any]) -> list[tuple[str, str]]:
  """Draws each panel of a figure on its own, for a page to lay out.

  Returns:
    Title and SVG of each panel. The SVG follows the reader's light or dark
    mode.

  Raises:
    UserError: matplotlib is not installed.
  """
  plt = _pyplot()
  layout = layouts.LAYOUTS[content["figure"]](content)
  drawn = []
  width, height = layout.size
  for panel in layout.panels:
    # Of one width, so that the text of all panels of a page is of one size.
    size = (_PANEL_WIDTH, _PANEL_WIDTH * height / width)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    panel.draw(axis)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    drawn.append((panel.title, colours.follow_mode(text.getvalue())))
  return drawn
