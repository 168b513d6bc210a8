"""Results of runs that were never trained."""

import numpy as np

from mmer_jax.core import metrics
from mmer_jax.data import partition
from mmer_jax.evaluation import results, scores
from mmer_jax.experiment import records

FAILURE = results.Failure(3, "its loss is not finite at step 3")
EMOTIONS = ("sad", "happy", "angry")


def record(run=0, *, seed=0, setting=None, unseen=()):
  """A run of an empty fold."""
  nothing = np.zeros(0, np.int64)
  fold = partition.Fold(1, "1", nothing, nothing, nothing)
  setting = setting or {}
  return records.RunRecord(run, seed, fold, setting, unseen, (), (), nothing)


def run_scores(probs, labels, emotions=EMOTIONS):
  """Scores of a run that was taught all its emotions."""
  taught = np.ones(len(emotions), bool)
  return scores.RunScores(emotions, probs, labels, 0.5, taught)


def evaluated():
  """What a result says of its evaluation."""
  return {
    "system": "mtee",
    "config_sha256": "0" * 64,
    "dataset": {"name": "toy", "fingerprint": "f" * 64},
    "split": "test",
    "protocol": {
      "split": "corpus",
      "decision": "softmax",
      "modalities": ["lexical"],
    },
    "select": "accuracy",
  }


def result(failed=None, sweep=False, emotions=EMOTIONS):
  """A result of four runs, of two settings if swept; `failed` may be "all"."""
  rng = np.random.default_rng(0)
  runs, baselines = [], []
  for run in range(4):
    labels = np.eye(len(emotions))[rng.integers(len(emotions), size=20)]
    labels[:, 2] = 0 if run == 3 else labels[:, 2]
    probs = rng.dirichlet(np.ones(len(emotions)), size=20)
    setting = {"learning_rate": 0.1 * (run // 2)} if sweep else {}
    runs.append(
      results.run_result(
        record(run, seed=run % 2, setting=setting),
        run_scores(probs, labels, emotions),
        decision="softmax",
        select="accuracy",
        failure=FAILURE if failed in (run, "all") else None,
      )
    )
    baselines.append(metrics.majority_baseline(labels, labels, "softmax"))
  return results.build_results(evaluated(), runs, baselines)
