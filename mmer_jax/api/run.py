"""Holds a workdir: its results, its log, its model."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import rich.console

from mmer_jax.api import results, table
from mmer_jax.base import progress as progress_lib
from mmer_jax.base import workdir
from mmer_jax.evaluation import evaluate, load
from mmer_jax.experiment import provenance
from mmer_jax.reporting import figures, page, plots
from mmer_jax.serving import export as export_lib
from mmer_jax.serving import load as load_lib
from mmer_jax.serving import model as model_lib


class Run:
  """Holds what a training has left in its workdir.

  Attributes:
    workdir: The folder.
  """

  def __init__(self, folder: str | pathlib.Path, *, progress: bool = True):
    """Opens a workdir.

    Args:
      folder: The workdir.
      progress: Whether to show what is done where that takes long.

    Raises:
      UserError: The folder is none.
    """
    self.workdir = pathlib.Path(folder)
    self._console = rich.console.Console(stderr=True, quiet=not progress)
    self._description = provenance.read_description(self.workdir)

  @functools.cached_property
  def config(self) -> ml_collections.ConfigDict:
    """The config, with everything that was overridden."""
    return provenance.read_config(self.workdir, self._description)

  def results(
    self,
    split: str = "test",
    *,
    modalities: Sequence[str] = (),
    emotions: Sequence[str] = (),
    thresholds: str = "fixed",
    data: str | pathlib.Path = "",
    word_vectors: str | pathlib.Path = "",
  ) -> results.Results:
    """Scores every run on a split and writes it to the workdir, as `evaluate`.

    Args:
      split: `train`, `validation` or `test` of each run's fold.
      modalities: What the model may see; empty for all it was trained on.
      emotions: Which to score, new ones as `name` or `name=word`; empty for
        those of the training.
      thresholds: `fixed`, the config's, or `validation`, the best there.
      data: Other shards than those of the training.
      word_vectors: A file with the vectors of new emotions.

    Raises:
      UserError: The workdir is not finished, or does not fit the request.
    """
    request = evaluate.Request(
      split, tuple(modalities), tuple(emotions), thresholds
    )
    inputs = load.Inputs(data_dir=str(data), word_vectors=str(word_vectors))
    with progress_lib.shown(self._console):
      return results.Results(
        evaluate.evaluate_workdir(self.workdir, request, inputs)
      )

  @property
  def history(self) -> table.Table:
    """The log of the training; `to_pandas` has a row per run and epoch."""
    log = workdir.read_lines(self.workdir / "metrics.jsonl")
    return results.history(f"{self.config.system}: training", log)

  @functools.cached_property
  def model(self) -> model_lib.Model:
    """The model of the run that is best on validation."""
    with progress_lib.shown(self._console):
      return load_lib.load(self.workdir)

  def predict(self, *args: Any, **options: Any) -> model_lib.Prediction:
    """Predicts with `model`; see `Model.predict`."""
    return self.model.predict(*args, **options)

  def export(
    self,
    out: str | pathlib.Path,
    *,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    run: int | None = None,
    ensemble: bool = False,
    thresholds: str = "fixed",
    ship_word_vectors: bool = False,
  ) -> model_lib.Model:
    """Writes a folder that predicts with JAX alone, and loads it.

    Args:
      out: The folder.
      platforms: Some of cpu, cuda, tpu.
      run: Which run; None for the one that is best on validation.
      ensemble: Whether to average all folds and seeds of the best setting.
      thresholds: What decides where decisions are binary, as for `results`.
      ship_word_vectors: Whether it holds the vectors of the words of the
        training's texts, for texts that are predicted.

    Raises:
      UserError: The folder is taken, or the workdir is not finished.
    """
    export_lib.export(
      self.workdir,
      pathlib.Path(out),
      platforms=list(platforms),
      run=run,
      ensemble=ensemble,
      thresholds=thresholds,
      ship_word_vectors=ship_word_vectors,
    )
    return load_lib.load(out)

  def figures(self, out: str | pathlib.Path = "") -> list[pathlib.Path]:
    """Draws the figures of the workdir, as PNG, SVG and JSON.

    Args:
      out: The folder; `figures` of the workdir where it is empty.

    Returns:
      The pictures.
    """
    folder = pathlib.Path(out) if out else self.workdir / "figures"
    with progress_lib.shown(self._console):
      return plots.save_all(figures.of_workdir(self.workdir), folder)

  def report(self, out: str | pathlib.Path) -> pathlib.Path:
    """Writes one HTML page of the results into a folder; returns the page."""
    with progress_lib.shown(self._console):
      return page.write([self.workdir], pathlib.Path(out))

  def __repr__(self) -> str:
    runs = self._description["runs"]
    failed = self._description.get("failed") or []
    dataset = self._description["dataset"]
    text = (
      f"Run({str(self.workdir)!r}: {self.config.system} on {dataset['name']}"
      f" ({dataset['fingerprint'][:12]}), {len(runs)} runs"
    )
    return text + (f", failed: {failed})" if failed else ")")
