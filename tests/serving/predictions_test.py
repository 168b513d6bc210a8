"""Predicting files and shards."""

import csv
import json

import numpy as np
import pytest

import mmer_jax
from mmer_jax.base import errors
from mmer_jax.serving import predictions
from tests import toy_model


def test_predictions_are_a_row_for_every_utterance(
  exported, shards, examples, model, tmp_path
):
  done = toy_model.verb(
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
  found = model.predict(toy_model.streams(examples))
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
  expected = model.predict(toy_model.streams(chosen))
  with (tmp_path / "in.jsonl").open("w") as file:
    for example in chosen:
      cells = {m: example[m].tolist() for m in model.spec["modalities"]}
      file.write(json.dumps({"id": example["id"], **cells}) + "\n")
  padded = {}
  for modality in model.spec["modalities"]:
    lengths = [len(example[modality]) for example in chosen]
    length = max(lengths)
    padded[f"{modality}_lengths"] = np.array(lengths)
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

  def predict(names, values):
    with (tmp_path / "in.csv").open("w", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(["id", *(f"acoustic:{name}" for name in names)])
      writer.writerow(["one", *values])
      writer.writerow(["none", *[""] * len(values)])
    count = predictions.predict_file(
      model, tmp_path / "in.csv", tmp_path / "out.jsonl", explain=True
    )
    assert count == 2
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]

  rows = predict(columns, mean)
  assert [row["explain"]["present"]["acoustic"] for row in rows] == [
    True,
    False,
  ]
  assert predict(columns[::-1], mean[::-1]) == rows
  with pytest.raises(errors.UserError, match="column 1 is 'pitch', expected"):
    predict(["pitch", *columns[1:]], mean)


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
