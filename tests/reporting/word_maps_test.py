"""Attention per word: what is computed, and the page of it."""

import numpy as np
import pytest

from configs.multiview import multimodal
from mmer_jax.base.errors import UserError
from mmer_jax.data import shards
from mmer_jax.evaluation import train_and_evaluate
from mmer_jax.reporting import word_maps, word_page
from tests import word_shards


@pytest.mark.long
def test_a_page_shows_what_counted(both, tmp_path):
  config = word_shards.small(multimodal.get_config("smoke"), both[0])
  folder = tmp_path / "work"
  assert train_and_evaluate.train_and_evaluate(
    config, folder, console=word_shards.QUIET
  )
  content = word_maps.word_maps(folder, split="test", run=0, count=3)
  examples = {e["id"]: e for _, e in shards.read_examples(both[0])}
  assert len(content["utterances"]) == 3
  for entry in content["utterances"]:
    example = examples[entry["id"]]
    assert entry["words"] == [word.decode() for word in example["words"]]
    assert entry["cut"] == 0
    np.testing.assert_allclose(sum(entry["attention"]), 1, rtol=1e-5)
    assert all(0 < share < 1 for share in entry["acoustic"])
    probabilities = entry["probabilities"]
    np.testing.assert_allclose(sum(probabilities.values()), 1, rtol=1e-6)
    assert max(probabilities, key=probabilities.get) == entry["chosen"]
  # Two words a legend has too: a class of another kind.
  page = word_page.page(content)
  assert page.count("title='attention") == sum(
    len(entry["words"]) for entry in content["utterances"]
  )
  with pytest.raises(UserError, match="--run is 1, expected one of"):
    word_maps.word_maps(folder, split="test", run=1, count=3)


def utterance(**changes):
  return {
    "id": "a",
    "true": "sad",
    "chosen": "happy",
    "probabilities": {"sad": 0.2, "happy": 0.75, "angry": 0.05},
    "words": ["<b>", "no"],
    "attention": [0.2, 0.8],
    "acoustic": None,
    "cut": 0,
    **changes,
  }


def page_of(*utterances):
  return word_page.page(
    {"run": "run 0", "split": "test", "utterances": utterances}
  )


def test_a_page_escapes_and_sorts():
  right = utterance(chosen="sad", acoustic=[0.25, 1.0])
  page = page_of(utterance(), right)
  assert "<b>no" not in page and "&lt;b&gt;" in page
  right, wrong = page.split("<h2>Wrong: 1</h2>")
  # Bars of 22 px: a quarter is acoustic.
  assert "height:5.5px" in right and "height:16.5px" in right
  assert "class='bar " not in wrong
  assert "happy 75 %, sad 20 %, angry 5 %" in wrong
  for part in ('lang="en"', "viewport", "prefers-color-scheme: dark"):
    assert part in page


def test_the_numbers_stand_below_for_who_points_at_nothing():
  page = page_of(utterance(acoustic=[0.25, 1.0]), utterance(cut=3))
  weighed, plain = page.split("<h2>")[2].split("<div class='utterance'>")[1:]
  # Two words: an equal share is a half.
  row = "<td>0.800</td><td>1.6</td>"
  assert f"no</th>{row}<td>100</td><td>0</td>" in weighed
  assert f"no</th>{row}</tr>" in plain and "sound" not in plain
  assert "&lt;b&gt;</th>" in plain
  assert "and 3 more, which the model did not" in plain
  assert "more, which" not in weighed


def test_uniform_attention_is_not_painted_as_certainty():
  # Not of one word, which has all of it, nor of many.
  for count in (1, 2, 7):
    page = page_of(
      utterance(words=["w"] * count, attention=[1 / count] * count)
    )
    body = page.split("<h2>", 1)[1]
    assert body.count("--share:0%") == count


def test_paint_grows_with_the_doublings_of_an_equal_share():
  # 2, 4, 8 and 16 times a share of 1/16: 1, 2, 3 of 3 doublings, and no more.
  painted = [word_page.paint(weight / 16, 1 / 16) for weight in (2, 4, 8, 16)]
  np.testing.assert_allclose(painted, [1 / 3, 2 / 3, 1, 1])
  assert word_page.paint(0.01, 1 / 16) == 0
