"""What configs of one's own corpus take from the shards."""

import importlib

import numpy as np
import pytest

from configs import quickstart
from configs.baselines import lf_lstm_iemocap
from mmer_jax.base import errors, workdir
from mmer_jax.data import partition
from mmer_jax.experiment import (
  build,
  fit,
  fit_protocol,
  fit_system,
  provenance,
)
from tests import own_shards

SYSTEMS = ("dae_mmd", "lf_lstm", "m3er", "mtee", "multiview")


def own(system="lf_lstm", folder="", **changes):
  config = importlib.import_module(f"configs.own.{system}").get_config("smoke")
  with config.unlocked():
    config.data.dir = str(folder)
    config.update_from_flattened_dict(changes)
  return config


def rows(speakers, *, sessions=None, splits=None, labelled=None, texts=None):
  """Utterances as `fit_protocol` sees them; equal texts are the same."""
  n = len(speakers)
  nothing = [""] * n
  key = "text of 5 words or more"
  return partition.Rows(
    ids=np.array([f"u{i}" for i in range(n)]),
    speakers=np.array(speakers, dtype=str),
    sessions=np.array(sessions or nothing, dtype=str),
    splits=np.array(splits or nothing, dtype=str),
    labelled=np.ones(n, bool) if labelled is None else np.array(labelled),
    digests=[{key: t.encode()} for t in texts or [f"{i}" for i in range(n)]],
  )


SIX = list("aabbccddeeff")
THREE_SPLITS = ["train"] * 6 + ["validation"] * 2 + ["test"] * 4


@pytest.mark.parametrize(
  ("table", "expected", "said"),
  [
    (rows(SIX, splits=THREE_SPLITS), {"split": "corpus"}, "splits of its own"),
    (
      rows(list("abcdefabcdef"), splits=THREE_SPLITS),
      {"split": "corpus", "allow_speaker_overlap": True},
      "6 of 6 speakers are in several splits",
    ),
    (
      rows(SIX, splits=["train"] * 8 + ["test"] * 4),
      {"split": "corpus", "validation": ""},
      "no split 'validation': a part of the training split",
    ),
    (
      rows(SIX, splits=["train"] * 4 + ["validation", ""] + ["test"] * 6),
      {"split": "corpus", "validation": "validation"},
      "1 labelled utterances are in none of them",
    ),
    (
      rows(SIX, sessions=list("111122223333")),
      {"split": "leave_one_session_out", "allow_identical": False},
      "3 sessions",
    ),
    (
      rows(SIX, sessions=list("111111222222")),
      {"split": "group_kfold", "k": 5},
      "6 speakers in 5 groups",
    ),
    (rows(SIX), {"split": "group_kfold", "k": 5}, "6 speakers in 5 groups"),
    # Eleven folds of three seeds would be many runs.
    (
      rows(
        [f"s{i:02}" for i in range(22)],
        sessions=[f"{i // 2:02}" for i in range(22)],
      ),
      {"split": "group_kfold", "k": 5},
      "22 speakers in 5 groups",
    ),
    (
      rows(list("aaabbbcccddd")),
      {"split": "group_kfold", "k": 4, "allow_identical": False},
      "4 speakers in 4 groups",
    ),
    (
      rows(SIX, texts=list("xyxzuvwwopqr")),
      {"split": "group_kfold", "allow_identical": True},
      "2 of 12 utterances have the same text of 5 words or more as one of"
      " another speaker",
    ),
    (
      rows(list("aaaaaabbbbbb")),
      {"split": "kfold", "allow_speaker_overlap": True, "k": 5},
      "2 speakers are known: too few to keep them apart",
    ),
    (
      rows([*SIX[:-1], ""]),
      {"split": "kfold", "allow_speaker_overlap": True},
      "6 speakers are known, and not of every utterance",
    ),
    (
      rows([""] * 4),
      {"split": "kfold", "allow_speaker_overlap": False, "k": 4},
      "4 utterances in 4 groups, whoever speaks (no speaker is known)",
    ),
    (
      rows([""] * 6, texts=list("xyxyxy")),
      {"split": "kfold", "allow_identical": True, "k": 5},
      "only 2 texts differ",
    ),
    (
      rows([""] * 6, texts=list("xyzxyz")),
      {"split": "kfold", "allow_identical": False, "k": 3},
      "6 utterances in 3 groups",
    ),
    # Rows without a label decide nothing.
    (
      rows([*SIX, ""], labelled=[True] * 12 + [False]),
      {"split": "group_kfold"},
      "6 speakers",
    ),
  ],
)
def test_the_protocol_is_the_strictest_that_the_corpus_allows(
  table, expected, said
):
  config = own()
  with config.unlocked():
    notes = fit_protocol.fit(config.protocol, table, "DIR")
  for key, value in expected.items():
    assert config.protocol[key] == value, key
  assert said in "; ".join(notes)
  assert notes[0].startswith(f"protocol {config.protocol.split}")


def test_a_choice_of_the_command_line_is_left_as_it_is():
  config = own(**{"protocol.k": 3})
  with config.unlocked():
    fit_protocol.fit(config.protocol, rows(SIX), "DIR")
  assert config.protocol.k == 3


def test_too_few_rows_are_refused_in_one_line(tmp_path):
  shards = own_shards.convert(
    tmp_path / "s", frames={"acoustic": 1}, labels=["a", "b"]
  )
  with pytest.raises(errors.UserError, match="has 2 labelled utterances, exp"):
    fit.fit_to_corpus(own(folder=shards))


def test_a_config_that_leaves_nothing_open_is_as_it_was(tmp_path):
  for config in (quickstart.get_config(), lf_lstm_iemocap.get_config()):
    with config.unlocked():
      # Nothing is read.
      config.data.dir = str(tmp_path / "none")
    before = config.to_dict()
    assert not fit.is_open(config)
    assert fit.fit_to_corpus(config) == ()
    assert config.to_dict() == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def everything(folder):
  """Twelve rows of six speakers with all modalities, one class each."""
  return own_shards.convert(
    folder / "everything",
    frames={"lexical": 3, "acoustic": 6, "visual": 5},
    vectors=("a", "b"),
    labels=[("a",), ("b",)] * 6,
    speaker=SIX,
  )


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_is_settled_and_stays_so(everything, system):
  config = own(system, everything)
  notes = fit.fit_to_corpus(config)
  assert config.is_locked
  assert "decision softmax" in notes[0]
  assert config.protocol.split == "group_kfold"
  assert config.training.batch_size == 8
  settled = config.to_dict()
  assert not fit.is_open(config)
  assert fit.fit_to_corpus(config) == ()
  assert config.to_dict() == settled
  experiment = build.build_experiment(config)
  assert len(experiment.records) == 5
  # The same command again is the same training.
  other = own(system, everything)
  fit.fit_to_corpus(other)
  assert provenance.config_digest(other) == provenance.config_digest(config)


def test_the_view_reads_what_there_is():
  for modalities, acoustic, aligned, view in (
    (("lexical", "acoustic", "visual"), 9, True, "h_mm_4"),
    (("lexical", "acoustic"), 9, False, "b_mm_1"),
    (("lexical", "acoustic"), 1, False, "h_mm_4"),
    (("acoustic",), 9, True, "h_aco_1"),
    (("acoustic", "visual"), 9, False, "b_aco_1_attention"),
    (("lexical",), 1, False, "b_lex"),
  ):
    config = own("multiview", **{"data.modalities": modalities})
    frames = dict.fromkeys(modalities, 5) | {"acoustic": acoustic}
    shapes = fit_system.Shapes("DIR", frames, 4, aligned)
    with config.unlocked():
      notes = fit_system.fit(config, shapes)
    assert config.model.view == view
    assert config.data.modalities == tuple(
      name for name in modalities if name != "visual"
    )
    assert ("does not read visual" in notes[0]) == ("visual" in modalities)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("modality", ["lexical", "visual"])
def test_one_modality_of_one_frame_is_enough(folder, system, modality):
  shards = folder / modality
  if not shards.exists():
    own_shards.convert(
      shards,
      frames={modality: 1},
      vectors=("a", "b"),
      labels=[("a",), ("b",)] * 6,
    )
  config = own(system, shards)
  if (system, modality) == ("multiview", "visual"):
    with pytest.raises(errors.UserError, match=r"has visual; use .*lf_lstm"):
      fit.fit_to_corpus(config)
    return
  fit.fit_to_corpus(config)
  assert config.data.modalities == (modality,)
  build.build_experiment(config)


def test_several_emotions_a_row_are_several_decisions(folder):
  shards = own_shards.convert(
    folder / "several",
    frames={"acoustic": 2},
    emotions=("a", "b", "c"),
    labels=[("a", "b"), ("b",), (), None] * 4,
  )
  config = own(folder=shards)
  notes = fit.fit_to_corpus(config)
  assert config.protocol.decision == "binary"
  assert config.data.emotions == ("a", "b")
  assert "no labelled utterance is c: not learnt" in notes


@pytest.mark.parametrize(
  ("labels", "expected"), [(None, "regression"), (("a",), "softmax")]
)
def test_ratings_without_a_label_are_learnt(folder, labels, expected):
  shards = own_shards.convert(
    folder / f"rated_{expected}",
    frames={"acoustic": 2},
    labels=[labels, labels and ("b",)] * 8,
    scales=[("valence", 1.0, 5.0)],
    ratings=[np.array([1.0 + number / 4]) for number in range(16)],
  )
  config = own(folder=shards)
  fit.fit_to_corpus(config)
  assert config.protocol.decision == expected


def test_mtee_leaves_out_what_it_cannot_read(folder):
  labels = [("a",), ("b",), ("c",)] * 4
  both = {
    "frames": {"acoustic": 2},
    "labels": labels,
    "emotions": ("a", "b", "c"),
  }
  config = own(
    "mtee", own_shards.convert(folder / "c", vectors=("a", "b"), **both)
  )
  notes = fit.fit_to_corpus(config)
  assert config.data.emotions == ("a", "b")
  assert "c has no word vector" in "; ".join(notes)
  assert "left out, 4 utterances" in "; ".join(notes)
  assert "8 utterances in 5 groups" in "; ".join(notes)
  config = own("lf_lstm", folder / "c")
  fit.fit_to_corpus(config)
  assert config.data.emotions == ()
  config = own("mtee", own_shards.convert(folder / "none", **both))
  with pytest.raises(errors.UserError, match="again with --word_vectors=FILE"):
    fit.fit_to_corpus(config)


def test_rows_that_validate_have_no_part_in_the_normalisation(folder):
  """Those of a training split without another split for validation."""
  shards = own_shards.convert(
    folder / "no_validation",
    frames={"acoustic": 1},
    labels=[("a",), ("b",)] * 6,
    speaker=SIX,
    split=["train"] * 10 + ["test"] * 2,
  )
  config = own(folder=shards)
  fit.fit_to_corpus(config)
  assert config.protocol.validation == ""
  experiment = build.build_experiment(config)
  (record,) = experiment.records
  assert [len(rows) for rows in record.fold[2:]] == [8, 2, 2]
  streams = experiment.corpus.table.take(record.fold.train).streams
  np.testing.assert_allclose(
    experiment.runs.mean["acoustic"][0],
    streams["acoustic"].features[:, 0].mean(axis=0),
    rtol=1e-5,
  )


def test_a_split_file_goes_before_any_protocol(everything, tmp_path):
  path = tmp_path / "split.csv"
  lines = [f"u{i},{i % 3}" for i in range(12)]
  path.write_text("\n".join(["id,fold", *lines]) + "\n")
  changes = {
    "protocol.split_file": str(path),
    "protocol.allow_speaker_overlap": True,
  }
  config = own(folder=everything, **changes)
  fit.fit_to_corpus(config)
  assert config.protocol.split == "file"
  assert len(config.protocol.split_digest) == 64
  experiment = build.build_experiment(config)
  folds = [record.fold for record in experiment.records]
  assert [fold.name for fold in folds] == ["0", "1", "2"]
  tested = set(experiment.corpus.columns["id"][folds[1].test])
  assert tested == {"u1", "u4", "u7", "u10"}
  # A workdir may go on with the file elsewhere, not with another.
  path.rename(tmp_path / "moved.csv")
  moved = own(folder=everything, **changes)
  with moved.unlocked():
    moved.protocol.split_file = str(tmp_path / "moved.csv")
  fit.fit_to_corpus(moved)
  assert provenance.config_digest(moved) == provenance.config_digest(config)
  path.write_text("\n".join(["id,fold", *reversed(lines)]) + "\n")
  workdir.write_json(tmp_path / "run" / "config.json", config.to_dict())
  provenance.check_workdir(moved, tmp_path / "run")
  changed = own(folder=everything, **changes)
  fit.fit_to_corpus(changed)
  assert provenance.config_digest(changed) != provenance.config_digest(config)
  with pytest.raises(errors.UserError, match=r"another config .*split_digest"):
    provenance.check_workdir(changed, tmp_path / "run")
  with pytest.raises(errors.UserError, match="changed since the training"):
    build.build_experiment(config)
