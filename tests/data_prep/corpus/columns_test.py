"""Names of features, and leaving some out."""

import pytest

from data_prep.corpus import columns
from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_corpus, make_example


def test_known_layouts_have_as_many_names_as_columns():
  assert len(set(columns.FACET_35)) == 35
  assert len(set(columns.COVAREP_74)) == 74
  # The scores of emotions, their baseline, twenty action units, two facts about
  # the face and three angles.
  assert columns.FACET_35[9:11] == ("Frustration", "AU1")
  assert columns.FACET_35[29:31] == ("AU43", "Has_Glasses")
  assert columns.COVAREP_74[7] == "peakSlope"


def test_dropped_columns_are_gone_and_the_rest_keep_their_values(write_corpus):
  corpus = make_corpus([make_example("1", [[1, 2]], [[3, 4, 5], [6, 7, 8]])])
  corpus = columns.drop(corpus, ["visual:y"], None)
  manifest, read = write_corpus(corpus)
  assert read["1"]["visual"].tolist() == [[3, 5], [6, 8]]
  assert read["1"]["acoustic"].tolist() == [[1, 2]]
  assert manifest["modalities"]["visual"]["columns"] == ["x", "z"]
  assert manifest["converter"]["options"]["dropped"] == {"visual": ["y"]}


def test_examples_made_by_number_lack_the_dropped_columns():
  examples = [make_example("1", [[1, 2]], [[3, 4, 5]])]
  corpus = make_corpus(examples, make=examples.__getitem__)
  dropped = columns.drop(corpus, ["visual:y"], None)
  assert dropped.make(0).streams["visual"].tolist() == [[3, 5]]
  assert corpus.make(0).streams["visual"].tolist() == [[3, 4, 5]]
  assert columns.drop(make_corpus(examples), ["visual:y"], None).make is None


def test_the_preset_drops_facets_scores_of_emotions():
  corpus = make_corpus(
    [],
    modalities={"visual": corpus_lib.Modality(columns.FACET_35, "zero_rows")},
  )
  corpus = columns.drop(corpus, [], "facet_emotion_scores")
  left = corpus.modalities["visual"].columns
  assert len(left) == 26
  assert left[0] == "Baseline" and "Joy" not in left and "AU12" in left


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("visual:w", "cannot drop 'visual:w': the 3 visual columns .* x to z"),
    ("x", "cannot drop 'x': small has acoustic, visual"),
    ("lexical:x", "cannot drop 'lexical:x'"),
  ],
)
def test_what_is_not_there_cannot_be_dropped(name, message):
  with pytest.raises(UserError, match=message):
    columns.drop(make_corpus([]), [name], None)


def test_a_preset_refuses_columns_that_nobody_has_named():
  modality = corpus_lib.Modality(corpus_lib.numbered("visual", 36), "zero_rows")
  corpus = make_corpus([], modalities={"visual": modality})
  with pytest.raises(UserError, match="'visual:Anger': the 36 visual columns"):
    columns.drop(corpus, [], "facet_emotion_scores")


def test_dropping_all_of_a_modality_is_refused():
  with pytest.raises(UserError, match="every acoustic column"):
    columns.drop(make_corpus([]), ["acoustic:pitch", "acoustic:energy"], None)


def test_wrong_dims_are_seen_before_columns_go():
  corpus = make_corpus([make_example("1", None, [[1, 2]])])
  corpus = columns.drop(corpus, ["visual:y"], None)
  with pytest.raises(UserError, match=r"visual features of shape \(1, 2\)"):
    list(corpus.examples())
