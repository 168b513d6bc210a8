"""New emotions on the whole road: left out, learnt, judged, resumed."""

import json
import pathlib

import jax
import numpy as np
import pytest
import rich.console

from configs import quickstart
from configs.baselines import lf_lstm_mosei
from mmer_jax.base import errors, workdir
from mmer_jax.data import tables
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.experiment import build
from mmer_jax.training import session as session_lib
from mmer_jax.training import stopper
from tests import synthetic_shards

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)
EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return synthetic_shards.synthetic(tmp_path_factory, "tiny_mosei", 400)


def make(shards, module=quickstart, **changes):
  config = module.get_config()
  with config.unlocked():
    config.data.dir = str(shards)
    config.data.max_length.update(lexical=0, acoustic=0, visual=0)
    config.seeds = (0,)
    config.training.epochs = 2
    config.training.batch_size = 32
    config.training.early_stopping = 0
    config.training.select = "weighted_accuracy"
    config.protocol.split = "corpus"
    config.protocol.folds = ()
    config.protocol.decision = "binary"
    config.protocol.unseen = (("surprise",), ("fear",))
    config.few_shot.share = 0.3
    config.few_shot.epochs = 2
    config.few_shot.memory = 40
    config.model.layers = 1
    config.model.hidden.update(lexical=25, acoustic=6, visual=5)
    config.update_from_flattened_dict(changes)
  return config


@pytest.mark.parametrize("method", ["fine_tune", "joint", "gem"])
def test_the_rows_of_a_stage_have_the_labels_that_the_method_may_see(
  shards, method
):
  experiment = build.build_experiment(
    make(
      shards,
      **{
        "few_shot.method": method,
        "few_shot.memory_tasks": "per_emotion",
        "protocol.unseen": (("surprise", "fear"),),
      },
    )
  )
  (record,) = experiment.records
  labels, known = experiment.corpus.labels, experiment.runs.known[0]
  new = [EMOTIONS.index(name) for name in record.unseen]
  assert not labels[record.fold.train][:, new].any()
  assert known[0].tolist() == [i not in new for i in range(6)]
  assert known[1].tolist() == [i == new[0] for i in range(6)]
  assert known[2].tolist() == [i == new[1] for i in range(6)]
  for number in (1, 2):
    rows = experiment.epoch(record, number, 0)
    batch = tables.take(experiment.corpus.table.batch, rows)
    roles, count = np.unique(batch.role[batch.example_mask], return_counts=True)
    seen = dict(zip(roles.tolist(), count.tolist(), strict=True))
    own = len(record.samples[number - 1])
    steps = len(rows)
    if method == "fine_tune":
      assert seen == {number: own}
    elif method == "joint":
      before = {s: len(record.samples[s - 1]) for s in range(1, number)}
      assert seen == {0: len(record.fold.train), **before, number: own}
    else:
      # Four source emotions' memories, each of its own role, and those of
      # the stages before, behind every step.
      source = {3 + i for i in range(6) if i not in new}
      assert set(seen) == {number} | source | set(range(1, number))
      assert seen[number] == own
      assert all(seen[role] % steps == 0 for role in source)
      assert rows.shape[1] == 64 * (1 + 4 + number - 1)
    for role in seen:
      real = batch.example_mask & (batch.role == role)
      if role > 2:
        assert 0 < batch.labels[real][:, role - 3].mean() < 1
  positives = labels[record.samples[0]][:, new[0]]
  assert positives.mean() == 0.5


def test_every_setting_leaves_its_emotion_out_and_is_reported(shards, tmp_path):
  config = make(shards)
  train_and_evaluate.train_and_evaluate(config, tmp_path, console=QUIET)
  outcome = evaluate.evaluate_workdir(tmp_path, evaluate.Request("test"))
  assert [run["unseen"] for run in outcome["runs"]] == [["surprise"], ["fear"]]
  assert [entry["emotions"] for entry in outcome["unseen"]] == [
    ["surprise"],
    ["fear"],
  ]
  for run, entry in zip(outcome["runs"], outcome["unseen"], strict=True):
    (name,) = run["unseen"]
    assert (
      entry["per_emotion"][name]["auc"]["mean"]
      == (run["per_emotion"][name]["auc"])
    )
    rest = [
      scores["auc"]
      for emotion, scores in run["per_emotion"].items()
      if emotion != name
    ]
    np.testing.assert_allclose(entry["rest"]["auc"]["mean"], np.mean(rest))
  page = (tmp_path / "results" / "test.md").read_text()
  assert "all but surprise" in page

  chosen = evaluate.evaluate_workdir(
    tmp_path, evaluate.Request("test", thresholds="validation")
  )
  assert (tmp_path / "results" / "test-thresholds.json").exists()
  for before, after in zip(outcome["runs"], chosen["runs"], strict=True):
    assert before["metrics"]["auc"] == after["metrics"]["auc"]
    assert before["metrics"]["f1"] != after["metrics"]["f1"]


def test_an_untrained_output_of_a_baseline_stays_as_it_was_made(
  shards, tmp_path
):
  """Its labels are not known in any step, so nothing moves it."""
  config = make(shards, lf_lstm_mosei, **{"protocol.unseen": (("fear",),)})
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  batch = build.sample_batch(config, experiment.corpus)
  compiled = session.program(0)
  runs = session.place_runs(experiment.runs)
  begun = compiled.init(runs, batch)
  fresh = {
    "/".join(str(p) for p in path): np.asarray(leaf)
    for path, leaf in _leaves(begun.best_params)
  }
  rows = experiment.epoch(experiment.records[0], 0, 0)[None]
  after = compiled.train(begun, runs, session.resident, rows)
  column, moved = EMOTIONS.index("fear"), 0
  for path, leaf in _leaves(after.train.params):
    name = "/".join(str(p) for p in path)
    if leaf.shape[-1] != len(EMOTIONS):
      continue
    change = np.abs(np.asarray(leaf) - fresh[name])
    assert change[..., column].max() == 0
    assert change.max() > 0
    moved += 1
  assert moved == 2


def _leaves(tree):
  return jax.tree_util.tree_leaves_with_path(tree)


@pytest.mark.parametrize(
  "method",
  [
    "fine_tune",
    pytest.param("joint", marks=pytest.mark.long),
    pytest.param("gem", marks=pytest.mark.long),
  ],
)
def test_stages_are_trained_judged_and_resumed(shards, tmp_path, method):
  config = make(
    shards,
    **{
      "few_shot.method": method,
      "protocol.unseen": (("surprise", "fear"),),
    },
  )
  whole, broken = tmp_path / "whole", tmp_path / "broken"
  assert train_and_evaluate.train_and_evaluate(
    config.copy_and_resolve_references(), whole, console=QUIET
  )
  outcome = evaluate.evaluate_workdir(whole, evaluate.Request("test"))
  (run,) = outcome["runs"]
  assert [stage["stage"] for stage in run["stages"]] == [
    "supervised",
    f"{method}_1",
    f"{method}_2",
  ]
  transfer = run["transfer"]
  assert np.shape(transfer["matrix"]) == (3, 3)
  source = [
    run["stages"][1]["per_emotion"][name]["weighted_accuracy"]
    for name in EMOTIONS
    if name not in ("surprise", "fear")
  ]
  np.testing.assert_allclose(transfer["matrix"][1][0], np.mean(source))
  np.testing.assert_allclose(
    transfer["backward_transfer"],
    np.mean(
      [transfer["matrix"][2][j] - transfer["matrix"][j][j] for j in (0, 1)]
    ),
  )
  np.testing.assert_allclose(
    transfer["forward_transfer"],
    np.mean(
      [transfer["matrix"][j - 1][j] - transfer["initial"][j] for j in (1, 2)]
    ),
  )
  description = workdir.read_json(whole / "run.json")
  samples = description["runs"][0]["samples"]
  assert len(samples) == 2 and all(len(set(ids)) == len(ids) for ids in samples)

  # Stopped in the second stage, at the end of its first epoch.
  agreed = stopper.Stopper.agreed

  def stop_in_the_second_stage(self):
    del self
    log = broken / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return bool(lines) and json.loads(lines[-1])["stage"] == 1

  stopper.Stopper.agreed = stop_in_the_second_stage
  try:
    assert not train_and_evaluate.train_and_evaluate(
      config.copy_and_resolve_references(), broken, console=QUIET
    )
  finally:
    stopper.Stopper.agreed = agreed
  assert train_and_evaluate.train_and_evaluate(
    config.copy_and_resolve_references(), broken, console=QUIET
  )
  assert (broken / "metrics.jsonl").read_bytes() == (
    whole / "metrics.jsonl"
  ).read_bytes()
  assert (
    evaluate.evaluate_workdir(broken, evaluate.Request("test"))["runs"]
    == outcome["runs"]
  )


@pytest.mark.long
def test_word_forms_are_runs_and_one_is_chosen_on_validation(shards, tmp_path):
  config = make(shards, **{"protocol.unseen": ()})
  vectors = build.build_experiment(config).corpus.vectors
  file = tmp_path / "vectors.txt"
  words = {"dread": EMOTIONS.index("fear"), "cheer": EMOTIONS.index("happy")}
  file.write_text(
    "".join(
      f"{word} {' '.join(map(str, -vectors[row]))}\n"
      for word, row in words.items()
    )
  )
  sweep = ("", "fear=dread", "happy=cheer,fear=dread")
  config = make(
    shards,
    **{
      "protocol.unseen": (),
      "data.word_vectors": str(file),
      "sweep.words": sweep,
    },
  )
  experiment = build.build_experiment(config)
  for record, own, forms in zip(
    experiment.records, experiment.runs.vectors, sweep, strict=True
  ):
    assert record.setting == {"words": forms}
    for row, name in enumerate(EMOTIONS):
      sign = -1 if f"{name}=" in forms else 1
      np.testing.assert_allclose(own[row], sign * vectors[row], rtol=1e-6)
  train_and_evaluate.train_and_evaluate(config, tmp_path / "w", console=QUIET)
  outcome = workdir.read_json(tmp_path / "w" / "results" / "validation.json")
  scores = [run["metrics"]["weighted_accuracy"] for run in outcome["runs"]]
  assert outcome["setting"] == {"words": sweep[int(np.argmax(scores))]}
  # Only two emotions have forms to choose among.
  assert set(outcome["words"]) == {"fear", "happy"}
  each = [run["per_emotion"] for run in outcome["runs"]]
  plain, *formed = [run["fear"]["weighted_accuracy"] for run in each]
  assert outcome["words"]["fear"] == (
    "dread" if np.mean(formed) > plain else ""
  )

  # The vectors are part of what a workdir is.
  file.write_text(file.read_text().replace("dread ", "dread 1", 1))
  with pytest.raises(errors.UserError, match="other word vectors"):
    train_and_evaluate.train_and_evaluate(config, tmp_path / "w", console=QUIET)
  with pytest.raises(errors.UserError, match="are not those of the training"):
    evaluate.evaluate_workdir(tmp_path / "w", evaluate.Request("test"))


def test_a_run_without_a_modality_never_sees_it(shards):
  """The other features of the modality that is not kept change nothing."""
  config = make(
    shards,
    **{
      "protocol.unseen": (),
      "sweep.modalities": (("lexical", "acoustic"), ("visual",)),
    },
  )
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  runs = session.place_runs(experiment.runs)
  batch = build.sample_batch(config, experiment.corpus)
  compiled = session.program(0)
  rows = np.stack(
    [experiment.epoch(record, 0, 0) for record in experiment.records]
  )

  def trained(source):
    state = compiled.init(runs, batch)
    return jax.tree.map(
      np.asarray, compiled.train(state, runs, source, rows).train.params
    )

  streams = session.resident.streams
  visual = streams["visual"]
  other = session.resident.replace(
    streams={
      **streams,
      "visual": visual.replace(features=visual.features[::-1] + 1),
    }
  )
  same, changed = trained(session.resident), trained(other)
  moved = [
    [
      float(np.abs(a[run] - b[run]).max())
      for a, b in zip(
        jax.tree.leaves(same), jax.tree.leaves(changed), strict=True
      )
    ]
    for run in (0, 1)
  ]
  assert max(moved[0]) == 0
  assert max(moved[1]) > 0


def test_a_setting_is_chosen_without_the_unseen_emotion(shards, tmp_path):
  config = make(
    shards,
    **{
      "protocol.unseen": (("fear",),),
      "sweep.learning_rate": (1e-3, 1e-2),
    },
  )
  train_and_evaluate.train_and_evaluate(config, tmp_path, console=QUIET)
  outcome = workdir.read_json(tmp_path / "results" / "validation.json")
  for run in outcome["runs"]:
    seen = [
      scores["weighted_accuracy"]
      for name, scores in run["per_emotion"].items()
      if name != "fear"
    ]
    np.testing.assert_allclose(run["selection"], np.mean(seen))
  best = max(outcome["runs"], key=lambda run: run["selection"])
  assert outcome["setting"] == best["setting"]


@pytest.mark.long
def test_a_first_stage_may_come_from_another_workdir(shards, tmp_path):
  """The same, bit for bit, as if it had been trained here."""
  whole, first, rest = (tmp_path / name for name in ("whole", "first", "rest"))

  def config(method="gem", **changes):
    return make(
      shards,
      **{
        "few_shot.method": method,
        "protocol.unseen": (("surprise",),),
        **changes,
      },
    )

  train_and_evaluate.train_and_evaluate(config(), whole, console=QUIET)
  train_and_evaluate.train_and_evaluate(config("none"), first, console=QUIET)
  train_and_evaluate.train_and_evaluate(
    config(), rest, console=QUIET, first_stage=first
  )
  logs = [(folder / "metrics.jsonl").read_bytes() for folder in (whole, rest)]
  assert logs[0] == logs[1]
  results = [
    workdir.read_json(folder / "results" / "validation.json")["runs"]
    for folder in (whole, rest)
  ]
  assert results[0] == results[1]
  for wrong, at, message in (
    (config("none"), first, "stands in for the first of several stages"),
    (config(), whole, "method was 'gem', expected 'none'"),
    (config(**{"training.epochs": 3}), first, "epochs was 2, now 3"),
    (config(), tmp_path / "none", "config.json is missing"),
  ):
    with pytest.raises(errors.UserError, match=message):
      train_and_evaluate.train_and_evaluate(
        wrong, tmp_path / "new", console=QUIET, first_stage=at
      )
  assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"protocol.unseen": ("fear",)}, "expected a tuple of tuples"),
    ({"protocol.unseen": (("bored",),)}, "expected different ones of"),
    ({"protocol.unseen": (EMOTIONS,)}, "leaves no emotion to train on"),
    ({"protocol.decision": "softmax"}, "needs one decision per emotion"),
    (
      {"few_shot.method": "gem", "protocol.unseen": ()},
      "learns the emotions of config.protocol.unseen",
    ),
    (
      {
        "few_shot.method": "joint",
        "protocol.unseen": (("fear",), ("sad", "anger")),
      },
      "each with as many",
    ),
    ({"few_shot.method": "gen"}, "few_shot.method is 'gen', expected one of"),
    ({"few_shot.memory_tasks": "two"}, "few_shot.memory_tasks is 'two'"),
    ({"few_shot.share": 0.0}, "few_shot.share is 0.0"),
    ({"few_shot.memory": 0}, "few_shot.memory is 0"),
    ({"few_shot.select": "first"}, "few_shot.select is 'first'"),
    ({"training.select": "last"}, "training.select is 'last'"),
    ({"few_shot.optimizer": "rmsprop"}, "few_shot.optimizer is 'rmsprop'"),
    ({"data.without_emotion": "maybe"}, "without_emotion is 'maybe'"),
    ({"data.words": ("fear=scared",)}, "word_vectors is empty"),
    ({"data.words": ("bored=dull",)}, "'bored=dull' is not of the kind"),
    ({"sweep.words": ("", "")}, "expected different texts"),
    ({"sweep.words": (1, 2)}, "expected different texts"),
    ({"sweep.modalities": ("lexical",)}, "different tuples of some of"),
    ({"sweep.modalities": (("audio",),)}, "different tuples of some of"),
    ({"sweep.modalities": ((),)}, "different tuples of some of"),
    (
      {"sweep.modalities": (("visual",), ("visual",))},
      "different tuples of some of",
    ),
    (
      {
        "training.curve_thresholds": (0.5,),
        "protocol.decision": "softmax",
        "protocol.unseen": (),
      },
      "curve_thresholds are of binary decisions",
    ),
  ],
)
def test_a_mistake_is_named(shards, tmp_path, changes, message):
  with pytest.raises(errors.UserError, match=message):
    train_and_evaluate.train_and_evaluate(
      make(shards, **changes), tmp_path / "w", console=QUIET
    )
  assert not (tmp_path / "w").exists()
