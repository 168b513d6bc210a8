"""One table of what metrics are called."""

from mmer_jax.core import metrics, regression_metrics
from mmer_jax.evaluation import metric_names


def test_every_metric_has_a_name_and_a_sentence():
  known = {*metrics.NAMES, *regression_metrics.NAMES}
  assert set(metric_names.METRICS) == known
  assert set(metric_names.SHOWN) <= known
  labels = [metric.label for metric in metric_names.METRICS.values()]
  assert len(set(labels)) == len(labels)
  for metric in metric_names.METRICS.values():
    assert metric.explanation.endswith(".") and len(metric.explanation) > 30


def test_one_emotion_is_judged_by_what_its_decision_makes_of_it():
  softmax = metric_names.of_one_emotion("softmax")
  assert [metric.label for metric in softmax] == ["recall", "F1", "AUC"]
  assert metric_names.of_one_emotion("binary")[0].name == "weighted_accuracy"
