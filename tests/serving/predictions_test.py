"""Predicting files and shards."""

import csv
import json
import shutil

import numpy as np
import pytest

import mmer_jax
from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.serving import inputs, predictions
from mmer_jax.serving import model as model_lib
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


def test_new_emotions_are_of_the_vectors_of_training(model, tmp_path):
  (emotion, *_) = model.spec["emotions"]
  path, vector = tmp_path / "vectors.txt", np.float32(emotion["vector"])
  word = emotion["word"] or "calm"
  spec = {**model.spec, "emotions": [{**emotion, "word": word}]}
  known = model_lib.Model(spec, {}, lambda tensors, inputs: {})

  def read(vectors):
    rows = {word: vectors, "bored": vector[::-1]}
    path.write_text(
      "".join(
        f"{name} {' '.join(map(repr, map(float, row)))}\n"
        for name, row in rows.items()
      )
    )
    return predictions.read_emotions(known, ["bored"], path)

  np.testing.assert_array_equal(read(vector)["bored"], vector[::-1])
  with pytest.raises(errors.UserError, match=f"first word .* is {word!r}"):
    read(vector + 1)


def test_new_emotions_of_an_encoder_may_be_of_another_machine(model, tmp_path):
  path, names = tmp_path / "vectors.txt", ("calm", "bored")
  vectors = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
  vectors[0, 2] = 1e-7
  emotions = [{"name": "calm", "word": "calm", "vector": vectors[0].tolist()}]
  encoder = "sha256=1 layer=2 pooling=mean"
  spec = {
    **model.spec,
    "emotions": emotions,
    "identity": {"text_encoder": encoder},
  }
  known = model_lib.Model(spec, {}, lambda tensors, inputs: {})

  def read(shift):
    rows = zip(names, vectors + np.float32(shift), strict=True)
    path.write_text(
      "".join(f"{n} {' '.join(map(str, row.tolist()))}\n" for n, row in rows)
    )
    return predictions.read_emotions(known, ["bored"], path)

  np.testing.assert_allclose(read(1e-6)["bored"], vectors[1], atol=2e-6)
  with pytest.raises(
    errors.UserError, match="'calm'; pass one that .*enc.* ha"
  ):
    read(0.01)
  with pytest.raises(errors.UserError, match=f"bored, .*FILE, one .*{encoder}"):
    predictions.read_emotions(known, ["bored"], None)


def test_shards_whose_features_mean_something_else_are_refused(
  model, shards, tmp_path
):
  """What identifies them is in the manifest and in feature_spec.json."""
  known = {
    "tokeniser": "words-2",
    "oov": "skip",
    "word_vectors_sha256": "1" * 64,
    "word_vectors_sample": {"good": "a", "so": "b"},
    "frame_rate_hz": {"acoustic": 100.0},
  }
  spec = {**model.spec, "identity": {**model.spec["identity"], **known}}
  manifest = json.loads((shards / "manifest.json").read_text())

  def read(spec=spec, **changes):
    folder = tmp_path / "shards"
    shutil.copytree(shards, folder, dirs_exist_ok=True)
    identity = {**manifest["identity"], **known, **changes}
    changed = manifest_lib.sign({**manifest, "identity": identity})
    (folder / "manifest.json").write_text(json.dumps(changed))
    return list(inputs.read_utterances(spec, folder))

  def refuse(match, **changes):
    with pytest.raises(errors.UserError, match=match) as caught:
      read(**changes)
    assert "\n" not in str(caught.value)

  assert len(read()) == 120
  refuse("tokeniser words-1, expected words-2", tokeniser="words-1")
  refuse("oov zero, expected skip", oov="zero")
  refuse("frames/s 25.0, expected 100.0", frame_rate_hz={"acoustic": 25.0})
  others = {"word_vectors_sha256": "2" * 64}
  refuse(
    "first word that differs is 'so'",
    word_vectors_sample={"so": "c", "too": "d"},
    **others,
  )
  # Other words of the same vectors are the same features.
  assert len(read(word_vectors_sample={"so": "b", "too": "d"}, **others)) == 120
  # An export of an earlier version says nothing, and is not compared.
  earlier = {k: v for k, v in model.spec.items() if k != "identity"}
  assert len(read(earlier, tokeniser="words-1", oov="zero")) == 120


def test_columns_of_shards_are_told_by_their_names(model, shards, examples):
  columns = {
    **model.spec["identity"]["columns"],
    "acoustic": model.spec["identity"]["columns"]["acoustic"][::-1],
  }
  identity = {**model.spec["identity"], "columns": columns}
  read = inputs.read_utterances({**model.spec, "identity": identity}, shards)
  for utterance, example in zip(read, examples, strict=True):
    assert utterance.id == example["id"]
    np.testing.assert_array_equal(
      utterance.features["acoustic"], example["acoustic"][:, ::-1]
    )
