"""How people are shown each metric: its name, one sentence, which way is up."""

from typing import NamedTuple


class Metric(NamedTuple):
  """A metric as tables and figures show it.

  Attributes:
    name: Its key in results, in configs and in metrics.jsonl.
    label: What a heading or an axis calls it.
    explanation: One sentence for a reader who does not know it.
    higher_is_better: False for an error.
  """

  name: str
  label: str
  explanation: str
  higher_is_better: bool = True


# Every metric of `core.metrics`; docs/protocol.md holds the formulas.
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

_RECALL = Metric(
  "unweighted_accuracy",
  "recall",
  "Share of the emotion's utterances that are recognised as it.",
)


def of_one_emotion(decision: str) -> tuple[Metric, ...]:
  """Lists the metrics that tell emotions apart under a decision.

  Under a softmax the `unweighted_accuracy` of one emotion is its recall; under
  binary decisions it is its `weighted_accuracy`.
  """
  first = METRICS["weighted_accuracy"] if decision == "binary" else _RECALL
  return (first, METRICS["f1"], METRICS["auc"])
