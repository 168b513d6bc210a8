"""What is wrong with a spec is said before any row is read."""

import pytest

from data_prep.sources import spec as spec_lib
from data_prep.specs import ami, iemocap, meld
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_spec

FEATURES = {"columns": ("mfcc",), "names": (), "padding": "none"}


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"speakr": "{a}"}, "spec has an unknown key 'speakr'; the keys are"),
    ({"name": "My Corpus"}, "spec.name 'My Corpus' must be"),
    ({"label_type": "both"}, "spec.label_type is 'both'"),
    ({"id": ""}, "spec.id is empty"),
    ({"label_values": (("hap", "joy"),)}, "names 'joy', which is not one of"),
    ({"emotion_words": (("happy", ("a",)),)}, "must name each of"),
    ({"emotions": ("sad", "sad")}, "must be names, each once"),
    ({"split_values": (("a", "dev"),)}, "maps 'a' to 'dev'"),
    ({"files": ("a.csv",)}, "spec.files has 'a.csv', expected pairs"),
    ({"features": {"audio": FEATURES}}, "spec.features has 'audio'"),
    ({"features": {"lexical": FEATURES}}, "both the lexical modality"),
    (
      {"features": {"visual": {**FEATURES, "padding": "zeros"}}},
      "padding is 'zeros'",
    ),
    (
      {"features": {"visual": {**FEATURES, "colums": ()}}},
      "spec.features.visual has an unknown key 'colums'",
    ),
    ({"label_columns": (("happy", "a"), ("sad", "b"))}, "exclude each other"),
    ({"crop": {"min_words": 3}}, "spec.crop lacks the key 'max_words'"),
    (
      {"crop": {"min_words": -1, "max_words": 0}},
      "spec.crop.min_words is -1, expected a number of words",
    ),
    (
      {"crop": {"min_words": 3, "max_words": 0}},
      "spec.crop.min_words is 3, but only rows of text alone",
    ),
  ],
)
def test_a_bad_spec_is_refused_before_any_row(changes, message):
  with pytest.raises(UserError, match=message):
    spec_lib.check_spec(make_spec(**changes))


def test_a_spec_without_one_of_the_keys_is_refused():
  spec = make_spec().unlock()
  del spec.dialogue
  with pytest.raises(UserError, match="spec lacks the key 'dialogue'"):
    spec_lib.check_spec(spec)


@pytest.mark.parametrize(
  ("module", "variant"),
  [
    (iemocap, "4"),
    (iemocap, "6"),
    (iemocap, "all"),
    (meld, "emotion"),
    (meld, "sentiment"),
    (ami, "full"),
    (ami, "iemocap"),
    (ami, "meld"),
  ],
)
def test_shipped_specs_are_sound_and_locked(module, variant):
  spec = module.get_config(variant)
  spec_lib.check_spec(spec)
  assert spec.is_locked
  with pytest.raises(ValueError, match="unknown variant"):
    module.get_config("other")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"label_value": ()}, "unknown key 'label_value'.*mean 'label_values'"),
    ({"name": 1}, "spec.name is 1, expected text"),
    ({"files": None}, "spec.files is None, expected a tuple"),
    ({"features": ()}, r"spec.features is \(\), expected a ConfigDict"),
    ({"emotions": (1, 2)}, "spec.emotions has 1, expected names as text"),
    ({"emotion_words": (("happy", "happy"),)}, "as a tuple of words"),
    ({"label_values": ((1, "happy"), ("1", "sad"))}, "'1' twice"),
    ({"rows": ("{id}",)}, "spec.rows has '{id}', expected pairs"),
    (
      {"features": {"visual": {**FEATURES, "columns": "f_*"}}},
      "spec.features.visual.columns is 'f_.', expected a tuple",
    ),
    (
      {"features": {"visual": {**FEATURES, "columns": ()}}},
      "spec.features.visual.columns is empty",
    ),
  ],
)
def test_a_key_of_another_kind_is_one_line(changes, message):
  with pytest.raises(UserError, match=message):
    spec_lib.check_spec(make_spec(**changes))


def test_labels_of_a_spec_may_be_numbers():
  spec_lib.check_spec(make_spec(label_values=((0, "happy"), (1, "sad"))))
  with pytest.raises(UserError, match="the spec is a dict, expected"):
    spec_lib.check_spec({})
