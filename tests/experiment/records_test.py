"""Which runs a config has, and which unlabelled rows they pick."""

import numpy as np
import pytest

from configs import quickstart
from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import partition
from mmer_jax.experiment import records


def corpus(count=12):
  """Utterances of three splits and two emotions."""
  names = np.asarray([f"u{row}" for row in range(count)])
  sides = np.asarray(["train", "validation", "test"])
  nothing = np.full(count, "")
  return corpus_lib.Corpus(
    manifest={},
    emotions=("sad", "glad"),
    vectors=np.zeros((2, 0), np.float32),
    columns={
      "id": names,
      "speaker": nothing,
      "session": nothing,
      "split": sides[np.arange(count) % 3],
    },
    labels=np.eye(2, dtype=np.float32)[np.arange(count) % 2],
    labelled=np.ones(count, bool),
    present={},
    shapes={},
    table=None,
    dataset={},
  )


def made(**changes):
  config = quickstart.get_config("full")
  with config.unlocked():
    config.protocol.split = "corpus"
    config.protocol.folds = ()
    config.update_from_flattened_dict(changes)
  return config


def test_settings_come_before_seeds_and_the_last_key_is_fastest():
  config = made(
    **{
      "seeds": (3, 4),
      "sweep.learning_rate": (0.1, 0.2),
      "sweep.modalities": (("lexical",), ("acoustic", "lexical")),
    }
  )
  runs = records.make_records(config, corpus())
  assert [run.run for run in runs] == list(range(8))
  assert [run.seed for run in runs] == [3, 4] * 4
  assert [run.setting for run in runs[::2]] == [
    {"learning_rate": 0.1, "modalities": "lexical"},
    {"learning_rate": 0.1, "modalities": "acoustic+lexical"},
    {"learning_rate": 0.2, "modalities": "lexical"},
    {"learning_rate": 0.2, "modalities": "acoustic+lexical"},
  ]
  assert runs[0].fold.train.tolist() == [0, 3, 6, 9]


def test_a_sweep_of_one_value_twice_is_refused():
  config = made(**{"sweep.weight_decay": (0.1, 0.1)})
  with pytest.raises(errors.UserError, match="weight_decay is .*different"):
    records.make_records(config, corpus())


def test_rows_without_a_finite_prediction_are_not_picked(caplog):
  """NaN would be taken for the likeliest class."""
  rows = np.arange(20, 26)
  fold = partition.Fold(1, "one", rows[:0], rows[:0], rows[:0])
  record = records.RunRecord(0, 0, fold, {}, (), (), (), rows)
  config = made(**{"unlabelled.per_class": 2})
  logits = np.asarray([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 1]])
  picked = records.pick(config, record, logits).pool
  assert len(picked) == 4 and set(picked[picked < 22]) == {20, 21}
  logits[[0, 2, 3]] = np.nan
  picked = records.pick(config, record, logits).pool
  assert sorted(picked) == [21, 21, 24, 25]
  assert "3 of 6 unlabelled utterances are left out" in caplog.text
  logits[:] = np.inf
  assert not len(records.pick(config, record, logits).pool)
