"""Words and frames on the whole road: converted, taught, without words."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

from configs.multiview import multimodal, taught
from data_prep.sources import synthetic, word_aligned
from data_prep.writing import options, write
from mmer_jax.base.errors import UserError
from mmer_jax.data import normalise, shards
from mmer_jax.evaluation import evaluate, load, train_and_evaluate
from mmer_jax.experiment import build
from mmer_jax.reporting import lengths, plots, word_maps
from mmer_jax.systems import interface
from mmer_jax.systems.multiview import model
from mmer_jax.training import step

QUIET = rich.console.Console(quiet=True)


def converted(corpus, folder):
  write.write(corpus, folder, options.Options("zero", 1, "array_record"), QUIET)
  return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory):
  """The synthetic corpus of words, and the same without any word."""
  folder = tmp_path_factory.mktemp("words")
  corpus = synthetic.build("words", 0, 200)

  def mute():
    for example in corpus.examples():
      streams = {"acoustic": example.streams["acoustic"]}
      yield dataclasses.replace(
        example, streams=streams, words=None, acoustic_word=None
      )

  silent = dataclasses.replace(
    corpus,
    modalities={"acoustic": corpus.modalities["acoustic"]},
    examples=mute,
    vectors=None,
    has_words=False,
    has_acoustic_word=False,
  )
  return (
    converted(corpus, folder / "both"),
    converted(silent, folder / "acoustic"),
  )


def small(config, shards_folder, **changes):
  with config.unlocked():
    config.data.dir = str(shards_folder)
    config.data.max_length.update(lexical=14, acoustic=30)
    config.protocol.split = "corpus"
    config.training.batch_size = 64
    config.update_from_flattened_dict(changes)
  return config


@pytest.mark.long
def test_an_acoustic_student_is_judged_on_shards_without_words(both, tmp_path):
  config = small(
    taught.get_config("smoke"),
    both[0],
    **{"model.view": "b_aco_1", "model.second": "h_mm_1"},
  )
  folder = tmp_path / "work"
  assert train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
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
  return path, converted(word_aligned.build(path), folder)


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
def test_real_frames_inside_words_are_learnt_by_heart(real, kind):
  config = small(
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


def test_the_lengths_of_shards_are_counted(both, tmp_path):
  content = lengths.lengths(both[0])
  examples = list(synthetic.build("words", 0, 200).examples())
  words = [len(e.streams["lexical"]) for e in examples]
  own = [
    (e.acoustic_word == w).sum()
    for e in examples
    for w in range(len(e.streams["lexical"]))
  ]
  assert content["counts"]["words_per_utterance"] == (
    np.bincount(words).tolist()
  )
  assert content["counts"]["frames_per_word"] == np.bincount(own).tolist()
  entry = content["summary"]["frames_per_utterance"]
  frames = [len(e.streams["acoustic"]) for e in examples]
  assert entry["n"] == 200
  np.testing.assert_allclose(entry["std"], np.std(frames, ddof=1))
  assert plots.save(content, tmp_path).stat().st_size > 5000
  assert list(lengths.lengths(both[1])["counts"]) == ["frames_per_utterance"]


@pytest.mark.parametrize("count", [1, 3, 40, 41, 80, 701])
def test_bars_of_lengths_are_of_equally_many(count):
  edges = plots.length_edges(count)
  held, _ = np.histogram(np.arange(count), edges)
  # All lengths, and as many in each bar but the last.
  assert held.sum() == count and len(held) <= 40
  assert (held[:-1] == held[0]).all() and 0 < held[-1] <= held[0]
  if count <= 40:
    middles = (edges[1:] + edges[:-1]) / 2
    np.testing.assert_array_equal(middles, np.arange(count))


@pytest.mark.long
def test_a_page_shows_what_counted(both, tmp_path):
  config = small(multimodal.get_config("smoke"), both[0])
  folder = tmp_path / "work"
  assert train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
  content = word_maps.word_maps(folder, split="test", run=0, count=3)
  examples = {e["id"]: e for _, e in shards.read_examples(both[0])}
  assert len(content["utterances"]) == 3
  for entry in content["utterances"]:
    example = examples[entry["id"]]
    assert entry["words"] == [word.decode() for word in example["words"]]
    np.testing.assert_allclose(sum(entry["attention"]), 1, rtol=1e-5)
    assert all(0 < share < 1 for share in entry["acoustic"])
  assert word_maps.page(content).count("class='word'") == sum(
    len(entry["words"]) for entry in content["utterances"]
  )
  with pytest.raises(UserError, match="--run is 1, expected one of"):
    word_maps.word_maps(folder, split="test", run=1, count=3)


def test_a_page_escapes_scales_and_sorts():
  def entry(chosen, acoustic):
    return {
      "id": "a",
      "true": "sad",
      "chosen": chosen,
      "words": ["<b>", "no"],
      "attention": [0.2, 0.8],
      "acoustic": acoustic,
    }

  page = word_maps.page(
    {
      "run": "run 0",
      "split": "test",
      "utterances": [entry("happy", None), entry("sad", [0.25, 1.0])],
    }
  )
  assert "<b>" not in page and "&lt;b&gt;" in page
  right, wrong = page.split("<h2>Wrong: 1</h2>")
  assert "rgba(255,165,0,0.25)" in right and "rgba(255,165,0,1.00)" in right
  # Bars of 22 px: a quarter is acoustic.
  assert "height:5.5px" in right and "height:16.5px" in right
  assert "class='bar'" not in wrong
