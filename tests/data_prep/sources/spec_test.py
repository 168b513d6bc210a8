"""What is wrong with a spec is said before any row is read."""

import pytest

from data_prep.sources import spec as spec_lib
from data_prep.sources import spec_defaults, utterance_tables
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
    (
      {"emotion_words": (("happy", ("a",)), ("happy", ("b",)))},
      "spec.emotion_words must name 'happy' once",
    ),
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
    ({"crop": {"min_word": 3}}, "unknown key 'min_word'.*mean 'min_words'"),
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


@pytest.mark.parametrize(
  ("keys", "message"),
  [
    (("label",), "spec lacks the key 'label', the column of the emotions"),
    (("text", "features"), "spec has neither 'text' nor 'features'"),
  ],
)
def test_a_spec_without_label_or_input_is_refused(keys, message):
  spec = make_spec().unlock()
  del spec.label_columns
  for key in keys:
    del spec[key]
  with pytest.raises(UserError, match=message):
    spec_lib.check_spec(spec)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"label_type": "singel"}, "mean 'single'"),
    ({"label_values": (("hap", "hapy"),)}, "mean 'happy'"),
    ({"split_values": (("a", "vaildation"),)}, "mean 'validation'"),
    ({"features": {"acustic": ("mfcc",)}}, "mean 'acoustic'"),
    ({"features": {"visual": {"column": ("a",)}}}, "mean 'columns'"),
    (
      {"features": {"visual": {"columns": ("a",), "padding": "zero_row"}}},
      "mean 'zero_rows'",
    ),
    ({"label": "emotion"}, "spec.label is 'emotion', .* as '{emotion}'"),
    (
      {"label": "", "label_values": (), "emotions": None},
      "spec lacks the key 'emotions', which an unlabelled corpus needs",
    ),
  ],
)
def test_an_error_names_the_key_the_value_and_what_is_near(changes, message):
  spec = make_spec().unlock()
  for key, value in changes.items():
    del spec[key]
    if value is not None:
      spec[key] = value
  with pytest.raises(UserError, match=message):
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
    ({"features": (1,)}, r"spec.features is \(1,\), expected a ConfigDict"),
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


# The words that shards of these corpora have always been made with.
WORDS = {
  "neutral": ("neutral",),
  "happy": ("happy", "happiness"),
  "sad": ("sad", "sadness"),
  "angry": ("angry", "anger"),
  "excited": ("exciting", "excited", "excitement"),
  "frustrated": ("frustrating", "frustrated", "frustration"),
  "surprised": ("surprising", "surprised", "surprise"),
  "fear": ("fear", "afraid", "scared"),
  "disgust": ("disgust", "disgusted", "disgusting"),
  "joy": ("joy", "happiness", "happy"),
  "surprise": ("surprise", "surprised"),
  "anger": ("anger", "angry"),
  "sadness": ("sadness", "sad"),
  "negative": ("negative", "bad"),
  "positive": ("positive", "good"),
}


@pytest.mark.parametrize(
  ("module", "variant"),
  [(iemocap, "all"), (meld, "emotion"), (meld, "sentiment"), (ami, "full")],
)
def test_shipped_specs_keep_their_words(module, variant, tmp_path):
  header = "utt_id,dialog_id,speaker,session,text,emotion,Emotion,Sentiment"
  files = module.get_config(variant).get("files", (("", "a.csv"),))
  for _, name in files:
    (tmp_path / name).write_text(header)
  path = tmp_path if "files" in module.get_config(variant) else tmp_path / name
  tables = utterance_tables.Tables(path, files if path == tmp_path else ())
  spec = spec_defaults.complete(module.get_config(variant), tables)
  own = {"fear": ("fear", "afraid")} if module is meld else {}
  assert dict(spec.emotion_words) == {
    name: {**WORDS, **own}[name] for name in spec.emotions
  }
