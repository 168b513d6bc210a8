"""Lays out figures: which panels each has, and what is drawn in a panel."""

import functools
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import errors
from mmer_jax.evaluation import metric_names
from mmer_jax.experiment import records
from mmer_jax.reporting import colours


class Panel(NamedTuple):
  """One pair of axes of a figure.

  Attributes:
    title: The text above it.
    draw: Draws on the axes that it is given.
  """

  title: str
  draw: Callable[[Any], None]


class Layout(NamedTuple):
  """How the panels of a figure are put together.

  Attributes:
    title: The text above all panels.
    panels: The panels, row by row.
    columns: How many are in a row.
    size: Width and height of a panel, in inches.
  """

  title: str
  panels: tuple[Panel, ...]
  columns: int
  size: tuple[float, float]


def _losses(content: dict[str, Any]) -> Layout:
  """Lays out one panel for each term of the loss, a line for each stage."""
  stages = content["stages"]
  terms = list(dict.fromkeys(t for s in stages.values() for t in s["terms"]))

  def draw(axis: Any, term: str) -> None:
    for stage, entry in stages.items():
      if term in entry["terms"]:
        values = [np.nan if v is None else v for v in entry["terms"][term]]
        axis.plot(entry["epochs"], values, marker=".", label=stage)
    _label_epochs(axis)
    axis.set_ylabel("loss (no unit)")
    axis.grid(True)
    if len(stages) > 1:
      axis.legend(title="stage")

  return Layout(
    "Terms of the loss, means over the runs while they train",
    tuple(
      Panel(term.replace("_", " "), functools.partial(draw, term=term))
      for term in terms
    ),
    min(3, len(terms)),
    (3.4, 2.5),
  )


def _threshold_curves(content: dict[str, Any]) -> Layout:
  """Lays out one panel for each metric, a line for each threshold."""
  thresholds = content["thresholds"]

  def draw(axis: Any, values: Sequence[Sequence[float]]) -> None:
    lines = shades(len(thresholds))
    for column, threshold in enumerate(thresholds):
      axis.plot(
        content["epochs"],
        [100 * row[column] for row in values],
        color=lines[column],
        label=f"{threshold:g}",
      )
    _label_epochs(axis)
    axis.set_ylabel("percent, on validation")
    axis.grid(True)
    axis.legend(title="threshold", loc="center left", bbox_to_anchor=(1, 0.5))

  return Layout(
    f"Validation split: means over {max(content['runs'])} runs while they"
    " train",
    tuple(
      Panel(
        metric_names.METRICS[name].label,
        functools.partial(draw, values=values),
      )
      for name, values in content["metrics"].items()
    ),
    len(content["metrics"]),
    (4.4, 3.2),
  )


def _distances(content: dict[str, Any]) -> Layout:
  """Lays out one matrix of distances for each space."""
  emotions = content["emotions"]

  def draw(axis: Any, matrix: np.ndarray) -> None:
    _draw_matrix(axis, matrix, matrix.max() or 1.0, "{:.2f}")
    _label_classes(axis, emotions, emotions)
    axis.set_xlabel("emotion")
    axis.set_ylabel("emotion")

  panels = []
  for name, matrix in content["spaces"].items():
    title = f"{name} space"
    if name in content["rank_correlation"]:
      summary = content["rank_correlation"][name]
      title += (
        "\nSpearman's correlation\nwith the lexical distances\n"
        f"{correlation(summary) or '-'}"
      )
    panels.append(
      Panel(title, functools.partial(draw, matrix=np.asarray(matrix)))
    )
  return Layout(
    "Euclidean distances between emotions (no unit), mean of"
    f" {content['runs']} runs",
    tuple(panels),
    len(panels),
    (0.5 * len(emotions) + 2, 0.5 * len(emotions) + 1.9),
  )


def correlation(summary: dict[str, Any]) -> str:
  """Formats the summary of a correlation; empty where there is none."""
  mean, (low, high) = summary["mean"], summary["ci95"]
  if mean is None:
    return ""
  if low is None:
    return f"{mean:.2f}"
  if abs((high - mean) - (mean - low)) > 1e-9:
    # Cut where correlations end.
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"
  return f"{mean:.2f} ± {high - mean:.2f}"


def _confusion(content: dict[str, Any]) -> Layout:
  """Lays out one confusion matrix for each setting."""
  emotions = content["emotions"]

  def draw(axis: Any, entry: dict[str, Any]) -> None:
    _draw_shares(axis, np.asarray(entry["shares"]))
    rows = [
      f"{name} ({count})"
      for name, count in zip(emotions, entry["counts"], strict=True)
    ]
    _label_classes(axis, emotions, rows)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true (utterances, all runs)")

  return Layout(
    f"{_split(content)}: percent of each true emotion",
    tuple(
      Panel(_wrap_setting(entry, 30), functools.partial(draw, entry=entry))
      for entry in content["settings"]
    ),
    min(3, len(content["settings"])),
    (0.55 * len(emotions) + 2, 0.55 * len(emotions) + 1.4),
  )


def _decisions(content: dict[str, Any]) -> Layout:
  """Lays out one matrix of two answers for each setting and emotion."""
  emotions = content["emotions"]

  def draw(axis: Any, shares: np.ndarray, counts: Sequence[int]) -> None:
    _draw_shares(axis, shares)
    axis.set_xticks(range(2), ("no", "yes"))
    axis.set_yticks(range(2), (f"no ({counts[0]})", f"yes ({counts[1]})"))
    axis.set_xlabel("predicted")
    axis.set_ylabel("true (utterances)")

  return Layout(
    f"{_split(content)}: percent of the utterances without and with each"
    " emotion, all runs",
    tuple(
      Panel(
        "\n".join(filter(None, (_wrap_setting(entry, 20), emotion))),
        functools.partial(draw, shares=np.asarray(shares), counts=counts),
      )
      for entry in content["settings"]
      for emotion, shares, counts in zip(
        emotions, entry["shares"], entry["counts"], strict=True
      )
    ),
    min(4, len(emotions)),
    (2.4, 2.4),
  )


def _ratings(content: dict[str, Any]) -> Layout:
  """Lays out one matrix of rated and predicted for each target and setting."""
  layouts = {
    name: _confusion(
      {
        "split": content["split"],
        "emotions": [f"{place:g}" for place in target["places"]],
        "settings": target["settings"],
      }
    )
    for name, target in content["targets"].items()
  }
  (first, *_) = layouts.values()
  return first._replace(
    title=f"{_split(content)}: percent of each rating, at the nearest places",
    columns=min(3, len(layouts)),
    panels=tuple(
      panel._replace(title="\n".join(filter(None, (name, panel.title))))
      for name, layout in layouts.items()
      for panel in layout.panels
    ),
  )


def _sweep(content: dict[str, Any]) -> Layout:
  """Lays out one panel with a line and its interval for each metric."""
  values = content["values"]
  shares = all(metric_names.METRICS[name].share for name in content["metrics"])
  factor = 1 if shares else 0.01

  def draw(axis: Any) -> None:
    for name, entries in content["metrics"].items():
      means = [factor * _percent(entry["mean"]) for entry in entries]
      low, high = (
        [factor * _percent(entry["ci95"][side]) for entry in entries]
        for side in (0, 1)
      )
      label = metric_names.METRICS[name].label
      axis.plot(values, means, marker="o", label=label)
      axis.fill_between(values, low, high, alpha=0.2)
    if min(values) > 0 and max(values) >= 50 * min(values):
      axis.set_xscale("log")
    axis.set_xlabel(content["key"].replace("_", " "))
    axis.set_ylabel("percent" if shares else "correlation")
    axis.grid(True)
    axis.legend()

  return Layout(
    f"{_split(content)}: means over runs, 95 % intervals",
    (Panel("", draw),),
    1,
    (4.8, 3.4),
  )


_LENGTHS = {
  "frames_per_utterance": ("frames per utterance", "frames", "utterances"),
  "words_per_utterance": ("words per utterance", "words", "utterances"),
  "frames_per_word": ("frames per word", "frames", "words"),
}


def _lengths(content: dict[str, Any]) -> Layout:
  """Lays out one histogram for each thing that is counted."""

  def draw(axis: Any, name: str) -> None:
    counts = content["counts"][name]
    axis.hist(
      np.arange(len(counts)), bins=length_edges(len(counts)), weights=counts
    )
    axis.set_xlabel(f"length, {_LENGTHS[name][1]}")
    axis.set_ylabel(f"number of {_LENGTHS[name][2]}")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.grid(True)

  panels = []
  for name, summary in content["summary"].items():
    title = (
      f"{_LENGTHS[name][0]}\nmean {summary['mean']:.1f}, standard deviation"
      f" {summary['std']:.1f}, n = {summary['n']}"
    )
    panels.append(Panel(title, functools.partial(draw, name=name)))
  return Layout("Lengths", tuple(panels), len(panels), (3.6, 3.0))


def length_edges(count: int) -> np.ndarray:
  """Computes the edges of a histogram's bars over the lengths 0 to `count` - 1.

  At most 40 bars, each of equally many lengths: bars of broken widths would
  hold now one more length and now one less.
  """
  width = -(-count // 40)
  return np.arange(0, count + width, width) - 0.5


def _regenerated(content: dict[str, Any]) -> Layout:
  """Lays out one panel for each modality: original, noisy, regenerated."""

  def draw(axis: Any, example: dict[str, Any]) -> None:
    for name, colour in (
      ("corrupted", colours.SERIES[1]),
      ("original", colours.SERIES[0]),
      ("regenerated", colours.SERIES[2]),
    ):
      axis.plot(example[name], color=colour, label=name, linewidth=1)
    axis.set_xlabel("feature (index)")
    axis.set_ylabel("mean over frames (normalised)")
    axis.grid(True)
    axis.legend()

  return Layout(
    "One utterance each; distances over all that was regenerated, relative to"
    " the original's length",
    tuple(
      Panel(
        f"{example['modality']}\ndistance of proxies"
        f" {example['distance']:.2g}, of noise {example['noise_distance']:.2g}",
        functools.partial(draw, example=example),
      )
      for example in content["examples"]
    ),
    len(content["examples"]),
    (4.2, 3.2),
  )


def _draw_shares(axis: Any, shares: np.ndarray) -> None:
  """Draws a matrix of shares as percent, darker where they are larger."""
  _draw_matrix(axis, 100 * shares, 100.0, "{:.1f}")


def _draw_matrix(
  axis: Any, matrix: np.ndarray, largest: float, text: str
) -> Any:
  """Draws the numbers of a matrix, darker where they are larger."""
  image = axis.imshow(matrix, cmap=_scale(colours.MATRIX), vmin=0, vmax=largest)
  for (i, j), value in np.ndenumerate(matrix):
    axis.text(
      *(j, i, text.format(value)),
      ha="center",
      va="center",
      fontsize=8,
      color=colours.LIGHT["text" if value < 0.65 * largest else "page"],
    )
  return image


def _label_classes(
  axis: Any, columns: Sequence[str], rows: Sequence[str]
) -> None:
  axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
  axis.set_yticks(range(len(rows)), rows)


def _label_epochs(axis: Any) -> None:
  """Labels the horizontal axis with whole epochs."""
  axis.set_xlabel("epoch")
  axis.xaxis.get_major_locator().set_params(integer=True)


def shades(count: int) -> np.ndarray:
  """Picks ordered colours that can be told from a light and a dark page."""
  return _scale(colours.ORDER)(np.linspace(0, 1, count))


def _scale(stops: Sequence[str]) -> Any:
  """Makes a scale of colours between a few of them."""
  mpl = errors.require("matplotlib.colors", "report", "a figure")
  return mpl.LinearSegmentedColormap.from_list("scale", stops)


def _wrap_setting(entry: dict[str, Any], width: int) -> str:
  """Names the setting of a panel, in lines that are no wider than it."""
  # Lines break at spaces: `lexical+acoustic` has none.
  text = records.show(entry["setting"]).replace("+", " + ")
  return textwrap.fill(text, width)


def _split(content: dict[str, Any]) -> str:
  return f"{content['split'].capitalize()} split"


def _percent(value: float | None) -> float:
  return np.nan if value is None else 100 * value


# The data's `figure` to what lays it out.
LAYOUTS: dict[str, Callable[[dict[str, Any]], Layout]] = {
  "confusion": _confusion,
  "decisions": _decisions,
  "ratings": _ratings,
  "distances": _distances,
  "lengths": _lengths,
  "losses": _losses,
  "regenerated": _regenerated,
  "sweep": _sweep,
  "threshold_curves": _threshold_curves,
}
