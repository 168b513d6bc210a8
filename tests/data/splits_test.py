"""Folds: who trains, validates and tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmer_jax.base import errors
from mmer_jax.data import partition, splits
from tests.data import protocols


def corpus(sessions=5, each=7, seed=0, splits_=("",)):
  """Two speakers a session, some rows unlabelled."""
  rng = np.random.default_rng(seed)
  n = sessions * 2 * each
  session = np.repeat(np.arange(1, sessions + 1), 2 * each).astype(str)
  gender = np.tile(np.repeat(["F", "M"], each), sessions)
  return partition.Rows(
    ids=np.array([f"u{i}" for i in range(n)]),
    speakers=np.char.add(session, gender),
    sessions=session,
    splits=np.array(splits_)[rng.integers(len(splits_), size=n)],
    labelled=rng.random(n) < 0.8,
  )


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100), sessions=st.integers(2, 6))
def test_a_session_is_held_out_and_its_speakers_divided(seed, sessions):
  rows = corpus(sessions, seed=seed)
  folds = splits.make_folds(
    protocols.protocol("leave_one_session_out"), rows, seed=0
  )
  assert len(folds) == sessions
  for fold in folds:
    everything = np.concatenate([fold.train, fold.validation, fold.test])
    assert sorted(everything) == np.flatnonzero(rows.labelled).tolist()
    assert set(rows.sessions[fold.validation]) == {fold.name}
    assert set(rows.sessions[fold.test]) == {fold.name}
    assert fold.name not in set(rows.sessions[fold.train])
    assert set(rows.speakers[fold.validation]) == {fold.name + "F"}
    assert set(rows.speakers[fold.test]) == {fold.name + "M"}


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100))
def test_every_speaker_tests_once(seed):
  rows = corpus(seed=seed)
  folds = splits.make_folds(
    protocols.protocol("leave_one_speaker_out"), rows, seed=0
  )
  assert [fold.name for fold in folds] == sorted(set(rows.speakers))
  tested = np.concatenate([fold.test for fold in folds])
  assert sorted(tested) == np.flatnonzero(rows.labelled).tolist()
  for fold in folds:
    assert set(rows.speakers[fold.test]) == {fold.name}
    (validates,) = set(rows.speakers[fold.validation])
    assert validates != fold.name
    assert validates[:-1] == fold.name[:-1]
    assert len(set(rows.sessions[fold.train])) == 4


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_random_is_70_10_20_by_seed(seed):
  rows = corpus()
  (fold,) = splits.make_folds(
    protocols.protocol("random", allow_speaker_overlap=True), rows, seed=seed
  )
  everything = np.concatenate([fold.train, fold.validation, fold.test])
  n = rows.labelled.sum()
  assert sorted(everything) == np.flatnonzero(rows.labelled).tolist()
  assert abs(len(fold.train) - 0.7 * n) <= 1
  assert abs(len(fold.test) - 0.2 * n) <= 1
  again, other = (
    splits.make_folds(
      protocols.protocol("random", allow_speaker_overlap=True), rows, seed=s
    )[0]
    for s in (seed, seed + 1)
  )
  np.testing.assert_array_equal(fold.train, again.train)
  assert fold.train.tolist() != other.train.tolist()


def test_the_corpus_own_split_by_name():
  rows = corpus(splits_=("train", "validation", "test"))
  (fold,) = splits.make_folds(
    protocols.protocol("corpus", allow_speaker_overlap=True), rows, seed=0
  )
  for side in ("train", "validation", "test"):
    part = getattr(fold, side)
    assert set(rows.splits[part]) == {side}
    assert rows.labelled[part].all()
  (swapped,) = splits.make_folds(
    protocols.protocol(
      "corpus",
      allow_speaker_overlap=True,
      train="validation",
      validation="train",
    ),
    rows,
    seed=0,
  )
  np.testing.assert_array_equal(swapped.train, fold.validation)


def test_folds_are_picked_by_number():
  rows = corpus()
  folds = splits.make_folds(
    protocols.protocol("leave_one_session_out", folds=(4, 2)), rows, seed=0
  )
  assert [(fold.number, fold.name) for fold in folds] == [(4, "4"), (2, "2")]


def test_unknown_speakers_are_not_checked():
  rows = corpus()._replace(speakers=np.full(70, ""))
  splits.make_folds(protocols.protocol("random"), rows, seed=0)


OWN = ("train", "validation", "test")


@pytest.mark.parametrize(
  ("made", "rows", "message"),
  [
    (protocols.protocol("loso"), corpus(), "'loso', expected one of corpus"),
    (
      protocols.protocol("leave_one_session_out", folds=(6,)),
      corpus(),
      "fold must be 1..5, got 6",
    ),
    (
      protocols.protocol("leave_one_session_out", folds=(0,)),
      corpus(),
      "fold must be 1..5, got 0",
    ),
    (
      protocols.protocol("leave_one_session_out", folds=(2, 3, 2)),
      corpus(),
      "a fold is there twice",
    ),
    (
      protocols.protocol("corpus"),
      corpus(),
      r"shards have the splits \(none\)",
    ),
    (
      protocols.protocol("corpus", test="dev"),
      corpus(splits_=OWN),
      "protocol.test is 'dev'",
    ),
    (
      protocols.protocol("corpus"),
      corpus(splits_=OWN),
      "speaker '1.' in both train",
    ),
    (protocols.protocol("random"), corpus(), "allow_speaker_overlap=True"),
    (
      protocols.protocol("leave_one_session_out"),
      corpus()._replace(sessions=np.full(70, "")),
      "0 sessions",
    ),
    (
      protocols.protocol("leave_one_session_out"),
      corpus()._replace(speakers=np.full(70, "x")),
      "two speakers in every session, got 1.*split=kfold",
    ),
    (
      protocols.protocol("leave_one_session_out"),
      corpus()._replace(labelled=np.zeros(70, bool)),
      "0 sessions",
    ),
    (
      protocols.protocol("random", allow_speaker_overlap=True),
      corpus()._replace(labelled=np.arange(70) < 2),
      "empty",
    ),
    (
      protocols.protocol("corpus", allow_speaker_overlap=True),
      corpus(splits_=OWN)._replace(ids=np.full(70, "same")),
      "id 'same' in both",
    ),
    (
      protocols.protocol(
        "corpus", allow_speaker_overlap=True, validation="train"
      ),
      corpus(splits_=OWN),
      "id 'u[0-9]+' in both train and validation",
    ),
  ],
)
def test_a_split_that_cannot_be_is_refused_in_one_line(made, rows, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    splits.make_folds(made, rows, seed=0)
  assert "\n" not in str(caught.value)
