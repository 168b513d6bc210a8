"""Unlabelled utterances on the whole road: picked, trained on, resumed."""

import json
import pathlib

import jax
import numpy as np
import pytest
import rich.console

from configs.dae_mmd import semi
from mmer_jax.base import errors, workdir
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import schema, tables, unlabelled
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.experiment import build, provenance, records
from mmer_jax.training import loop
from mmer_jax.training import session as session_lib
from tests import synthetic_shards

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return synthetic_shards.synthetic(tmp_path_factory)


@pytest.fixture(scope="module")
def meetings(tmp_path_factory):
  """Another corpus of the same features; its labels are not to be seen."""
  return synthetic_shards.synthetic(tmp_path_factory, count=50)


def make(shards, **changes):
  """Rows of the fourth emotion are the unlabelled ones."""
  config = semi.get_config("smoke")
  with config.unlocked():
    config.data.dir = str(shards)
    config.data.emotions = ("neutral", "happy", "sad")
    config.data.modalities = ("acoustic", "lexical")
    config.data.normalise = ("acoustic", "lexical")
    config.seeds = (0, 1)
    config.protocol.folds = (1, 2)
    config.training.batch_size = 32
    config.training.epochs = 2
    config.training.steps_per_dispatch = 3
    config.training.early_stopping = 0
    config.unlabelled.per_class = 20
    # Linear layers for both: they compile in no time.
    config.model.dense.lexical = (12, 8)
    config.update_from_flattened_dict(changes)
  return config


def roles_of(experiment, rows):
  """Labelled, unlabelled and filling places, by column."""
  batch = tables.take(experiment.corpus.table.batch, rows)
  return batch.labelled, batch.example_mask & ~batch.labelled


def test_a_batch_is_as_many_labelled_and_unlabelled_rows(shards):
  experiment = build.build_experiment(make(shards))
  assert [stage.name for stage in experiment.system.stages] == [
    "vanilla",
    "semi_supervised",
  ]
  for record in experiment.records:
    held_out = np.concatenate([record.fold.validation, record.fold.test])
    sessions = experiment.corpus.columns["session"]
    assert len(record.pool) > 20
    assert not set(sessions[record.pool]) & set(sessions[held_out])
    first, second = (experiment.epoch(record, number, 0) for number in (0, 1))
    assert first.shape[1] == 32 and second.shape == (len(first), 64)
    labelled, other = roles_of(experiment, second)
    assert labelled[:, :32].sum() == len(record.fold.train)
    assert other[:, 32:].all() and not labelled[:, 32:].any()
    assert set(second[:, 32:].ravel()) <= set(record.pool)


def test_the_next_batch_stands_behind_the_batch(shards):
  experiment = build.build_experiment(
    make(shards, **{"model.matching.unpaired": "cross_batch"})
  )
  rows = experiment.epoch(experiment.records[0], 1, 0)
  assert rows.shape[1] == 128
  np.testing.assert_array_equal(rows[:, 64:], np.roll(rows[:, :64], -1, axis=0))


def test_the_first_classifier_picks_as_many_of_each_class(shards):
  experiment = build.build_experiment(make(shards))
  n = experiment.pool().shape[1] * 32
  logits = np.random.default_rng(0).normal(size=(4, n, 3))
  picked = experiment.picked(logits)
  for before, after in zip(experiment.records, picked.records, strict=True):
    where = {row: i for i, row in enumerate(before.pool.tolist())}
    classes = [
      logits[before.run, where[row]].argmax() for row in after.pool.tolist()
    ]
    assert np.bincount(classes).tolist() == [20, 20, 20]


def test_more_unlabelled_rows_hold_fewer(shards):
  experiment = build.build_experiment(
    make(
      shards,
      **{
        "unlabelled.per_class": 0,
        "sweep.unlabelled": (0, 10, 25),
        "seeds": (3,),
        "protocol.folds": (1,),
      },
    )
  )
  pools = [record.pool.tolist() for record in experiment.records]
  assert [len(pool) for pool in pools] == [0, 10, 25]
  assert pools[2][:10] == pools[1]
  assert [record.setting for record in experiment.records] == [
    {"unlabelled": 0.0},
    {"unlabelled": 10.0},
    {"unlabelled": 25.0},
  ]
  assert [stage.name for stage in experiment.system.stages] == [
    "semi_supervised"
  ]


def with_meetings(shards, meetings, **changes):
  return make(shards, **{"unlabelled.dir": str(meetings), **changes})


def test_another_folder_stands_behind_the_labelled_one(shards, meetings):
  alone = build.build_experiment(make(shards))
  experiment = build.build_experiment(with_meetings(shards, meetings))
  count, corpus = len(alone.corpus.labels), experiment.corpus
  assert len(corpus.labels) == count + 50
  assert not corpus.labelled[count:].any() and not corpus.labels[count:].any()
  speakers = set(corpus.columns["speaker"][count:])
  assert all(name.startswith("synthetic_tiny: ") for name in speakers)
  for record, before in zip(experiment.records, alone.records, strict=True):
    behind = np.arange(count, count + 50)
    np.testing.assert_array_equal(record.fold.train, before.fold.train)
    np.testing.assert_array_equal(
      record.pool, np.concatenate([before.pool, behind])
    )
  described = provenance.describe(experiment, {})["dataset"]
  prints = {described["fingerprint"], described["unlabelled"]["fingerprint"]}
  assert len(prints) == 2


@pytest.mark.parametrize("resident", [True, False])
def test_joined_rows_are_those_of_either_folder(shards, meetings, resident):
  def load(folder, length):
    return corpus_lib.load_corpus(
      str(folder),
      modalities=("acoustic", "lexical"),
      emotions=(),
      max_length={"acoustic": length, "lexical": 0},
      resident=resident,
      decision="binary",
      without_emotion="negative",
    )

  first, second = load(shards, 3), load(meetings, 5)
  joined = unlabelled.join(first, second, resident=resident)
  n, m = len(first.labels), len(second.labels)
  # In roles 0 and 2, of either corpus, and a filler.
  rows = np.asarray([[4, n + 7], [schema.PAD_ROW, 2 * (n + m) + 9]], np.int32)
  batch = joined.table.take(rows)
  ours = first.table.take(np.asarray([4, 9], np.int32))
  theirs = second.table.take(np.asarray([7], np.int32))
  got = batch.streams["acoustic"]
  assert got.features.shape[:3] == (2, 2, 5)
  assert joined.shapes["acoustic"] == (5, got.features.shape[-1])
  for place, row in (((0, 0), 0), ((1, 1), 1)):
    expected = ours.streams["acoustic"].features[row]
    np.testing.assert_array_equal(got.features[place][:3], expected)
    assert not got.mask[place][3:].any()
    np.testing.assert_array_equal(batch.labels[place], ours.labels[row])
  np.testing.assert_array_equal(
    got.features[0, 1], theirs.streams["acoustic"].features[0]
  )
  assert batch.example_mask.tolist() == [[True, True], [False, True]]
  assert batch.labelled.tolist() == [[True, False], [False, True]]
  assert batch.present["acoustic"].tolist() == [[True, True], [False, True]]
  assert not batch.labels[0, 1].any() and not got.mask[1, 0].any()
  assert batch.role.tolist() == [[0, 0], [0, 2]]


@pytest.mark.parametrize(
  "change, match",
  [
    ({"columns": {"acoustic": ["pitch"]}}, "acoustic column 1 is 'pitch'"),
    ({"padding": {"lexical": "zero_rows"}}, "padding zero_rows, expected"),
    ({"normalisation": "speaker"}, "normalisation speaker, expected none"),
  ],
)
def test_other_features_are_refused(shards, meetings, change, match):
  experiment = build.build_experiment(with_meetings(shards, meetings))
  corpus = experiment.corpus
  other = corpus._replace(identity={**corpus.identity, **change})
  with pytest.raises(errors.UserError, match=match):
    unlabelled.join(corpus, other, resident=True)


def test_training_goes_on_with_the_same_unlabelled_shards_only(
  shards, meetings, tmp_path
):
  experiment = build.build_experiment(with_meetings(shards, meetings))
  workdir.write_json(tmp_path / "run.json", provenance.describe(experiment, {}))
  provenance.check_data(experiment, tmp_path)
  alone = build.build_experiment(make(shards))
  with pytest.raises(
    errors.UserError, match="the unlabelled shards for .* fingerprint none"
  ):
    provenance.check_data(alone, tmp_path)


class Interrupted(Exception):
  """In the place of a signal."""


def lines(folder, name="metrics.jsonl"):
  text = (folder / name).read_text()
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.long
def test_both_stages_train_and_what_resumes_picks_the_same(
  shards, tmp_path, monkeypatch
):
  config = make(shards)
  whole, broken = tmp_path / "whole", tmp_path / "broken"
  train_and_evaluate.train_and_evaluate(config, whole, console=QUIET)
  rows = lines(whole)
  assert {row["stage_name"] for row in rows} == {"vanilla", "semi_supervised"}
  last = rows[-1]
  assert last["train_paired_acoustic_lexical"] != 0
  assert last["train_unlabelled_reconstruction_acoustic"] > 0
  assert last["train_unlabelled_latent_variance_lexical"] > 0
  assert not any("paired" in key for key in rows[0])
  described = workdir.read_json(whole / "run.json")["runs"][0]["rows"]
  assert described["unlabelled"] > 20

  # After the first epoch of the second stage's two.
  saves = loop.save

  def save_and_stop(training, state, position):
    saves(training, state, position)
    if (position.stage, position.epoch) == (1, 1):
      raise Interrupted

  with monkeypatch.context() as patch:
    patch.setattr(loop, "save", save_and_stop)
    with pytest.raises(Interrupted):
      train_and_evaluate.train_and_evaluate(config, broken, console=QUIET)
  train_and_evaluate.train_and_evaluate(config, broken, console=QUIET)
  assert lines(broken) == rows
  outcome = evaluate.evaluate_workdir(whole, evaluate.Request("test"))
  assert (
    outcome["runs"]
    == evaluate.evaluate_workdir(broken, evaluate.Request("test"))["runs"]
  )
  assert [stage["stage"] for stage in outcome["runs"][0]["stages"]] == [
    "vanilla",
    "semi_supervised",
  ]
  assert "transfer" not in outcome["runs"][0]


def test_the_second_stage_begins_with_new_parameters(shards):
  experiment = build.build_experiment(make(shards))
  session = session_lib.open_session(experiment)
  runs = session.place_runs(experiment.runs)
  batch = build.sample_batch(experiment.config, experiment.corpus)
  state = session.program(0).init(runs, batch)
  trained = jax.tree.map(lambda leaf: leaf + 1.0, state.best_params)
  state = session.program(1).restart(
    state.replace(best_params=trained), runs, batch
  )
  jax.tree.map(np.testing.assert_array_equal, state.finished[0], trained)
  weights = state.train.params["hidden"]["kernel"]
  assert np.abs(np.asarray(weights)).max() < 1.0
  assert (np.asarray(weights[0]) != np.asarray(weights[1])).any()


def test_without_unlabelled_rows_it_says_so(shards):
  experiment = build.build_experiment(make(shards))
  labelled = np.ones_like(experiment.corpus.labelled)
  with pytest.raises(errors.UserError, match="has no unlabelled utterance"):
    records.make_records(
      experiment.config, experiment.corpus._replace(labelled=labelled)
    )
