"""What the last line of a conversion counts."""

import dataclasses

import numpy as np
import pytest

from data_prep.corpus import classes
from data_prep.writing import closing
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_corpus, make_example


def test_whatever_is_lost_is_counted(write_corpus, tmp_path):
  examples = [
    make_example("1", [[np.nan, 1], [2, np.inf]], [[1, 2, 3]], label=0),
    make_example("2", [[np.nan, 1]], label=1),
  ]
  text = {
    **{"tokeniser": "t", "oov_policy": "zero", "tokens": 9, "oov_tokens": 3},
    **{"oov_types": 2, "emotions_without_vector": ["sad"]},
  }
  corpus = make_corpus(
    examples, text=text, tally={"cut to 3 words": 1}, notes=("a note",)
  )
  manifest, _ = write_corpus(corpus)
  assert manifest["tally"] == {"cut to 3 words": 1}
  line = closing.summarise(tmp_path / "out", corpus, manifest)
  assert line.startswith(f"{tmp_path / 'out'}: 2 utterances (2 labelled) in 1")
  assert line.endswith(
    "; 3 acoustic values blank or not finite became 0 (pitch 2, energy 1)"
    "; 3 of 9 words without a vector (2 different) as rows of zeros"
    "; 1 row cut to 3 words; 1 utterance without visual"
  )
  assert closing.warnings(corpus, manifest) == [
    "a note",
    "the emotion 'sad' has no word vector",
  ]


def test_emotions_of_none_or_of_all_are_warned_about(write_corpus):
  rows = [make_example(str(i), [[1, 2]], label=0) for i in range(3)]
  manifest, _ = write_corpus(make_corpus(rows))
  assert classes.warnings(manifest) == [
    "every labelled utterance has the emotion 'happy'",
    "no labelled utterance has the emotion 'sad'",
  ]


@pytest.mark.parametrize("label_type", ["single", "multi"])
def test_a_corpus_of_one_class_is_refused(write_corpus, label_type):
  def passed(name, *labels):
    rows = [
      make_example(str(i), [[1, 2]], label=label)
      for i, label in enumerate(labels)
    ]
    corpus = make_corpus(rows, label_type=label_type)
    manifest, _ = write_corpus(corpus, name, accept=classes.require_two)
    return manifest["counts"]["examples"]

  assert passed("a", 0, 1) == passed("b", None, None) == 2
  assert passed("c", 0, None, None) == 3
  with pytest.raises(UserError, match="all 3 labelled utterances"):
    passed("d", 1, 1, None, 1)


def test_a_part_of_a_published_corpus_may_have_one_class(write_corpus):
  rows = [make_example(str(i), [[1, 2]], label=1) for i in range(3)]
  corpus = dataclasses.replace(make_corpus(rows), fixed_emotions=True)
  manifest, _ = write_corpus(corpus, "part", accept=classes.require_two)
  assert any("every labelled" in line for line in classes.warnings(manifest))
