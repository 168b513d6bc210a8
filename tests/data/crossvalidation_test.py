"""Folds for corpora without a protocol of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection

from mmer_jax.base import errors
from mmer_jax.data import balance, partition, splits
from tests.data import protocols

SIDES = ("train", "validation", "test")


def table(speakers, labels=None, **changes):
  """Rows whose ids are u0, u1, ...; labels are class numbers, -1 for none."""
  n = len(speakers)
  nothing = np.full(n, "")
  labels = np.zeros(n, int) if labels is None else np.asarray(labels)
  one_hot = np.eye(max(labels.max() + 1, 1))[np.maximum(labels, 0)]
  return partition.Rows(
    ids=np.array([f"u{i}" for i in range(n)]),
    speakers=np.asarray(speakers, dtype=str),
    sessions=nothing,
    splits=nothing,
    labelled=labels >= 0,
    labels=one_hot * (labels >= 0)[:, None],
  )._replace(**changes)


def drawn(seed, speakers=9, each=12, classes=3):
  """Speakers of unlike length and taste, some rows unlabelled, no order."""
  rng = np.random.default_rng(seed)
  of = np.repeat(np.arange(speakers), rng.integers(2, each, size=speakers))
  taste = rng.dirichlet(np.full(classes, 0.7), size=speakers)
  labels = np.array([rng.choice(classes, p=taste[each]) for each in of])
  labels[rng.random(len(of)) < 0.1] = -1
  order = rng.permutation(len(of))
  return table(np.char.add("s", of[order].astype(str)), labels[order])


def check_rotation(folds, rows):
  """Every labelled row tests once and validates once, and is on one side."""
  everything = np.flatnonzero(rows.labelled).tolist()
  for side in ("test", "validation"):
    joined = np.concatenate([getattr(fold, side) for fold in folds])
    assert sorted(joined) == everything
  for number, fold in enumerate(folds):
    parts = [getattr(fold, side) for side in SIDES]
    assert sorted(np.concatenate(parts)) == everything
    following = folds[(number + 1) % len(folds)]
    np.testing.assert_array_equal(fold.validation, following.test)
    assert fold.number == number + 1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), k=st.integers(3, 6))
def test_groups_of_speakers_are_disjoint_and_alike(seed, k):
  rows = drawn(seed)
  if len(set(rows.speakers[rows.labelled])) < k:
    return
  folds = splits.make_folds(
    protocols.protocol("group_kfold", k=k), rows, seed=seed
  )
  assert [fold.name for fold in folds] == [str(i) for i in range(1, k + 1)]
  check_rotation(folds, rows)
  for fold in folds:
    sides = [set(rows.speakers[getattr(fold, side)]) for side in SIDES]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
  again = splits.make_folds(
    protocols.protocol("group_kfold", k=k), rows, seed=seed
  )
  for fold, same in zip(folds, again, strict=True):
    np.testing.assert_array_equal(fold.test, same.test)


def unlikeness(rows, tests):
  """Sum over groups of the squared shares of rows and of each class."""
  kinds = np.column_stack([np.ones(len(rows.ids)), rows.labels])
  kinds = kinds[:, kinds[rows.labelled].sum(axis=0) > 0]
  shares = np.array([kinds[test].sum(axis=0) for test in tests])
  return np.square(shares / kinds[rows.labelled].sum(axis=0)).sum()


def test_groups_are_no_less_alike_than_those_of_scikit_learn():
  """Of both, how unlike sizes and label shares are, over 30 corpora."""
  ours, theirs = [], []
  for seed in range(30):
    rows = drawn(seed, speakers=16)
    folds = splits.make_folds(
      protocols.protocol("group_kfold", k=4), rows, seed=seed
    )
    ours.append(unlikeness(rows, [fold.test for fold in folds]))
    labelled = np.flatnonzero(rows.labelled)
    oracle = model_selection.StratifiedGroupKFold(
      4, shuffle=True, random_state=seed
    ).split(
      labelled, rows.labels[labelled].argmax(axis=1), rows.speakers[labelled]
    )
    theirs.append(unlikeness(rows, [labelled[test] for _, test in oracle]))
  # Below 1 / 4 of each column it cannot be.
  assert np.mean(ours) < np.mean(theirs)
  assert np.mean(np.array(ours) <= np.array(theirs) + 1e-9) > 0.9


def test_groups_that_can_be_equal_are():
  # Six speakers of two classes: a + f, b + e, c + d have 7 rows, 3 and 4.
  counts = np.array(
    [[1, 0, 1], [2, 1, 1], [3, 1, 2], [4, 2, 2], [5, 2, 3], [6, 3, 3]]
  )
  for seed in range(20):
    rng = np.random.default_rng(seed)
    group = balance.balanced_groups(counts, 3, rng)
    joined = np.array([counts[group == g].sum(axis=0) for g in range(3)])
    np.testing.assert_array_equal(joined, [[7, 3, 4]] * 3)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), k=st.integers(3, 7))
def test_kfold_has_every_class_alike(seed, k):
  rng = np.random.default_rng(seed)
  rows = table([""] * 60, rng.integers(-1, 4, size=60))
  folds = splits.make_folds(protocols.protocol("kfold", k=k), rows, seed=seed)
  check_rotation(folds, rows)
  sizes = [len(fold.test) for fold in folds]
  assert max(sizes) - min(sizes) <= 1
  counts = np.array([rows.labels[fold.test].sum(axis=0) for fold in folds])
  assert (np.ptp(counts, axis=0) <= 1).all()
  tests = [fold.test.tolist() for fold in folds]
  other = splits.make_folds(
    protocols.protocol("kfold", k=k), rows, seed=seed + 1
  )
  assert tests != [fold.test.tolist() for fold in other]


def same(rows, pairs, what="text of 5 words or more"):
  """Rows of which pairs say the same."""
  digests = [{what: bytes([i]), "text": b"x"} for i in range(len(rows.ids))]
  for one, other in pairs:
    digests[other][what] = digests[one][what]
  return rows._replace(digests=digests)


@pytest.mark.parametrize("what", ["acoustic", "text of 5 words or more"])
def test_kfold_keeps_what_is_the_same_together(what):
  pairs = [(0, 7), (7, 19), (3, 4)]
  rows = same(table([""] * 20), pairs, what)
  for seed in range(10):
    for fold in splits.make_folds(protocols.protocol("kfold"), rows, seed=seed):
      test = set(fold.test.tolist())
      for one, other in pairs:
        assert (one in test) == (other in test)
  parted = [
    splits.make_folds(
      protocols.protocol("kfold", allow_identical=True), rows, seed=seed
    )
    for seed in range(10)
  ]
  assert any(
    (0 in fold.test) != (7 in fold.test) for folds in parted for fold in folds
  )


def test_short_texts_are_the_same_by_chance():
  rows = table([""] * 20)._replace(digests=[{"text": b"yeah"}] * 20)
  assert len(splits.make_folds(protocols.protocol("kfold"), rows, seed=0)) == 5


def test_a_speaker_without_a_session_tests_once_and_the_next_validates():
  rows = table(["c", "a", "b", "a", "c", "d"], [0, 1, 0, 0, 1, 1])
  folds = splits.make_folds(
    protocols.protocol("leave_one_speaker_out"), rows, seed=0
  )
  assert [fold.name for fold in folds] == ["a", "b", "c", "d"]
  # Rows of a: 1 and 3; of b: 2; of c: 0 and 4; of d: 5.
  assert [fold.test.tolist() for fold in folds] == [[1, 3], [2], [0, 4], [5]]
  assert [fold.validation.tolist() for fold in folds] == [
    *([2], [0, 4], [5], [1, 3])
  ]
  check_rotation(folds, rows)


def test_a_part_of_the_training_split_validates_where_there_is_no_other():
  rows = drawn(3)
  own = np.where(np.char.endswith(rows.speakers, "1"), "test", "train")
  rows = rows._replace(splits=own)
  (fold,) = splits.make_folds(
    protocols.protocol("corpus", validation=""), rows, seed=0
  )
  assert set(rows.splits[fold.test]) == {"test"}
  assert set(rows.splits[fold.train]) == set(rows.splits[fold.validation])
  assert not set(rows.speakers[fold.train]) & set(
    rows.speakers[fold.validation]
  )
  assert len(fold.validation) < len(fold.train)
  # Without speakers it is utterances, and those that are the same together.
  rows = same(rows._replace(speakers=np.full(len(own), "")), [(0, 1), (1, 2)])
  (fold,) = splits.make_folds(
    protocols.protocol("corpus", validation=""), rows, seed=0
  )
  assert len(fold.validation) >= len(fold.train) / 6


def write(folder, text, name="split.csv"):
  path = folder / name
  path.write_text(text)
  return protocols.protocol("file", split_file=str(path))


def test_a_split_file_is_read_by_id(tmp_path):
  rows = table(["a", "b", "c", "d", "e"], [0, 1, -1, 0, 1])
  made = write(
    tmp_path, "note,id,split\n,u4,dev\n,u1,train\n,u0,test\n,u3,\n"
  )._replace(validation="dev")
  (fold,) = splits.make_folds(made, rows, seed=0)
  sides = [getattr(fold, side).tolist() for side in SIDES]
  # u2 has no label and need not be there; u3 is left out.
  assert sides == [[1], [4], [0]]


def test_folds_of_a_file_are_in_the_order_of_their_numbers(tmp_path):
  rows = table(["a", "b", "c", "d"])
  made = write(tmp_path, "id,fold\nu0,10\nu1,9\nu2,2\nu3,2\n")
  folds = splits.make_folds(made, rows, seed=0)
  assert [fold.name for fold in folds] == ["2", "9", "10"]
  assert [fold.test.tolist() for fold in folds] == [[2, 3], [1], [0]]
  check_rotation(folds, rows)
  (second,) = splits.make_folds(made._replace(folds=(2,)), rows, seed=0)
  assert second.name == "9"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("id,split\nu0,train\nu0,test\n", "line 3: id 'u0' is there twice"),
    ("id,split\nu0,train\nu9,test\n", "ids not in the shards: 1, such as 'u9'"),
    ("id,split\nu0,train\nu1,test\n", "file: 2, such as 'u2'"),
    ("id,side\nu0,train\n", "has the columns id, side, expected id and one"),
    ("id,split,fold\nu0,train,1\n", "expected id and one of split"),
    ("name,fold\nu0,1\n", "has the columns name, fold"),
    (
      "id,split\nu0,train\nu1,test\nu2,val\nu3,test\n",
      "splits test, train, val, expected train, validation, test",
    ),
    ("id,fold\nu0,1\nu1,2\nu2,1\nu3,2\n", "has 2 folds, expected three"),
    ("id,fold\nu0,1\nu1,2\nu2,3\nu3,1,x\n", "line 5: 3 fields"),
    ("", "empty"),
  ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path, text, message):
  rows = table(["a", "b", "c", "d"])
  with pytest.raises(errors.UserError, match=message) as caught:
    splits.make_folds(write(tmp_path, text), rows, seed=0)
  assert "\n" not in str(caught.value)


def test_a_split_file_that_has_changed_is_refused(tmp_path):
  rows = table(["a", "b", "c"])
  made = write(tmp_path, "id,fold\nu0,1\nu1,2\nu2,3\n")
  with pytest.raises(errors.UserError, match="was changed since the training"):
    splits.make_folds(made._replace(split_digest="0" * 64), rows, seed=0)
  with pytest.raises(errors.UserError, match="cannot be read"):
    splits.make_folds(made._replace(split_file="none.csv"), rows, seed=0)


SPEAKERS = ["a", "a", "b", "b", "c", "c", "d", "d"]


@pytest.mark.parametrize(
  ("made", "rows", "message"),
  [
    (
      protocols.protocol("group_kfold"),
      table(SPEAKERS),
      "k is 5, but the shards have 4 speakers; set it to 4 or less",
    ),
    (
      protocols.protocol("group_kfold", k=3),
      table([*SPEAKERS, ""]),
      "got 4 speakers and 1 of 9 utterances without one;.*split=kfold",
    ),
    (
      protocols.protocol("leave_one_speaker_out"),
      table(["a", "b", "a", "b"]),
      "three at least; got 2 speakers",
    ),
    (
      protocols.protocol("kfold", k=3),
      table(SPEAKERS),
      "speaker '.' in both.*allow_speaker_overlap=True.*group_kfold",
    ),
    (
      protocols.protocol("kfold"),
      table([""] * 4),
      "k is 5, but the shards have 4 labelled utterances that differ, of 4",
    ),
    (
      protocols.protocol("kfold"),
      same(table([""] * 5), [(0, 1)]),
      "4 labelled utterances that differ, of 5;.*allow_identical=True",
    ),
    (
      protocols.protocol("group_kfold", k=4),
      same(table(SPEAKERS), [(0, 4)]),
      "same text of 5 words or more in 'u0'.*and 'u4'.*allow_identical",
    ),
    (
      protocols.protocol("leave_one_speaker_out"),
      same(table(SPEAKERS), [(0, 4)], "acoustic"),
      "same acoustic in 'u0'.*and 'u4'",
    ),
    (protocols.protocol("file"), table(SPEAKERS), "split_file is empty"),
    (
      protocols.protocol("leave_one_session_out"),
      table(SPEAKERS),
      "0 sessions.*split=group_kfold",
    ),
    (protocols.protocol("corpus"), table(SPEAKERS), "none.*split=group_kfold"),
    (protocols.protocol("corpus"), table(SPEAKERS[:4]), "none.*split=kfold"),
    (
      protocols.protocol("corpus", validation=""),
      table(["a", "b", "b"])._replace(
        splits=np.array(["train", "test", "test"])
      ),
      "1 labelled training utterances cannot be divided",
    ),
  ],
)
def test_what_does_not_fit_is_refused_and_names_what_does(made, rows, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    splits.make_folds(made, rows, seed=0)
  assert "\n" not in str(caught.value)


def test_the_same_may_be_on_two_sides_where_the_config_says_so():
  rows = same(table(SPEAKERS), [(0, 4)])
  made = protocols.protocol("group_kfold", k=4, allow_identical=True)
  assert len(splits.make_folds(made, rows, seed=0)) == 4


def test_the_papers_protocols_are_as_they_were():
  """Sessions of two speakers: the other one validates, repeats or not."""
  rows = same(table(SPEAKERS), [(0, 4)])
  rows = rows._replace(sessions=np.array(list("11112222")))
  folds = splits.make_folds(
    protocols.protocol("leave_one_speaker_out"), rows, seed=0
  )
  validating = [set(rows.speakers[fold.validation]) for fold in folds]
  assert validating == [{"b"}, {"a"}, {"d"}, {"c"}]
  assert splits.make_folds(
    protocols.protocol("leave_one_session_out"), rows, seed=0
  )
