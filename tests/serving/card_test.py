"""The spec and the card of an export."""

import json

import numpy as np
import yaml

from mmer_jax.base import workdir
from mmer_jax.data import manifest as manifest_lib


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
