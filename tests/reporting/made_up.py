"""Results and workdirs that were never trained."""

from mmer_jax.base import workdir
from tests.evaluation import made_up


def result(split="test", **changes):
  """A result of four runs, with all that a results file holds."""
  content = made_up.result(**changes)
  content["split"] = split
  emotions = list(changes.get("emotions", made_up.EMOTIONS))
  content["protocol"] |= {"emotions": emotions, "threshold": 0.5}
  return workdir.finite(content)


def description(content):
  """The run.json of a result."""
  return {
    "system": content["system"],
    "dataset": content["dataset"],
    "config_sha256": content["config_sha256"],
    "stages": ["supervised"],
    "command": "/x/mmer_jax/train.py --workdir=w",
    "environment": content["environment"],
  }


def metrics_line(**changes):
  """A line of metrics.jsonl."""
  return {
    "stage_name": "supervised",
    "epoch": 1,
    "run": 0,
    "train_loss": 1.0,
    "validation_loss": 1.0,
    **changes,
  }
