r"""Draws what a finished workdir knows: PNG, SVG, and the data as JSON.

Example:
  python -m mmer_jax.figures --workdir=runs/mtee_mosei

`distances`: how far the emotions are from one another in the lexical space and
in the spaces they are mapped to (Dai et al. 2020, Figure 3), and the rank
correlation of the latter with the former. `threshold_curves`: weighted F1 and
weighted accuracy on validation at several thresholds, epoch by epoch (their
Figures 4 and 5), where config.training.curve_thresholds asked for them.
`losses`: every logged term of the loss, epoch by epoch. `confusion`: what was
chosen for what is true; `decisions`: what was answered for what is true, of
each emotion that is decided on its own; `sweep`: a metric over a swept number;
all of WORKDIR/results/test.json where it is there. `regenerated`: a vector,
what noise made of it, and its proxy (Mittal et al. 2020, Figure 7), of a result
of the test split under noise with proxies.
Needs matplotlib: pip install 'mmer_jax[report]'.
"""

import pathlib
from typing import Any

import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.experiment import records

_NAMES = {
  "weighted_f1": "weighted F1",
  "weighted_accuracy": "weighted accuracy",
}


def save(content: dict[str, Any], out: pathlib.Path) -> pathlib.Path:
  """Draws one figure: `<name>.json`, `.svg` and `.png`.

  Args:
    content: Of one of the functions below.
    out: The folder.

  Returns:
    The PNG.
  """
  name, plt = content["figure"], _pyplot()
  figure = _DRAWERS[name](plt, content)
  out.mkdir(parents=True, exist_ok=True)
  workdir.write_json(out / f"{name}.json", content)
  figure.savefig(out / f"{name}.svg", metadata={"Date": None})
  figure.savefig(out / f"{name}.png", dpi=150)
  plt.close(figure)
  return out / f"{name}.png"


def _pyplot() -> Any:
  try:
    import matplotlib as mpl
  except ImportError:
    raise errors.UserError(
      "figures need the package matplotlib, which is not installed;"
      " pip install 'mmer_jax[report]'"
    ) from None
  # No display, and text in SVGs that can be searched and read out.
  mpl.use("Agg")
  mpl.rcParams.update(
    {"svg.fonttype": "none", "svg.hashsalt": "mmer_jax", "font.size": 9}
  )
  import matplotlib.pyplot as plt

  return plt


def _draw_distances(plt: Any, content: dict[str, Any]) -> Any:
  names, emotions = list(content["spaces"]), content["emotions"]
  figure, axes = plt.subplots(
    1,
    len(names),
    figsize=(3.6 * len(names), 3.6),
    squeeze=False,
    layout="constrained",
  )
  for index, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
    matrix = np.asarray(content["spaces"][name])
    image = axis.imshow(matrix, cmap="viridis")
    title = name
    if name in content["rank_correlation"]:
      entry = content["rank_correlation"][name]
      mean = entry["mean"]
      title += "\nrank correlation " + ("-" if mean is None else f"{mean:.2f}")
      if entry["ci95"][0] is not None:
        title += f" ± {entry['ci95'][1] - mean:.2f}"
    axis.set_title(title)
    axis.set_xticks(range(len(emotions)), emotions, rotation=45, ha="right")
    axis.set_yticks(range(len(emotions)), emotions if index == 0 else [])
    middle = matrix.max() / 2
    for (i, j), value in np.ndenumerate(matrix):
      axis.text(
        j,
        i,
        f"{value:.2g}",
        ha="center",
        va="center",
        color="black" if value > middle else "white",
        fontsize=7,
      )
    figure.colorbar(image, ax=axis, shrink=0.7)
  figure.suptitle(
    f"Euclidean distances between emotions, mean of {content['runs']} runs"
  )
  return figure


def _draw_curves(plt: Any, content: dict[str, Any]) -> Any:
  figure, axes = plt.subplots(
    1, 2, figsize=(8.5, 3.6), sharex=True, layout="constrained"
  )
  colours = plt.get_cmap("viridis")(
    np.linspace(0, 0.9, len(content["thresholds"]))
  )
  for axis, (name, values) in zip(
    axes, content["metrics"].items(), strict=True
  ):
    for column, threshold in enumerate(content["thresholds"]):
      axis.plot(
        content["epochs"],
        [100 * row[column] for row in values],
        color=colours[column],
        label=f"{threshold:g}",
      )
    axis.set_xlabel("epoch")
    axis.set_ylabel(f"{_NAMES[name]} on validation, %")
    axis.grid(alpha=0.3)
  axes[1].legend(title="threshold", loc="center left", bbox_to_anchor=(1, 0.5))
  figure.suptitle(f"Means over {max(content['runs'])} runs while they train")
  return figure


def _draw_losses(plt: Any, content: dict[str, Any]) -> Any:
  stages = content["stages"]
  terms = list(dict.fromkeys(t for s in stages.values() for t in s["terms"]))
  columns = min(4, len(terms))
  rows = -(-len(terms) // columns)
  figure, axes = plt.subplots(
    rows,
    columns,
    figsize=(3.2 * columns, 2.4 * rows),
    squeeze=False,
    layout="constrained",
  )
  for axis in axes.flat[len(terms) :]:
    axis.set_axis_off()
  for axis, term in zip(axes.flat, terms, strict=False):
    for stage, entry in stages.items():
      if term in entry["terms"]:
        values = [np.nan if v is None else v for v in entry["terms"][term]]
        axis.plot(entry["epochs"], values, marker=".", label=stage)
    axis.set_title(term.replace("_", " "), fontsize=9)
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)
  axes.flat[0].legend(fontsize=7)
  figure.suptitle("Terms of the loss, means over the runs while they train")
  return figure


def _draw_confusion(plt: Any, content: dict[str, Any]) -> Any:
  settings, emotions = content["settings"], content["emotions"]
  figure, axes = plt.subplots(
    1,
    len(settings),
    figsize=(3.4 * len(settings) + 0.6, 3.6),
    squeeze=False,
    layout="constrained",
  )
  for index, (axis, entry) in enumerate(zip(axes[0], settings, strict=True)):
    _draw_shares(axis, np.asarray(entry["shares"]))
    axis.set_xticks(range(len(emotions)), emotions, rotation=45, ha="right")
    axis.set_yticks(range(len(emotions)), emotions if index == 0 else [])
    axis.set_xlabel("chosen")
    axis.set_title(records.show(entry["setting"]))
  axes[0, 0].set_ylabel("true")
  figure.suptitle("Test, % of each true emotion")
  return figure


def _draw_decisions(plt: Any, content: dict[str, Any]) -> Any:
  settings, emotions = content["settings"], content["emotions"]
  figure, axes = plt.subplots(
    len(settings),
    len(emotions),
    figsize=(1.7 * len(emotions) + 0.8, 2.1 * len(settings) + 0.6),
    squeeze=False,
    layout="constrained",
  )
  answers = ("no", "yes")
  for row, entry in zip(axes, settings, strict=True):
    for index, (axis, shares) in enumerate(
      zip(row, entry["shares"], strict=True)
    ):
      _draw_shares(axis, np.asarray(shares))
      axis.set_xticks(range(2), answers)
      axis.set_yticks(range(2), answers if index == 0 else [])
      axis.set_title(emotions[index])
    row[0].set_ylabel(f"{records.show(entry['setting'])}\nis there".strip())
  for axis in axes[-1]:
    axis.set_xlabel("answer")
  figure.suptitle("Test, % of the utterances without and with each emotion")
  return figure


def _draw_shares(axis: Any, shares: np.ndarray) -> None:
  axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
  for (i, j), value in np.ndenumerate(shares):
    axis.text(
      j,
      i,
      f"{100 * value:.1f}",
      ha="center",
      va="center",
      color="white" if value > 0.5 else "black",
    )


def _draw_lengths(plt: Any, content: dict[str, Any]) -> Any:
  figure, axes = plt.subplots(
    1,
    len(content["counts"]),
    figsize=(3.6 * len(content["counts"]), 3.0),
    squeeze=False,
    layout="constrained",
  )
  for axis, (name, counts) in zip(
    axes[0], content["counts"].items(), strict=True
  ):
    entry = content["summary"][name]
    axis.hist(
      np.arange(len(counts)),
      bins=length_edges(len(counts)),
      weights=counts,
      color="tab:blue",
    )
    axis.set_title(
      f"{name.replace('_', ' ')}\nmean {entry['mean']:.1f}, standard deviation"
      f" {entry['std']:.1f}"
    )
    axis.grid(alpha=0.3)
  return figure


def length_edges(count: int) -> np.ndarray:
  """Edges of the bars of a histogram of the lengths 0 to `count` - 1.

  At most 40 bars, each of equally many lengths: bars of broken widths would
  hold now one more length and now one less.
  """
  width = -(-count // 40)
  return np.arange(0, count + width, width) - 0.5


def _draw_regenerated(plt: Any, content: dict[str, Any]) -> Any:
  examples = content["examples"]
  figure, axes = plt.subplots(
    1,
    len(examples),
    figsize=(4.2 * len(examples), 3.2),
    squeeze=False,
    layout="constrained",
  )
  for axis, example in zip(axes[0], examples, strict=True):
    for name, colour in (
      ("corrupted", "tab:red"),
      ("original", "tab:blue"),
      ("regenerated", "tab:green"),
    ):
      axis.plot(example[name], color=colour, label=name, linewidth=1)
    axis.set_title(
      f"{example['modality']}\nrelative distance of proxies"
      f" {example['distance']:.2g}, of noise {example['noise_distance']:.2g}"
    )
    axis.set_xlabel("feature")
    axis.grid(alpha=0.3)
  axes[0, 0].set_ylabel("mean over frames, normalised")
  axes[0, 0].legend(fontsize=7)
  figure.suptitle("One utterance each; distances over all that was regenerated")
  return figure


def _draw_sweep(plt: Any, content: dict[str, Any]) -> Any:
  figure, axis = plt.subplots(figsize=(4.8, 3.6), layout="constrained")
  for name, entries in content["metrics"].items():
    means = [_percent(entry["mean"]) for entry in entries]
    low, high = (
      [_percent(entry["ci95"][side]) for entry in entries] for side in (0, 1)
    )
    axis.plot(
      content["values"], means, marker="o", label=name.replace("_", " ")
    )
    axis.fill_between(content["values"], low, high, alpha=0.2)
  axis.set_xlabel(content["key"].replace("_", " "))
  axis.set_ylabel("test, %")
  axis.grid(alpha=0.3)
  axis.legend()
  return figure


def _percent(value: float | None) -> float:
  return np.nan if value is None else 100 * value


_DRAWERS = {
  "confusion": _draw_confusion,
  "decisions": _draw_decisions,
  "distances": _draw_distances,
  "lengths": _draw_lengths,
  "losses": _draw_losses,
  "regenerated": _draw_regenerated,
  "sweep": _draw_sweep,
  "threshold_curves": _draw_curves,
}
