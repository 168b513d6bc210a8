"""The synthetic corpus: its shapes, its counts, and that it can be learnt."""

import collections
import dataclasses

import numpy as np
import pytest
from sklearn import (
  linear_model,
  metrics,
  model_selection,
  pipeline,
  preprocessing,
)

from data_prep.sources import synthetic, synthetic_presets
from mmer_jax.base.errors import UserError


def examples_of(preset, count, seed=0):
  corpus = synthetic.build(preset, seed, count)
  return corpus, list(corpus.examples())


def pooled(corpus, examples, names):
  """Mean over frames; an absent modality is zeros."""
  rows = []
  for example in examples:
    parts = [
      example.streams[name].mean(axis=0)
      if name in example.streams
      else np.zeros(corpus.modalities[name].dim)
      for name in names
    ]
    rows.append(np.concatenate(parts))
  return np.array(rows)


@pytest.fixture(scope="module")
def tiny():
  corpus, examples = examples_of("tiny", 1500)
  return corpus, [e for e in examples if e.labels is not None]


@pytest.mark.parametrize("modality", ["lexical", "acoustic", "visual"])
def test_each_modality_helps_and_none_suffices(tiny, modality):
  corpus, examples = tiny
  examples = [e for e in examples if modality in e.streams]
  labels = np.array([e.labels for e in examples])
  accuracy = model_selection.cross_val_score(
    pipeline.make_pipeline(
      preprocessing.StandardScaler(),
      linear_model.LogisticRegression(max_iter=500),
    ),
    pooled(corpus, examples, [modality]),
    labels.argmax(axis=1),
    groups=[e.session for e in examples],
    cv=model_selection.GroupKFold(5),
  ).mean()
  assert labels.mean(axis=0).max() + 0.15 < accuracy < 0.9


def unseen_auc(corpus, examples, names, emotion):
  """Ridge from features to word vectors, trained without one emotion."""
  features = pooled(corpus, examples, names)
  labels = np.array([e.labels for e in examples])
  vectors = corpus.vectors.vectors
  seen = (labels[:, emotion] == 0) & labels.any(axis=1)
  targets = labels[seen] @ vectors / labels[seen].sum(axis=1)[:, None]
  mean = features[seen].mean(axis=0)
  ridge = linear_model.Ridge(alpha=len(features))
  ridge.fit(features[seen] - mean, targets)
  scores = ridge.predict(features - mean) @ vectors[emotion]
  return metrics.roc_auc_score(labels[:, emotion], scores)


@pytest.mark.parametrize("emotion", range(4))
@pytest.mark.parametrize("modality", ["lexical", "acoustic", "visual"])
def test_an_unseen_emotion_is_found_from_its_word_vector(
  tiny, modality, emotion
):
  corpus, examples = tiny
  examples = [e for e in examples if modality in e.streams]
  assert unseen_auc(corpus, examples, [modality], emotion) > 0.75
  assert unseen_auc(corpus, examples, list(corpus.modalities), emotion) > 0.85


def test_unseen_emotions_are_found_among_several_labels_too():
  corpus, examples = examples_of("mosei", 1000)
  found = [
    unseen_auc(corpus, examples, list(corpus.modalities), emotion)
    for emotion in range(6)
  ]
  assert min(found) > 0.62
  assert np.mean(found) > 0.7


def test_an_unseen_emotion_is_an_affine_combination_of_the_others():
  for preset in synthetic_presets.PRESETS.values():
    places = synthetic.World(preset, 0).places
    for left_out, place in enumerate(places):
      others = np.delete(places, left_out, axis=0)
      # Homogeneous coordinates: the coefficients sum to 1.
      system = np.concatenate([others.T, np.ones((1, len(others)))])
      wanted = np.append(place, 1)
      coefficients = np.linalg.lstsq(system, wanted, rcond=None)[0]
      np.testing.assert_allclose(system @ coefficients, wanted, atol=1e-12)
      # No long extrapolation, which would amplify every error.
      assert np.abs(coefficients).max() < 2


def test_mosei_has_the_papers_shapes_and_shares():
  preset = synthetic_presets.PRESETS["mosei"]
  corpus, examples = examples_of("mosei", 2278)
  assert {k: m.dim for k, m in corpus.modalities.items()} == {
    "lexical": 300,
    "acoustic": 74,
    "visual": 35,
  }
  splits = collections.Counter(e.split for e in examples)
  assert splits == {"train": 1627, "validation": 187, "test": 464}
  train = np.array([e.labels for e in examples if e.split == "train"])
  expected = np.array(preset.positives["train"]) / preset.sizes["train"]
  np.testing.assert_allclose(train.mean(axis=0), expected, atol=0.04)
  assert (train.sum(axis=1) > 1).any() and (train.sum(axis=1) == 0).any()
  assert max(len(e.words) for e in examples) == 20
  by_speaker = collections.defaultdict(set)
  for example in examples:
    by_speaker[example.speaker].add(example.split)
  assert all(len(found) == 1 for found in by_speaker.values())


def test_iemocap_has_five_sessions_of_two_speakers_and_unlabelled_rows():
  _, examples = examples_of("iemocap", 1004)
  speakers = collections.defaultdict(set)
  for example in examples:
    speakers[example.session].add(example.speaker)
  assert sorted(speakers) == ["1", "2", "3", "4", "5"]
  assert all(len(found) == 2 for found in speakers.values())
  unlabelled = np.mean([e.labels is None for e in examples])
  assert abs(unlabelled - 4508 / 10039) < 0.05
  labels = [e.labels for e in examples if e.labels is not None]
  np.testing.assert_array_equal(np.sum(labels, axis=1), 1)


def test_frames_belong_to_words_or_to_silence():
  _, examples = examples_of("tiny", 200)
  silent = 0
  for example in examples:
    word = example.acoustic_word
    frames = example.streams.get("acoustic", np.zeros((0, 1)))
    assert len(word) == len(frames)
    assert example.words == [] or "lexical" in example.streams
    silent += (word == -1).sum()
    voiced = word[word >= 0]
    assert (np.diff(voiced) >= 0).all()
    if "lexical" in example.streams and len(word):
      assert set(voiced) == set(range(len(example.words)))
  assert silent > 50


def test_modalities_are_absent_now_and_then_and_never_all():
  _, examples = examples_of("tiny", 600)
  present = np.array(
    [
      [name in e.streams for name in ("lexical", "acoustic", "visual")]
      for e in examples
    ]
  )
  assert present.any(axis=1).all()
  np.testing.assert_allclose(present.mean(axis=0), [0.98, 0.95, 0.9], atol=0.04)


def test_an_utterance_does_not_depend_on_the_others():
  _, few = examples_of("tiny", 20)
  _, many = examples_of("tiny", 50)
  for one, other in zip(few, many, strict=False):
    assert one.id == other.id
    assert one.words == other.words
    for name, frames in one.streams.items():
      np.testing.assert_array_equal(frames, other.streams[name])


def test_another_seed_is_another_corpus():
  one, _ = examples_of("tiny", 1, seed=0)
  two, _ = examples_of("tiny", 1, seed=1)
  assert not np.allclose(one.vectors.vectors, two.vectors.vectors)


def test_unknown_presets_are_refused():
  with pytest.raises(UserError, match="unknown --preset=huge, expected one of"):
    synthetic.build("huge", 0, 1)
  with pytest.raises(UserError, match="must not be negative"):
    synthetic.build("tiny", -1, 1)


def test_annotators_err_in_training_and_utterances_stay_as_they_are(
  monkeypatch,
):
  _, examples = examples_of("words", 800)
  preset = synthetic_presets.PRESETS["words"]
  clean = dataclasses.replace(preset, mislabelled=0.0)
  monkeypatch.setitem(synthetic_presets.PRESETS, "words", clean)
  _, truth = examples_of("words", 800)
  wrong = collections.Counter()
  for noted, true in zip(examples, truth, strict=True):
    assert noted.labels.sum() == 1
    wrong[noted.split] += (noted.labels != true.labels).any()
    np.testing.assert_array_equal(
      noted.streams["acoustic"], true.streams["acoustic"]
    )
    assert noted.words == true.words
  assert wrong["validation"] == wrong["test"] == 0
  # Of 400, within four standard deviations.
  share = preset.mislabelled
  spread = np.sqrt(400 * share * (1 - share))
  assert abs(wrong["train"] - 400 * share) < 4 * spread


@pytest.mark.parametrize(
  ("informative", "misleading"), [(0.3, 0.2), (0.8, 0.05)]
)
def test_words_say_as_much_as_the_preset_has_it(
  informative, misleading, monkeypatch
):
  preset = dataclasses.replace(
    synthetic_presets.PRESETS["tiny"],
    informative=informative,
    misleading=misleading,
  )
  monkeypatch.setitem(synthetic_presets.PRESETS, "tiny", preset)
  corpus, examples = examples_of("tiny", 400)
  said = [
    (word.split("_")[0], corpus.emotions[e.labels.argmax()])
    for e in examples
    if e.labels is not None
    for word in e.words
  ]
  about = [word == true for word, true in said if word in corpus.emotions]
  assert abs(len(about) / len(said) - informative) < 0.06
  # Of four emotions a misleading word hits the right one now and then.
  assert abs(np.mean(about) - (1 - 0.75 * misleading)) < 0.06


def test_frames_show_what_the_gain_and_the_expression_have():
  """Without an error every frame is a point of the map, plus noise."""
  preset = dataclasses.replace(
    synthetic_presets.PRESETS["tiny"],
    gain=0.0,
    expression={"acoustic": 0, "visual": 0},
  )
  flat = synthetic.World(preset, 0)
  assert not flat.maps["acoustic"].any()
  loud = synthetic.World(dataclasses.replace(preset, gain=2.0), 0)
  columns = loud.maps["acoustic"]
  scale = 4.0 * preset.dims["acoustic"] / 3
  np.testing.assert_allclose(columns.T @ columns, scale * np.eye(3), atol=1e-9)
  affect, voiced = np.array([1.0, -2.0, 0.5]), np.ones(4, bool)
  with_, without = (
    synthetic.draw_frames(
      world, "acoustic", affect, "a", voiced, np.random.default_rng(0)
    )
    for world in (loud, flat)
  )
  np.testing.assert_allclose(
    with_ - without, np.tile(columns @ affect, (4, 1)), atol=1e-9
  )
