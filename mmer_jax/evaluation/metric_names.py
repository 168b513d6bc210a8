"""How people are shown each metric: its name, one sentence, which way is up."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmer_jax.core import metrics, regression_metrics
from mmer_jax.evaluation import statistics


class Metric(NamedTuple):
  """A metric as tables and figures show it.

  Attributes:
    name: Its key in results, in configs and in metrics.jsonl.
    label: What a heading or an axis calls it.
    explanation: One sentence for a reader who does not know it.
    higher_is_better: False for an error.
    share: Whether it is a share, shown in percent; if not, a number.
  """

  name: str
  label: str
  explanation: str
  higher_is_better: bool = True
  share: bool = True


# Every metric of `core.metrics` and of `core.regression_metrics`;
# docs/protocol.md holds the formulas.
METRICS = {
  metric.name: metric
  for metric in (
    Metric(
      "accuracy",
      "accuracy",
      "Share of the decisions that are right.",
    ),
    Metric(
      "unweighted_accuracy",
      "UA",
      "Unweighted accuracy: the mean over classes of the share of each that is"
      " recognised (recall), so that rare classes count as much as frequent"
      " ones.",
    ),
    Metric(
      "weighted_accuracy",
      "W-Acc",
      "Weighted accuracy of Tong et al. 2017: the mean of the recall of an"
      " emotion's presence and of its absence, and of that the mean over"
      " emotions; 50 % is chance.",
    ),
    Metric(
      "f1",
      "F1",
      "Harmonic mean of precision and recall of each emotion, mean over"
      " emotions.",
    ),
    Metric(
      "weighted_f1",
      "weighted F1",
      "F1 of the classes, each weighted by its number of utterances.",
    ),
    Metric(
      "auc",
      "AUC",
      "Area under the ROC curve: how often an utterance with the emotion gets a"
      " higher score than one without it; 50 % is chance.",
    ),
    Metric(
      "weighted_average_precision",
      "WAP",
      "Weighted average precision: the precision of the classes, each weighted"
      " by its number of utterances.",
    ),
    Metric(
      "mean_accuracy",
      "mean accuracy",
      "Each emotion against the rest: share of right decisions, mean over"
      " emotions.",
    ),
    Metric(
      "mae",
      "MAE",
      "Mean absolute error, in the rating's own units; smaller is better.",
      higher_is_better=False,
      share=False,
    ),
    Metric(
      "pearson",
      "Pearson",
      "Correlation of what is predicted with the ratings, -1 to 1; it does not"
      " see an offset or another scale.",
      share=False,
    ),
    Metric(
      "ccc",
      "CCC",
      "Concordance correlation coefficient, -1 to 1: a correlation that an"
      " offset or another scale lowers.",
      share=False,
    ),
    Metric(
      "acc2_has0",
      "Acc-2",
      "Share of ratings whose sign is right, negative or not (MMSA's"
      " Has0_acc_2).",
    ),
    Metric(
      "f1_has0",
      "F1 of sign",
      "F1 of negative and not negative, each weighted by its number (MMSA's"
      " Has0_F1_score).",
    ),
    Metric(
      "acc2_non0",
      "Acc-2 without 0",
      "Share of ratings whose sign is right, those that are 0 left out (MMSA's"
      " Non0_acc_2).",
    ),
    Metric(
      "f1_non0",
      "F1 without 0",
      "F1 of negative and positive, each weighted by its number, ratings of 0"
      " left out (MMSA's Non0_F1_score).",
    ),
    Metric(
      "acc5",
      "Acc-5",
      "Share that rounds to the right whole number from -2 to 2 (MMSA's"
      " Mult_acc_5).",
    ),
    Metric(
      "acc7",
      "Acc-7",
      "Share that rounds to the right whole number from -3 to 3 (MMSA's"
      " Mult_acc_7).",
    ),
  )
}

# The columns of tables with one row an emotion, a setting or a run. Of one
# emotion, the mean accuracy is its accuracy.
SHOWN = (
  "accuracy",
  "unweighted_accuracy",
  "weighted_accuracy",
  "f1",
  "weighted_f1",
  "auc",
  "weighted_average_precision",
)


def measured(result: Mapping[str, Any]) -> tuple[str, ...]:
  """Lists all metrics of a result, in the order of the files.

  Args:
    result: The content of a results file.
  """
  every = (*metrics.NAMES, *regression_metrics.NAMES)
  return tuple(name for name in every if name in result["summary"])


def summarise(name: str, values: Sequence[float | None]) -> dict[str, Any]:
  """Summarises a metric over runs, see `statistics.summarise`."""
  if METRICS[name].share:
    return statistics.summarise_shares(values)
  return statistics.summarise(values)


def shown(result: Mapping[str, Any]) -> tuple[str, ...]:
  """Lists the metrics that the tables of a result show.

  Args:
    result: The content of a results file.
  """
  regression = result["protocol"]["decision"] == "regression"
  return measured(result) if regression else SHOWN


_RECALL = Metric(
  "unweighted_accuracy",
  "recall",
  "Share of the emotion's utterances that are recognised as it.",
)


def of_one_emotion(decision: str) -> tuple[Metric, ...]:
  """Lists the metrics that tell emotions apart under a decision.

  Under a softmax the `unweighted_accuracy` of one emotion is its recall; under
  binary decisions it is its `weighted_accuracy`. Of ratings they are the three
  that every scale has.
  """
  if decision == "regression":
    return tuple(METRICS[name] for name in ("mae", "pearson", "ccc"))
  first = METRICS["weighted_accuracy"] if decision == "binary" else _RECALL
  return (first, METRICS["f1"], METRICS["auc"])
