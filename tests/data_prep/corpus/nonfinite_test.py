"""What becomes of NaN and infinite values."""

import numpy as np
import pytest

from data_prep.corpus import corpus, nonfinite
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_example

INF, NAN = np.inf, np.nan
MODALITIES = {
  "acoustic": corpus.Modality(("pitch", "energy"), "none"),
  "lexical": corpus.Modality(("a", "b"), "none"),
}


def policy_of(name, examples, padding="none"):
  modalities = {
    key: corpus.Modality(modality.columns, padding)
    for key, modality in MODALITIES.items()
  }
  policy = nonfinite.Nonfinite(name, modalities)
  for example in examples:
    policy.observe(example)
  return policy


def test_zero_replaces_the_value_alone():
  example = make_example("1", [[-INF, 5], [NAN, 6], [1, INF]])
  policy = policy_of("zero", [example])
  assert policy.apply(example).streams["acoustic"].tolist() == [
    [0, 5],
    [0, 6],
    [1, 0],
  ]
  assert policy.counts() == {"acoustic": {"pitch": 2, "energy": 1}}


def test_clip_takes_the_columns_range_over_training_rows():
  examples = [
    make_example("1", [[-3, 7], [2, 8]], split="train"),
    make_example("2", [[-9, 20]], split="test"),
    make_example("3", [[-INF, INF], [NAN, 1]], split="test"),
  ]
  policy = policy_of("clip", examples)
  clipped = policy.apply(examples[2]).streams["acoustic"]
  assert clipped.tolist() == [[-3, 8], [0, 1]]


def test_clip_takes_the_whole_corpus_where_no_split_is_train():
  examples = [
    make_example("1", [[-3, 7]]),
    make_example("2", [[-INF, INF], [4, 9]]),
  ]
  clipped = policy_of("clip", examples).apply(examples[1])
  assert clipped.streams["acoustic"][0].tolist() == [-3, 9]


def test_clip_leaves_padding_out_of_the_range():
  examples = [
    make_example("1", [[3, 7], [0, 0]]),
    make_example("2", [[-INF, 8]]),
  ]
  padded = policy_of("clip", examples, padding="zero_rows")
  assert padded.apply(examples[1]).streams["acoustic"].tolist() == [[3, 8]]
  real = policy_of("clip", examples)
  assert real.apply(examples[1]).streams["acoustic"].tolist() == [[0, 8]]


def test_clip_makes_zero_of_a_column_without_finite_values():
  example = make_example("1", [[-INF, 1]])
  clipped = policy_of("clip", [example]).apply(example)
  assert clipped.streams["acoustic"].tolist() == [[0, 1]]


def test_drop_keeps_frames_of_padded_streams_in_their_places():
  example = make_example("1", [[1, 2], [NAN, 3], [4, 5]])
  dropped = policy_of("drop", [example], padding="zero_rows").apply(example)
  assert dropped.streams["acoustic"].tolist() == [[1, 2], [0, 0], [4, 5]]


def test_drop_takes_the_frames_word_index_with_it():
  example = make_example(
    "1",
    [[1, 2], [NAN, 3], [4, 5]],
    acoustic_word=np.array([0, 1, -1], np.int32),
  )
  dropped = policy_of("drop", [example]).apply(example)
  assert dropped.streams["acoustic"].tolist() == [[1, 2], [4, 5]]
  assert dropped.acoustic_word.tolist() == [0, -1]


def test_dropping_a_word_frees_its_frames():
  example = make_example(
    "1",
    [[1, 1]] * 5,
    acoustic_word=np.array([0, 1, 1, 2, -1], np.int32),
    words=["a", "b", "c"],
  )
  example.streams["lexical"] = np.array([[1, 1], [INF, 1], [2, 2]], np.float32)
  dropped = policy_of("drop", [example]).apply(example)
  assert dropped.words == ["a", "c"]
  assert dropped.streams["lexical"].tolist() == [[1, 1], [2, 2]]
  assert dropped.acoustic_word.tolist() == [0, -1, -1, 1, -1]


def test_error_names_file_row_frame_and_column():
  example = make_example("7", [[1, 2], [3, -INF]])
  with pytest.raises(
    UserError,
    match=r"made.csv line 7, frame 1: acoustic column 'energy' is -inf",
  ):
    policy_of("error", [example])


@pytest.mark.parametrize("name", nonfinite.POLICIES)
def test_finite_values_pass_every_policy_untouched(name):
  example = make_example("1", [[1.5, -2], [0, 0]])
  policy = policy_of(name, [example])
  assert policy.apply(example) is example
  assert policy.counts() == {}
