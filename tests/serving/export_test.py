"""Export and predict: what is trained here is used by somebody else."""

import csv
import html.parser
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
import rich.console
import yaml

import mmer_jax
from configs import quickstart
from mmer_jax.base import errors, workdir
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema, tables
from mmer_jax.data import shards as shards_lib
from mmer_jax.evaluation import evaluate, restore, train_and_evaluate
from mmer_jax.evaluation import scores as scores_lib
from mmer_jax.evaluation import tables as tables_lib
from mmer_jax.reporting import page as page_lib
from mmer_jax.serving import export, function, predictions, stablehlo
from mmer_jax.serving import model as model_lib
from mmer_jax.serving import workdir as workdir_lib
from mmer_jax.systems import interface
from tests.systems import conformance_test

ROOT = pathlib.Path(__file__).parents[2]

# Loads an export without this project, or anything but what its card names.
STRANGER = """
import json, sys

class Blocker:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in ("mmer_jax", "flax", "tensorflow", "orbax"):
      raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocker())
import jax
import numpy as np
from safetensors.numpy import load_file

folder, given, out = sys.argv[1:]
with open(f"{folder}/model.stablehlo", "rb") as file:
  model = jax.export.deserialize(bytearray(file.read()))
tensors = load_file(f"{folder}/model.safetensors")
inputs = {"features": {}, "mask": {}}
for key, array in np.load(given).items():
  kind, _, modality = key.partition(":")
  if modality:
    inputs[kind][modality] = array
  else:
    inputs[kind] = array
outputs = jax.jit(model.call)(tensors, inputs)
assert not any(name.startswith("mmer_jax") for name in sys.modules)
np.savez(out, probs=outputs["probs"], **outputs["per_modality"])
"""


def run(*words, **environment):
  return subprocess.run(
    [sys.executable, *map(str, words)],
    cwd=ROOT,
    check=False,
    capture_output=True,
    text=True,
    env={**os.environ, **environment},
  )


def verb(name, *words):
  return run("-m", name, *words)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  folder = tmp_path_factory.mktemp("deployment") / "shards"
  done = verb(
    "data_prep.convert",
    "--source=synthetic",
    "--preset=tiny",
    "--num_examples=120",
    "--file_format=array_record",
    f"--output={folder}",
  )
  assert not done.returncode, done.stderr
  return folder


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
  """Two folds of MTEE, trained for an epoch."""
  folder = tmp_path_factory.mktemp("deployment") / "mtee"
  config = quickstart.get_config()
  with config.unlocked():
    config.data.dir = str(shards)
    config.seeds = (0,)
    config.protocol.folds = (1, 2)
    config.training.epochs = 1
    config.model.layers = 1
    config.model.hidden.update(acoustic=4, visual=3)
  assert train_and_evaluate.train_and_evaluate(
    config, folder, console=rich.console.Console(quiet=True)
  )
  return folder


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
  folder = tmp_path_factory.mktemp("deployment") / "export"
  done = verb("mmer_jax.export", f"--workdir={trained}", f"--out={folder}")
  assert not done.returncode, done.stderr
  assert "mtee, 1 member(s), for cpu, cuda, tpu" in done.stdout
  return folder


@pytest.fixture(scope="module")
def model(exported):
  return mmer_jax.load(str(exported))


@pytest.fixture(scope="module")
def examples(shards):
  return [example for _, example in shards_lib.read_examples(shards)]


def streams(examples, *modalities):
  modalities = modalities or ("lexical", "acoustic", "visual")
  return {m: [example[m] for example in examples] for m in modalities}


def logits_of_evaluation(trained, split, run_):
  """Ids and probabilities of a run as `evaluate` has them."""
  config = workdir.read_config(trained)
  setup = evaluate.experiment.build(config)
  restored = restore.restore(trained, setup, len(setup.corpus.emotions))
  logits = scores_lib.predict_splits(setup, restored, (split,), (), 0)[-1][
    split
  ]
  rows = getattr(setup.records[run_].fold, split)
  found = logits[run_][: len(rows)].astype(np.float64)
  probs = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
  return setup.corpus.columns["id"][rows], probs


def test_the_model_says_what_evaluate_judges(trained, model, examples):
  """Raw features through the export, and shards through the program."""
  (member,) = model.spec["members"]
  ids, probs = logits_of_evaluation(trained, "test", member["run"])
  by_id = {example["id"]: example for example in examples}
  found = model.predict(streams([by_id[name] for name in ids]))
  np.testing.assert_allclose(found.probs, probs, atol=1e-6)
  assert np.ptp(probs, axis=0).max() > 1e-3


def test_a_stranger_runs_it_without_this_project(
  exported, trained, model, tmp_path
):
  rng = np.random.default_rng(0)
  inputs = function.sample_inputs(model.spec, rows=3)
  for modality, length in (("lexical", 9), ("acoustic", 2), ("visual", 4)):
    shape = (3, length, model.spec["modalities"][modality]["dim"])
    inputs["features"][modality] = rng.normal(size=shape).astype(np.float32)
    inputs["mask"][modality] = rng.random(shape[:2]) < 0.7
  inputs["mask"]["visual"][1] = False
  # An emotion more than there were: its word vector is all that it takes.
  extra = rng.normal(size=inputs["emotions"][:1].shape).astype(np.float32)
  inputs["emotions"] = np.concatenate([inputs["emotions"], extra])
  np.savez(
    tmp_path / "in.npz",
    emotions=inputs["emotions"],
    **{f"features:{m}": x for m, x in inputs["features"].items()},
    **{f"mask:{m}": x for m, x in inputs["mask"].items()},
  )
  (tmp_path / "stranger.py").write_text(textwrap.dedent(STRANGER))
  done = subprocess.run(
    [
      sys.executable,
      "-I",
      tmp_path / "stranger.py",
      exported,
      tmp_path / "in.npz",
      tmp_path / "out.npz",
    ],
    check=False,
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  served = workdir_lib.from_workdir(trained)
  expected = jax.jit(served.call)(served.tensors, inputs)
  found = np.load(tmp_path / "out.npz")
  assert found["probs"].shape == (3, 5)
  np.testing.assert_allclose(found["probs"], expected["probs"], atol=1e-6)
  np.testing.assert_allclose(found["probs"].sum(axis=1), 1, rtol=1e-6)
  for modality, scores in expected["per_modality"].items():
    np.testing.assert_allclose(found[modality], scores, atol=1e-6)


@pytest.mark.parametrize(
  "name, frames, reading",
  [
    *((name, 1, "") for name in sorted(conformance_test.CONFIGS)),
    ("multiview", 6, "boundary"),
    ("multiview", 6, "segment"),
  ],
)
def test_every_system_is_exported_with_symbolic_shapes(name, frames, reading):
  """Cut, normalised and without a modality, as training would have it."""
  config = conformance_test.config(name)
  if reading:
    with config.unlocked():
      config.model.reading = reading
  system = function.experiment.build_system(config)
  rows, length, longest = 3, 7, 5
  vectors = conformance_test.vectors()
  spec = {
    "system": name,
    "decision": "binary",
    "open_vocabulary": system.open_vocabulary,
    "aligned": system.aligned,
    "acoustic_word": frames > 1,
    "ensemble": False,
    "modalities": {
      "lexical": {"dim": 8, "max_length": longest},
      "acoustic": {"dim": 5, "max_length": frames},
    },
    "unused_modalities": {"visual": 3},
    "repair": None,
    "emotions": [{"vector": v.tolist()} for v in np.asarray(vectors)],
  }
  rng = np.random.default_rng(0)
  structure = function.input_structure(system, spec)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.3, size=leaf.shape).astype(leaf.dtype),
    structure,
  )
  if interface.STATISTICS in params:
    # Variances among them.
    moved = jax.tree.map(np.abs, params[interface.STATISTICS])
    params = {**params, interface.STATISTICS: moved}
  tensors = {
    f"params.{k}": v for k, v in function.named_tensors(params).items()
  }
  tensors["mean.acoustic"] = np.full(5, 3.0, np.float32)
  tensors["scale.acoustic"] = np.full(5, 0.5, np.float32)
  served = function.make_function(system, spec, tensors)
  platforms = ("cpu", "cuda", "tpu")
  exported = jax.export.deserialize(
    bytearray(stablehlo.to_stablehlo(served, platforms))
  )
  assert exported.platforms == platforms
  words = rng.normal(size=(rows, length, 8)).astype(np.float32)
  sound = rng.normal(3.0, 2.0, size=(rows, frames, 5)).astype(np.float32)
  real = np.arange(length)[None, :] < np.array([[2], [0], [9]])
  there = np.ones((rows, frames), bool)
  inputs = {
    "features": {"lexical": words, "acoustic": sound},
    "mask": {"lexical": real, "acoustic": there},
  }
  if system.open_vocabulary:
    inputs["emotions"] = np.asarray(vectors)
  word = None
  if frames > 1:
    word = rng.integers(-1, 5, size=(rows, frames)).astype(np.int32)
    inputs["acoustic_word"] = word
  outputs = exported.call(tensors, inputs)
  found = outputs["probs"]

  real = real[:, :longest]
  streams = {
    "lexical": schema.Stream(
      np.where(real[..., None], words[:, :longest], 0), real
    ),
    "acoustic": schema.Stream((sound - 3.0) * 0.5, there),
    "visual": schema.Stream(
      np.zeros((rows, 1, 3), np.float32), np.zeros((rows, 1), bool)
    ),
  }
  batch = tables.take(
    conformance_test.example(), jax.numpy.arange(rows)
  ).replace(
    streams=streams,
    present={m: stream.mask.any(axis=1) for m, stream in streams.items()},
    acoustic_word=word,
  )
  logits = jax.jit(system.predict)(params, batch, vectors).logits
  np.testing.assert_allclose(found, jax.nn.sigmoid(logits), atol=1e-6)
  assert np.ptp(np.asarray(found), axis=0).max() > 1e-3
  if reading:
    attention = np.asarray(outputs["explain"]["attention"])
    assert served.spec["explain"]["attention"] == ["lexical"]
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)


def test_the_spec_and_the_card_say_what_it_is(exported, trained, shards):
  spec = json.loads((exported / "feature_spec.json").read_text())
  manifest = manifest_lib.load_manifest(shards)
  config = workdir.read_config(trained)
  for modality, entry in spec["modalities"].items():
    assert entry["columns"] == manifest["modalities"][modality]["columns"]
    assert entry["dim"] == len(entry["mean"]) == len(entry["std"])
    assert entry["normalised"] == (modality != "lexical")
    assert 0 < entry["present_in_training"] <= 1
  assert spec["dataset"]["fingerprint"] == manifest["fingerprint"]
  assert [e["name"] for e in spec["emotions"]] == manifest["emotions"]
  assert config.protocol.decision == "softmax"
  assert {e["threshold"] for e in spec["emotions"]} == {None}
  assert spec["thresholds"] == {"chosen": None, "new_emotion": None}
  assert str(shards) not in (exported / "config.json").read_text()
  page = (exported / "README.md").read_text()
  _, front, body = page.split("---\n", 2)
  front = yaml.safe_load(front)
  (entry,) = front["model-index"]
  validation = workdir.read_json(trained / "results" / "validation.json")
  found = {m["type"]: m["value"] for m in entry["results"][0]["metrics"]}
  for name in ("accuracy", "auc"):
    np.testing.assert_allclose(
      found[name], validation["summary"][name]["mean"], atol=1e-4
    )
  assert front["library_name"] == "jax" and spec["system"] in front["tags"]
  assert "The test split was not evaluated" in body
  for text in ("| happy |", "Not for", "leave_one_session_out", "seeds 0"):
    assert text in body, text


def test_the_run_is_chosen_by_validation_and_can_be_named():
  runs = [
    {
      "run": number,
      "setting": {"learning_rate": rate},
      "selection": value,
      "failed_step": failed,
      "unseen": unseen,
    }
    for number, (rate, value, failed, unseen) in enumerate(
      [
        (1.0, 0.9, None, []),
        (2.0, 0.5, None, []),
        (2.0, 0.6, None, []),
        (2.0, 0.8, 3, []),
      ]
    )
  ]
  outcome = {"runs": runs, "setting": {"learning_rate": 2.0}}
  choose = workdir_lib.choose
  assert choose(outcome, run=None, ensemble=False) == [2]
  assert choose(outcome, run=None, ensemble=True) == [1, 2]
  assert choose(outcome, run=0, ensemble=False) == [0]
  with pytest.raises(errors.UserError, match="--run is 3, expected .* 0, 1, 2"):
    choose(outcome, run=3, ensemble=False)
  with pytest.raises(errors.UserError, match="leave one out"):
    choose(outcome, run=1, ensemble=True)
  runs[1]["unseen"] = ["sad"]
  with pytest.raises(errors.UserError, match="left out different ones"):
    choose(outcome, run=None, ensemble=True)


def test_an_ensemble_is_the_mean_of_its_members(trained, tmp_path, examples):
  spec = export.export(
    trained, tmp_path / "e", platforms=["cpu"], ensemble=True
  )
  assert [member["run"] for member in spec["members"]] == [0, 1]
  given = streams(examples[:5])
  both = mmer_jax.load(tmp_path / "e").predict(given).probs
  each = []
  for number in (0, 1):
    served = workdir_lib.from_workdir(trained, run=number)
    one = model_lib.Model(served.spec, served.tensors, jax.jit(served.call))
    each.append(one.predict(given).probs)
  np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)
  assert "every utterance of the corpus was trained on" in " ".join(
    (tmp_path / "e" / "README.md").read_text().split()
  )

  # The StableHLO alone is written anew, from the folder alone.
  before = (tmp_path / "e" / "model.safetensors").read_bytes()
  (tmp_path / "e" / "model.stablehlo").unlink()
  fresh = export.refresh(tmp_path / "e", platforms=["cpu", "tpu"])
  assert fresh["platforms"] == ["cpu", "tpu"]
  assert (tmp_path / "e" / "model.safetensors").read_bytes() == before
  again = mmer_jax.load(tmp_path / "e").predict(given).probs
  np.testing.assert_array_equal(again, both)
  spec["files"]["model.safetensors"] = "0"
  workdir.write_json(tmp_path / "e" / "feature_spec.json", spec)
  with pytest.raises(errors.UserError, match="is not the file that"):
    mmer_jax.load(tmp_path / "e")


def test_thresholds_of_validation_decide_as_evaluate_does(
  trained, examples, tmp_path
):
  with pytest.raises(errors.UserError, match="is of binary decisions"):
    workdir_lib.from_workdir(trained, thresholds="validation")
  # The same parameters, each output judged alone.
  folder = tmp_path / "binary"
  shutil.copytree(trained, folder)
  config = workdir.read_json(folder / "config.json")
  config["protocol"] |= {"decision": "binary", "threshold": 0.4}
  workdir.write_json(folder / "config.json", config)
  outcome = evaluate.evaluate_workdir(
    folder, split="test", thresholds="validation"
  )
  scored = outcome["runs"][1]["per_emotion"]
  spec = export.export(
    folder, tmp_path / "e", platforms=["cpu"], run=1, thresholds="validation"
  )
  model = mmer_jax.load(tmp_path / "e")
  rows = evaluate.experiment.build(workdir.read_config(folder)).records[1]
  test = [examples[row] for row in rows.fold.test]
  vector = np.asarray(spec["emotions"][0]["vector"])
  names = {**dict.fromkeys(model.emotions), "new": vector}
  found = model.predict(streams(test), emotions=names)
  for column, name in enumerate(model.emotions):
    chosen = np.array([name in each for each in found.chosen])
    truth = np.array([example["labels"][column] > 0 for example in test])
    np.testing.assert_allclose(
      (chosen[truth].mean() + 1 - chosen[~truth].mean()) / 2,
      scored[name]["weighted_accuracy"],
    )
  # A new emotion has the one that is best for all together.
  new = spec["thresholds"]["new_emotion"]
  likely = {e["threshold"] for e in spec["emotions"]} | {new}
  assert len(likely) == 5 and not likely & {0.4, 0.5}
  assert ["new" in each for each in found.chosen] == list(
    found.probs[:, -1] > np.float32(new)
  )
  page = " ".join((tmp_path / "e" / "README.md").read_text().split())
  assert f"a new one {new:.4g}. They are the best weighted" in page
  assert "The numbers above are of these" in page
  fixed = workdir_lib.from_workdir(folder).spec
  assert fixed["thresholds"] == {"chosen": "fixed", "new_emotion": 0.4}
  assert {e["threshold"] for e in fixed["emotions"]} == {0.4}


def test_a_folder_of_something_else_is_not_replaced(trained, tmp_path):
  (tmp_path / "thesis.tex").write_text("years of work")
  with pytest.raises(errors.UserError, match="is not empty and holds no feat"):
    export.export(trained, tmp_path, platforms=["cpu"])
  assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
  with pytest.raises(errors.UserError, match="expected some of cpu, cuda"):
    export.export(trained, tmp_path / "e", platforms=["gpu"])
  assert not (tmp_path / "e").exists()


def test_shapes_batches_and_absence_in_plain_numpy(model, examples):
  given = streams(examples[:70])
  whole = model.predict(given)
  assert whole.emotions == model.emotions and whole.probs.shape == (70, 4)
  for index in (0, 66):
    one = model.predict(
      {m: x[index] for m, x in given.items() if len(x[index])}
    )
    np.testing.assert_allclose(one.probs, whole.probs[index], atol=1e-6)
    assert [one.chosen] == whole.chosen[index : index + 1]
    assert one.probs.shape == (4,)
  # Padded with zeros, a list, and a modality left out in two ways.
  lengths = [len(x) for x in given["lexical"][:5]]
  padded = np.zeros((5, max(lengths) + 3, given["lexical"][0].shape[1]))
  for row, frames in enumerate(given["lexical"][:5]):
    padded[row, : len(frames)] = frames
  listed = model.predict(
    {"lexical": given["lexical"][:5], "visual": [None] * 5}
  )
  np.testing.assert_allclose(
    model.predict({"lexical": padded}).probs, listed.probs, atol=1e-6
  )
  seen = model.predict(
    {m: x[:5] for m, x in given.items()}, modalities=["lexical"]
  )
  np.testing.assert_allclose(seen.probs, listed.probs, atol=1e-6)
  assert np.abs(seen.probs - whole.probs[:5]).max() > 1e-4
  # What lies behind the longest frame of training is cut.
  longest = model.spec["modalities"]["lexical"]["max_length"]
  long = np.tile(given["lexical"][0], (longest, 1))
  np.testing.assert_array_equal(
    model.predict({"lexical": long}).probs,
    model.predict({"lexical": long[:longest]}).probs,
  )


def test_emotions_are_chosen_and_new_ones_read_from_their_vectors(
  model, examples
):
  given = streams(examples[:3])
  all_ = model.predict(given)
  names = ("sad", "happy")
  some = model.predict(given, emotions=names)
  columns = [all_.emotions.index(name) for name in names]
  part = all_.probs[:, columns]
  np.testing.assert_allclose(
    some.probs, part / part.sum(axis=1, keepdims=True), rtol=1e-5
  )
  vector = np.asarray(model.spec["emotions"][columns[0]]["vector"])
  new = model.predict(given, emotions={"sad": None, "low": vector})
  np.testing.assert_allclose(new.probs, 0.5, atol=1e-6)
  assert new.emotions == ("sad", "low")
  with pytest.raises(errors.UserError, match="'low', which was not trained"):
    model.predict(given, emotions=["low"])
  with pytest.raises(errors.UserError, match="expected 25 finite numbers"):
    model.predict(given, emotions={"low": vector[:3]})
  with pytest.raises(errors.UserError, match="expected different names"):
    model.predict(given, emotions=["sad", "sad"])


def test_a_closed_vocabulary_is_renormalised_and_refuses_new_emotions(model):
  """As lf_lstm's spec would be, with a function made by hand."""
  spec = {**model.spec, "open_vocabulary": False}
  probs = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
  closed = model_lib.Model(
    spec, {}, lambda tensors, inputs: {"probs": probs, "per_modality": {}}
  )
  words = {"lexical": np.ones((2, 25))}
  found = closed.predict(
    words, emotions=[spec["emotions"][i]["name"] for i in (3, 0)]
  )
  np.testing.assert_allclose(found.probs, [0.8, 0.2], rtol=1e-6)
  with pytest.raises(errors.UserError, match="reads none"):
    closed.predict(words, emotions={"low": np.ones(25)})


def test_binary_decisions_use_the_thresholds(model):
  spec = {**model.spec, "decision": "binary"}
  spec["emotions"] = [
    {**e, "threshold": t}
    for e, t in zip(spec["emotions"], (0.2, 0.1, 0.3, 0.9), strict=True)
  ]
  probs = np.array([[0.2, 0.2, 0.31, 0.8]], np.float32)
  binary = model_lib.Model(
    spec, {}, lambda tensors, inputs: {"probs": probs, "per_modality": {}}
  )
  found = binary.predict({"lexical": np.ones((2, 25))})
  assert found.chosen == [spec["emotions"][i]["name"] for i in (1, 2)]


def test_the_words_of_frames_are_asked_for_and_checked(model):
  seen = []

  def call(tensors, inputs):
    seen.append(inputs.get("acoustic_word"))
    return {"probs": np.full((2, 4), 0.25), "per_modality": {}, "explain": {}}

  sound = {"acoustic": [np.ones((3, 20)), np.ones((1, 20))]}
  knowing = model_lib.Model({**model.spec, "acoustic_word": True}, {}, call)
  knowing.predict(sound, acoustic_word=[[0, 0, 1], [2]], check_scale=False)
  np.testing.assert_array_equal(seen[-1][:, :3], [[0, 0, 1], [2, -1, -1]])
  knowing.predict(sound, check_scale=False)
  assert (seen[-1] == -1).all()
  with pytest.raises(errors.UserError, match="one for each of the"):
    knowing.predict(sound, acoustic_word=[[0], [2]], check_scale=False)
  with pytest.raises(errors.UserError, match="was trained without"):
    model.predict(sound, acoustic_word=[[0, 0, 1], [2]], check_scale=False)


def test_what_is_explained_loses_its_padding(model):
  """A system that explains, with values that tell their place."""
  spec = {**model.spec, "explain": {"attention": ["lexical"], "gate": []}}

  def call(tensors, inputs):
    rows, length = inputs["mask"]["lexical"].shape
    place = np.arange(rows * length, dtype=np.float32).reshape(rows, length)
    return {
      "probs": np.full((rows, 4), 0.25),
      "per_modality": {},
      "explain": {"attention": place, "gate": place[:, 0]},
    }

  explaining = model_lib.Model(spec, {}, call)
  found = explaining.predict({"lexical": [np.ones((3, 25)), np.ones((2, 25))]})
  np.testing.assert_array_equal(found.explain["attention"][1], [4, 5])
  assert [len(each) for each in found.explain["attention"]] == [3, 2]
  assert found.explain["gate"][1] == 4


@pytest.mark.parametrize(
  "features, match",
  [
    ({"lexical": np.ones((3, 24))}, r"shape \(3, 24\), expected \(t, 25\)"),
    ({"smell": np.ones((3, 24))}, "names 'smell', but the model reads"),
    ({"lexical": np.full((2, 25), np.nan)}, "not finite in frame 0, column"),
    ({"lexical": [["a"]]}, "holds no numbers"),
    ({}, "holds no modality"),
    (
      {"lexical": np.ones((3, 25)), "visual": [np.ones((3, 12))]},
      "mix one utterance and a batch",
    ),
    (
      {"lexical": [np.ones((3, 25))] * 2, "visual": [np.ones((3, 12))]},
      "different numbers of utterances, got lexical 2, visual 1",
    ),
  ],
)
def test_input_that_does_not_fit_is_named(model, features, match):
  with pytest.raises(errors.UserError, match=match) as caught:
    model.predict(features, check_scale=False)
  assert "\n" not in str(caught.value)


def test_features_of_another_scale_are_refused(model, examples):
  acoustic = np.concatenate([example["acoustic"] for example in examples])
  model.predict({"acoustic": acoustic})
  with pytest.raises(errors.UserError, match="acoustic: the means of 20 of 20"):
    model.predict({"acoustic": acoustic + 1e3})
  model.predict({"acoustic": acoustic + 1e3}, check_scale=False)


def test_predictions_are_a_row_for_every_utterance(
  exported, shards, examples, model, tmp_path
):
  done = verb(
    "mmer_jax.predict",
    f"--model={exported}",
    f"--input={shards}",
    f"--out={tmp_path / 'p.jsonl'}",
    "--explain",
  )
  assert not done.returncode, done.stderr
  rows = [
    json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()
  ]
  assert [row["id"] for row in rows] == [example["id"] for example in examples]
  found = model.predict(streams(examples))
  np.testing.assert_allclose(
    [list(row["probs"].values()) for row in rows], found.probs, atol=1e-6
  )
  for row, example in zip(rows, examples, strict=True):
    assert row["predicted"] == max(row["probs"], key=row["probs"].get)
    for modality, scores in row["explain"]["per_modality"].items():
      assert (scores is None) == (not len(example[modality])), row["id"]


def test_files_of_features_say_the_same_as_shards(model, examples, tmp_path):
  chosen = [
    e for e in examples if all(len(e[m]) for m in model.spec["modalities"])
  ]
  chosen = chosen[:3]
  expected = model.predict(streams(chosen))
  with (tmp_path / "in.jsonl").open("w") as file:
    for example in chosen:
      cells = {m: example[m].tolist() for m in model.spec["modalities"]}
      file.write(json.dumps({"id": example["id"], **cells}) + "\n")
  padded = {}
  for modality in model.spec["modalities"]:
    length = max(len(example[modality]) for example in chosen)
    padded[modality] = np.stack(
      [
        np.pad(e[modality], [(0, length - len(e[modality])), (0, 0)])
        for e in chosen
      ]
    )
  np.savez(
    tmp_path / "in.npz", id=[example["id"] for example in chosen], **padded
  )
  for name in ("in.jsonl", "in.npz"):
    predictions.predict_file(model, tmp_path / name, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
      rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [example["id"] for example in chosen]
    for row, probs in zip(rows, expected.probs, strict=True):
      np.testing.assert_allclose(
        [float(row[f"prob:{name}"]) for name in model.emotions],
        probs,
        atol=1e-6,
      )


def test_a_table_of_whole_utterances_is_matched_by_its_columns(model, tmp_path):
  columns = model.spec["modalities"]["acoustic"]["columns"]
  mean = model.spec["modalities"]["acoustic"]["mean"]

  def write(names):
    with (tmp_path / "in.csv").open("w", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(["id", *(f"acoustic:{name}" for name in names)])
      writer.writerow(["one", *mean])
      writer.writerow(["none", *[""] * len(mean)])

  write(columns)
  count = predictions.predict_file(
    model, tmp_path / "in.csv", tmp_path / "out.jsonl", explain=True
  )
  rows = [
    json.loads(line)
    for line in (tmp_path / "out.jsonl").read_text().splitlines()
  ]
  assert count == 2
  assert [row["explain"]["present"]["acoustic"] for row in rows] == [
    True,
    False,
  ]
  write([columns[1], columns[0], *columns[2:]])
  with pytest.raises(errors.UserError, match="acoustic column 0 is .*_01, the"):
    predictions.predict_file(model, tmp_path / "in.csv", tmp_path / "out.jsonl")


def test_mistakes_are_named(model, tmp_path):
  bad, out = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
  bad.write_text('{"id": 1, "acoustics": [[1]]}\n')
  for call, match in (
    (lambda: mmer_jax.load(tmp_path), "holds neither feature_spec.json nor ru"),
    (
      lambda: predictions.predict_file(model, tmp_path / "no", out),
      "does not exist",
    ),
    (
      lambda: predictions.predict_file(model, bad, out),
      "line 1 holds none of lexical",
    ),
    (
      lambda: predictions.predict_file(model, bad, out, emotions=["bored"]),
      "needs the vector of bored",
    ),
    (
      lambda: predictions.predict_file(model, bad, tmp_path / "x.txt"),
      "expected one of .jsonl",
    ),
  ):
    with pytest.raises(errors.UserError, match=match) as caught:
      call()
    assert "\n" not in str(caught.value)
  assert not out.exists()


def test_importing_the_package_imports_nothing_else():
  done = run(
    "-c",
    "import sys, mmer_jax; mmer_jax.load;"
    " print([m for m in ('jax', 'numpy', 'flax', 'absl') if m in sys.modules])",
  )
  assert done.stdout.strip() == "[]"


class _Page(html.parser.HTMLParser):
  """The tags of a page with their attributes, and its text."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.open, self.text = [], [], ""
    self.feed(page)
    assert not self.open, self.open

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in ("meta", "img"):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag, tag

  def handle_data(self, data):
    self.text += " " + data


def test_the_report_is_one_page_that_everybody_can_read(trained, tmp_path):
  """A workdir, and the same as the program of a paper's table."""
  table = tmp_path / "table <5>"
  shutil.copytree(trained, table / "mtee")
  outcome = workdir.read_json(trained / "results" / "validation.json")
  ours = [{"mean": 0.5, "std": 0.1, "ci95": [0.4, 0.6], "n": 2}, None]
  row = {"name": "MTEE & co", "program": "mtee", "paper": [0.655, None]}
  content = {
    "title": "A table",
    "notes": "None.",
    "split": "test",
    "dataset": outcome["dataset"],
    "programs": {"mtee": {}},
    "sections": [
      {
        "title": "All",
        "columns": ["AUC", "F1"],
        "rows": [{**row, "ours": ours, "difference": [ours[0], ours[0]]}],
        "against": "LF-LSTM",
      }
    ],
  }
  workdir.write_json(table / "table.json", content)
  # As `evaluate --modalities=lexical` leaves it.
  lexical = {**outcome, "protocol": {**outcome["protocol"]}}
  lexical["protocol"]["modalities"] = ["lexical"]
  workdir.write_json(
    table / "mtee" / "results" / "validation-lexical.json", lexical
  )
  out = tmp_path / "report"
  text = page_lib.write([trained, table], out).read_text()
  page = _Page(text)
  words = " ".join(page.text.split())
  for metric in ("accuracy", "auc"):
    assert tables_lib.percent(outcome["summary"][metric]) in words
    assert f"{100 * outcome['majority_baseline'][metric]:.1f}" in words
  assert "MTEE & co" in words and "65.5" in words and "50.0 ± 10.0" in words
  # Where the paper printed nothing, it has no column.
  printed = [a for t, a in page.tags if t == "th" and "class" in a]
  assert [a["class"] for a in printed if a["class"] != "text"] == ["paper"]
  assert "table <5>/mtee" in words and "<5>" not in text
  assert outcome["dataset"]["fingerprint"] in words
  assert "by which checkpoints were chosen" in words
  for name in outcome["protocol"]["emotions"]:
    assert name in words

  # Nothing is fetched, and everything has a name.
  for tag, attributes in page.tags:
    assert tag not in ("script", "link", "iframe", "object")
    for key in ("src", "href"):
      assert attributes.get(key, "#").startswith(("#", "data:image/svg")), tag
    if tag == "img":
      assert len(attributes["alt"]) > 40
    if tag == "th":
      assert attributes["scope"] in ("col", "row", "colgroup")
    if attributes.get("tabindex") and tag == "div":
      assert attributes["aria-label"]
  assert "url(" not in text and "@import" not in text
  names = [
    attributes["id"] for _, attributes in page.tags if "id" in attributes
  ]
  assert len(set(names)) == len(names)
  links = {a["href"][1:] for tag, a in page.tags if tag == "a"}
  assert links <= set(names)
  tags = [tag for tag, _ in page.tags]
  assert tags.count("table") == tags.count("caption") > 8
  headings = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
  assert headings[0] == 1 and headings.count(1) == 1
  steps = np.diff(headings)
  assert steps.max() == 1
  for rule in ("prefers-color-scheme: dark", "@media print", ":focus-visible"):
    assert rule in text
  drawn = {path.name for path in (out / "figures" / "mtee").iterdir()}
  assert {"losses.png", "losses.svg", "losses.json"} <= drawn

  with pytest.raises(errors.UserError, match="two folders called mtee"):
    page_lib.write([trained, trained], out)
  with pytest.raises(errors.UserError, match="run.json is missing"):
    page_lib.write([tmp_path], out)


def test_a_report_says_what_it_could_not_draw(trained, tmp_path):
  folder = tmp_path / "moved"
  shutil.copytree(trained, folder)
  config = workdir.read_json(folder / "config.json")
  config["data"]["dir"] = str(tmp_path / "gone")
  workdir.write_json(folder / "config.json", config)
  text = page_lib.write([folder], tmp_path / "report").read_text()
  assert "Some figures need the shards" in text and "gone" in text
  assert "Distances between emotions" not in text
