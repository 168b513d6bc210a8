"""Words and frames on the whole road: converted, taught, without words."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.multiview import multimodal, taught
from data_prep.sources import word_aligned
from mmer_jax.base.errors import UserError
from mmer_jax.data import normalise, shards
from mmer_jax.evaluation import evaluate, load, train_and_evaluate
from mmer_jax.experiment import build
from mmer_jax.reporting import word_maps
from mmer_jax.systems import interface
from mmer_jax.systems.multiview import model
from mmer_jax.training import step
from tests import word_shards


@pytest.fixture(scope="module")
def both(tmp_path_factory):
  return word_shards.convert_both(tmp_path_factory.mktemp("words"))


@pytest.mark.long
def test_an_acoustic_student_is_judged_on_shards_without_words(both, tmp_path):
  config = word_shards.small(
    taught.get_config("smoke"),
    both[0],
    **{"model.view": "b_aco_1", "model.second": "h_mm_1"},
  )
  folder = tmp_path / "work"
  assert train_and_evaluate.train_and_evaluate(
    config, folder, console=word_shards.QUIET
  )
  outcome = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  (run,) = outcome["runs"]
  assert [stage["stage"] for stage in run["stages"]] == ["teacher", "student"]
  # After the teacher's stage it is the teacher that is judged.
  teacher, student = run["stages"]
  assert teacher["metrics"] != student["metrics"] == run["metrics"]
  with pytest.raises(UserError, match="does not weigh words"):
    word_maps.word_maps(folder, split="test", run=0, count=1)
  alone = evaluate.evaluate_workdir(
    folder, evaluate.Request("test"), load.Inputs(data_dir=str(both[1]))
  )
  assert alone["runs"][0]["metrics"] == run["metrics"]
  assert alone["dataset"]["fingerprint"] != outcome["dataset"]["fingerprint"]


@pytest.fixture(scope="module")
def real(data_dir, tmp_path_factory):
  path = data_dir / "iemocap_word_aligned" / "iemocap_word_aligned.npz"
  folder = tmp_path_factory.mktemp("real") / "shards"
  return path, word_shards.converted(word_aligned.build(path), folder)


def test_frames_inside_words_are_converted_whole(real):
  path, folder = real
  with np.load(path) as file:
    audio, vectors = file["audio"], file["word_embeddings"]
    lengths_, names = file["sentence_len"], file["name"].tolist()
  examples = {e["id"]: e for _, e in shards.read_examples(folder)}
  assert len(examples) == 69
  for row, name in enumerate(names):
    example = examples[name]
    word = example["acoustic_word"]
    assert (np.diff(word) >= 0).all() and word[0] == 0
    assert word[-1] == len(example["lexical"]) - 1 == lengths_[row] - 1
    for w in range(lengths_[row]):
      frames = example["acoustic"][word == w]
      np.testing.assert_array_equal(frames, audio[row, :, : len(frames), w].T)
      assert not audio[row, :, len(frames) :, w].any()
    np.testing.assert_array_equal(
      example["lexical"], vectors[row, :, : lengths_[row]].T
    )


@pytest.mark.long
@pytest.mark.parametrize(
  "kind", [kind for kind in model.KINDS if kind.startswith("h_")]
)
def test_a_model_overfits_real_frames_inside_words(real, kind):
  config = word_shards.small(
    multimodal.get_config("smoke"),
    real[1],
    **{
      "model.view": kind,
      "model.hidden": 24,
      "model.gate": 24,
      "model.attention": 16,
      "model.dropout": 0.0,
      "model.reading": "segment",
      "model.words": 21,
      "model.word_frames": 58,
      "data.max_length.lexical": 0,
      "data.max_length.acoustic": 0,
      "optimizer.learning_rate": 1e-2,
    },
  )
  corpus = build.read_corpora(config)
  system = build.build_system(config)
  (stage,) = system.stages
  table = jax.tree.map(jnp.asarray, corpus.table.batch)
  mean, std = normalise.statistics(
    corpus.table, np.arange(len(corpus.labels)), "acoustic"
  )
  scale = normalise.inverse_deviation(mean, std)
  batch = normalise.normalise(
    table,
    {"acoustic": jnp.asarray(mean, jnp.float32)},
    {"acoustic": jnp.asarray(scale, jnp.float32)},
  )
  vectors = jnp.asarray(corpus.vectors)
  count = len(corpus.emotions)
  run = interface.RunSettings(
    seed=np.uint32(0),
    fold=np.int32(1),
    learning_rate=np.float32(1e-2),
    weight_decay=np.float32(0),
    clip_norm=np.float32(5),
    known=jnp.ones((1, count), bool),
    class_weight=jnp.ones((1, count)),
    mean={},
    scale={},
    vectors=vectors,
    keep={},
  )

  @functools.partial(jax.jit, donate_argnums=0)
  def steps(state):
    def one(state, _):
      return step.train_step(stage, state, batch, run), None

    state, _ = jax.lax.scan(one, state, None, length=10)
    logits = system.predict(state.train.params, batch, vectors).logits
    return state, (logits.argmax(axis=1) == batch.labels.argmax(axis=1)).mean()

  params = jax.jit(system.init)(jax.random.key(0), batch, vectors)
  state = step.init_run(params, ())
  for _ in range(30):
    state, accuracy = steps(state)
    if accuracy == 1:
      break
  assert accuracy == 1


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"audio": None}, "lacks the arrays audio"),
    ({"sentence_len": np.array([4, 1])}, "sentence_len goes from 1 to 4, exp"),
    ({"label": np.array([0, 2])}, "label goes from 0 to 2, expected 0 to 1"),
    ({"name": np.array(["a"])}, "audio has shape .* expected 4 dimensions"),
  ],
)
def test_a_file_of_another_form_is_named(tmp_path, change, message):
  arrays = {
    "audio": np.ones((2, 3, 4, 3)),
    "word_embeddings": np.ones((2, 5, 3)),
    "sentence_len": np.array([3, 1]),
    "label": np.array([0, 1]),
    "label_names": np.array(["happy", "sad"]),
    "name": np.array(["a", "b"]),
    **change,
  }
  path = tmp_path / "file.npz"
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  with pytest.raises(UserError, match=message):
    word_aligned.build(path)
