"""Shows the result of an evaluation, and the log of a training, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmer_jax.api import table
from mmer_jax.evaluation import metric_names, tables

_NOTE = (
  ": mean over runs ± half of the 95 % interval of the mean; beside it what"
  " predicting"
)


class Results:
  """Holds the result of an evaluation.

  Attributes:
    content: What `results/NAME.json` of the workdir holds.
  """

  def __init__(self, content: Mapping[str, Any]):
    """Takes the content of a file of results."""
    self.content = dict(content)

  @property
  def title(self) -> str:
    """Says which system, corpus and split were scored."""
    content = self.content
    return (
      f"{content['system']} on {content['dataset']['name']},"
      f" {content['split']} split"
    )

  @property
  def _note(self) -> str:
    """Says what the numbers are."""
    regression = self.content["protocol"]["decision"] == "regression"
    guess = "the mean rating" if regression else "the most frequent class"
    return f"{tables.units(self.content)}{_NOTE} {guess} gives."

  @property
  def failed(self) -> list[int]:
    """Lists the runs that failed; they have no numbers."""
    return list(self.content["failed"])

  @property
  def summary(self) -> table.Table:
    """Shows each metric over runs; `to_pandas` has a row per run."""
    heading, rows = tables.summary(self.content)
    notes = [self._note, *tables.failures(self.content)]
    return table.Table(
      self.title, heading, rows, self._records(), " ".join(notes)
    )

  @property
  def per_emotion(self) -> table.Table:
    """Shows each emotion; `to_pandas` has a row per run and emotion."""
    heading, rows = tables.per_emotion(self.content)
    records = [
      {**_identity(run), "emotion": emotion, **scores}
      for run in self.content["runs"]
      for emotion, scores in run["per_emotion"].items()
    ]
    return table.Table(self.title, heading, rows, records, self._note)

  def _records(self) -> list[dict[str, Any]]:
    """Makes a row per run of its metrics."""
    return [
      {
        **_identity(run),
        "failed": bool(run.get("failure")),
        **{
          name: run["metrics"][name]
          for name in metric_names.measured(self.content)
        },
      }
      for run in self.content["runs"]
    ]

  def __repr__(self) -> str:
    return repr(self.summary)

  def __rich__(self) -> Any:
    return self.summary.__rich__()

  def _repr_html_(self) -> str:
    return self.summary._repr_html_()


def history(title: str, log: Sequence[Mapping[str, Any]]) -> table.Table:
  """Shows the log of a training: the last epoch of each run and stage.

  Args:
    title: What was trained.
    log: The rows of `metrics.jsonl`; all of them are in `to_pandas`.
  """
  last: dict[tuple[int, int], Mapping[str, Any]] = {}
  for row in log:
    last[row["run"], row["stage"]] = row
  heading = ["run", "seed", "fold", "stage", "epoch", "train_loss"]
  heading.append("validation_loss")
  rows = [
    [
      *(str(row[key]) for key in ("run", "seed", "fold", "stage_name")),
      str(row["epoch"]),
      *(_number(row.get(key)) for key in heading[5:]),
    ]
    for row in last.values()
  ]
  return table.Table(
    title,
    heading,
    rows,
    [dict(row) for row in log],
    "The last epoch of each run; to_pandas() has every epoch.",
  )


def _identity(run: Mapping[str, Any]) -> dict[str, Any]:
  """Says which run a row is of."""
  return {
    "run": run["run"],
    "seed": run["seed"],
    "fold": run["fold"],
    **(run.get("setting") or {}),
    **({"unseen": " ".join(run["unseen"])} if run.get("unseen") else {}),
  }


def _number(value: float | None) -> str:
  return "-" if value is None else f"{value:.4f}"
