"""Ratings that stand in columns of tables, in lists and in files of ratings."""

import ml_collections
import numpy as np
import pytest
from absl import flags

from data_prep import convert as convert_lib
from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.features import text_features
from data_prep.sources import (
  recipes,
  recording_list,
  registry,
  request,
  spec_defaults,
  synthetic,
  utterances,
)
from data_prep.specs import iemocap as iemocap_spec
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_spec

SCALES = (
  corpus_lib.Rating("valence", 1.0, 5.0),
  corpus_lib.Rating("arousal", -1.0, 1.0),
)
COLUMNS = (("valence", "val", 1, 5), ("arousal", "arousal", -1, 1))
NAMED = "--rating_columns=valence=val:1:5,arousal:-1:1"
NAN = float("nan")
TABLE = (
  "id,emotion,x,y,val,arousal\n"
  "a,hap,1,2,3.5,-0.25\n"
  "b,sad,2,3,,1\n"
  "c,xxx,3,4,1,\n"
  "d,exc,4,5,,\n"
)
RATED = {"a": [3.5, -0.25], "b": [NAN, 1], "c": [1, NAN], "d": None}


def ratings_of(corpus):
  return {
    each.id: None if each.ratings is None else each.ratings.tolist()
    for each in corpus.examples()
  }


def assert_rated(corpus, ratings=SCALES, expected=RATED):
  assert corpus.ratings == ratings
  found = ratings_of(corpus)
  assert found.keys() == expected.keys()
  for name, row in expected.items():
    np.testing.assert_array_equal(found[name] or (), row or ())


@pytest.fixture
def table(tmp_path):
  def write(text=TABLE, name="rows.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name

  return write


def spec_of(**changes):
  fields = {
    **{"text": "", "features": {"acoustic": ("x", "y")}},
    **{"rating_columns": COLUMNS, **changes},
  }
  return make_spec(**fields)


def build(spec, path, **changes):
  return utterances.build(spec, path, text_features.Choice(), **changes)


def parsed(*arguments):
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(["convert", *map(str, arguments)])
  registry.refuse_foreign(values)
  return values


def test_a_spec_names_columns_and_scales(table, write_corpus):
  corpus = build(spec_of(), table())
  assert_rated(corpus)
  # Unlabelled rows are rated, unrated ones labelled.
  labelled = {e.id: e.labels is not None for e in corpus.examples()}
  assert labelled == {"a": True, "b": True, "c": False, "d": True}
  manifest, read = write_corpus(corpus)
  assert manifest["ratings"][1] == {"name": "arousal", "low": -1, "high": 1}
  np.testing.assert_array_equal(read["b"]["ratings"], [NAN, 1])


def test_a_column_of_vectors_holds_several(tmp_path):
  path = tmp_path / "rows.npz"
  vad = np.array([[1, 2, 3], [5, NAN, 1], [NAN, NAN, 2]], np.float32)
  np.savez(
    path, id=["a", "b", "c"], emotion=["hap"] * 3, x=np.ones((3, 2)), v=vad
  )
  columns = (("dominance", "v[2]", 1, 5), ("valence", "v[0]", 1, 5))
  spec = spec_of(rating_columns=columns, features={"acoustic": ("x",)})
  expected = {"a": [3, 1], "b": [1, 5], "c": [2, NAN]}
  fives = tuple(corpus_lib.Rating(name, 1.0, 5.0) for name, *_ in columns)
  assert_rated(build(spec, path), fives, expected)
  for column, message in (
    ("v", r"column 'v' of a rating holds 3 numbers, expected one; v\[0\]"),
    ("v[3]", r"holds 3 numbers, expected 4 at least for v\[3\]"),
    ("w[0]", r"no column 'w'; .* the rating valence is read from it"),
  ):
    spec.rating_columns = (("valence", column, 1, 5),)
    with pytest.raises(UserError, match=message):
      list(build(spec, path).examples())


def test_a_value_off_its_scale_is_refused_or_counted(table):
  path = table(TABLE.replace("3.5", "5.5").replace(",1\n", ",-inf\n"))
  with pytest.raises(
    UserError, match="valence is 5.5, expected 1 to 5; correct"
  ):
    list(build(spec_of(), path).examples())
  corpus = build(spec_of(off_scale="unrated"), path)
  assert_rated(corpus, expected={**RATED, "a": [NAN, -0.25], "b": None})
  assert corpus.tally == {
    "whose valence is off its scale: unrated": 1,
    "whose arousal is off its scale: unrated": 1,
  }
  with pytest.raises(
    UserError, match="column 'val' holds 'high', expected num"
  ):
    path = table(TABLE.replace("3.5", "high"))
    list(build(spec_of(), path).examples())


def test_a_table_may_have_ratings_and_no_label(table, write_corpus):
  gone = ("label", "label_values", "unlabelled", "emotions")
  fields = {k: v for k, v in spec_of().to_dict().items() if k not in gone}
  fields.pop("emotion_words")
  spec = ml_collections.ConfigDict(fields)
  corpus = build(spec, table())
  assert_rated(corpus)
  assert corpus.emotions == spec_defaults.EMOTIONS
  assert corpus.notes == (spec_defaults.NO_LABEL,)
  manifest, _ = write_corpus(corpus)
  assert manifest["counts"]["labelled"] == 0
  assert manifest["counts"]["ratings"]["valence"]["count"] == 2
  spec.emotions = ("calm",)
  assert build(spec, table()).emotions == ("calm",)
  assert build(spec, table()).notes == ()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"rating_columns": ("val",)}, "has 'val', expected .name, column, lowest"),
    ({"rating_columns": (("v", "val", "1", 5),)}, "expected .name, column"),
    ({"rating_columns": (("v", "val", True, 5),)}, "expected .name, column"),
    ({"rating_columns": (("v", "val", 5, 1),)}, "has v from 5 to 1, expected"),
    ({"rating_columns": (COLUMNS[0],) * 2}, "names 'valence' twice"),
    ({"rating_columns": (("", "val", 1, 5),)}, "names no rating or no column"),
    ({"off_scale": "errors"}, "spec.off_scale is 'errors', .* 'error'\\?"),
  ],
)
def test_a_spec_of_no_scale_is_one_line(table, changes, message):
  with pytest.raises(UserError, match=message):
    build(spec_of(**changes), table())


def test_the_command_line_adds_ratings_to_a_spec(table):
  wanted = registry.SOURCES["utterances"]
  assert {"rating_columns", "off_scale"} <= wanted.flags
  values = parsed("--source=utterances", f"--input={table()}", NAMED)
  values.spec = spec_of(rating_columns=())
  assert_rated(registry.build(values))
  values.spec = spec_of()
  with pytest.raises(UserError, match="both say which columns are ratings"):
    registry.build(values)


def test_columns_beside_arrays_are_ratings_and_no_labels(table, tmp_path):
  np.savez(tmp_path / "a.npz", **{name: np.ones((2, 3)) for name in RATED})
  arrays = f"--acoustic_features={tmp_path / 'a.npz'}"
  path = table(TABLE)
  command = ("--source=folder", f"--input={path}", arrays)
  corpus = registry.build(parsed(*command, NAMED, "--unlabelled=xxx"))
  assert_rated(corpus)
  assert corpus.emotions == ("exc", "hap", "sad")
  # Nothing but ratings, of which one has the usual name of a label.
  lines = [line.split(",") for line in TABLE.splitlines()]
  text = "\n".join(",".join((f[0], *f[4:])) for f in lines)
  path = table(text.replace("val", "sentiment"))
  named = NAMED.replace("val:", "sentiment:")
  corpus = registry.build(parsed(*command, named))
  assert_rated(corpus)
  assert corpus.emotions == spec_defaults.EMOTIONS
  assert spec_defaults.NO_LABEL in corpus.notes
  corpus = registry.build(parsed(*command, named, "--emotions=calm,tense"))
  assert corpus.emotions == ("calm", "tense")


LIST = "wav,label,val,arousal\na,happy,3.5,-0.25\nb,,,1\nc,,1,\nd,sad,,\n"


def test_a_list_of_recordings_has_columns_of_ratings(tmp_path):
  for name in RATED:
    (tmp_path / name).touch()
  path = tmp_path / "list.csv"
  path.write_text(LIST)
  values = parsed("--source=recordings", f"--input={path}", NAMED)
  wanted = scales.from_flags(values)
  reading = recording_list.read(path, {}, ratings=wanted)
  assert reading.ratings == SCALES and reading.notes == []
  for each in reading.utterances:
    np.testing.assert_array_equal(
      () if each.ratings is None else each.ratings, RATED[each.id] or ()
    )
  path.write_text(LIST.replace("3.5", "9"))
  with pytest.raises(UserError, match="line 2: rating valence is 9, expected"):
    recording_list.read(path, {}, ratings=wanted)
  reading = recording_list.read(
    path, {}, ratings=wanted._replace(off_scale="unrated")
  )
  assert reading.tally == {"whose valence is off its scale: unrated": 1}
  path.write_text(LIST.replace("arousal", "other"))
  with pytest.raises(UserError, match="no column 'arousal'"):
    recording_list.read(path, {}, ratings=wanted)
  with pytest.raises(UserError, match="does nothing with --recipe=ravdess"):
    registry.build(
      parsed(
        *("--source=recordings", f"--input={tmp_path}", "--word_vectors="),
        *("--recipe=ravdess", NAMED),
      )
    )


MSP = (
  "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.6; V:3.0; D:2.4; N:3.4;\n"
  "WORKER00000001; Neutral; A:3; V:3; D:2; N:4;\n"
  "UTD-IMPROV-S01A-M01-S-FM02.avi; A; V:1; A:5.0; N:4.4;\n"
  "UTD-IMPROV-S20H-F06-T-MF11.avi; X;\n"
)


def test_msp_improv_has_the_means_of_its_raters(tmp_path):
  for name in ("S01A-F01-P-FM01", "S01A-M01-S-FM02", "S20H-F06-T-MF11"):
    (tmp_path / f"MSP-IMPROV-{name}.wav").touch()
  file = tmp_path / "Evalution.txt"
  file.write_text(MSP)
  reading = recipes.read("msp_improv", tmp_path, None)
  names = ("valence", "activation", "dominance")
  assert reading.ratings == tuple((name, 1.0, 5.0) for name in names)
  first, second, third = (each.ratings for each in reading.utterances)
  np.testing.assert_array_equal(first, np.float32([3.0, 2.6, 2.4]))
  np.testing.assert_array_equal(second, [1, 5, NAN])
  assert third is None
  file.write_text(MSP.replace("A:2.6", "A:two"))
  with pytest.raises(UserError, match="line 1: rating A is 'two'"):
    recipes.read("msp_improv", tmp_path, None)
  file.write_text(MSP.replace("A:2.6", "A:7"))
  with pytest.raises(UserError, match="line 1: rating activation is 7, expect"):
    recipes.read("msp_improv", tmp_path, None)
  file.write_text("".join(f"{e.split(';')[0]}; N;\n" for e in MSP.split("\n")))
  assert recipes.read("msp_improv", tmp_path, None).ratings == ()


def test_synthetic_ratings_follow_the_affect_and_change_nothing_else():
  plain = synthetic.build("tiny", 3, 300)
  rated = synthetic.build("tiny", 3, 300, rated=True)
  assert plain.ratings == () and "rated" not in plain.options
  assert rated.ratings == (("valence", 1, 5), ("activation", 1, 5))
  labels, ratings = [], []
  for one, other in zip(plain.examples(), rated.examples(), strict=True):
    assert one.ratings is None
    assert one.streams.keys() == other.streams.keys()
    for name, frames in one.streams.items():
      np.testing.assert_array_equal(frames, other.streams[name])
    if other.labels is not None:
      labels.append(other.labels)
      ratings.append(other.ratings)
  ratings, labels = np.array(ratings), np.array(labels)
  missing = np.isnan(ratings).mean(axis=0)
  assert ((missing > 0.01) & (missing < 0.12)).all()
  # The mean of an emotion is its place, put onto the scale.
  places = synthetic.World(
    synthetic.synthetic_presets.PRESETS["tiny"], 3
  ).places
  for emotion in range(4):
    own = np.nanmean(ratings[labels[:, emotion] == 1], axis=0)
    np.testing.assert_allclose(own, 3 + 2 * places[emotion, :2], atol=0.25)
  sentiment = synthetic.build("tiny_mosei", 3, 20, rated=True)
  assert sentiment.ratings == (("sentiment", -3, 3),)


def test_the_ratings_of_the_real_iemocap(data_dir):
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  config = iemocap_spec.get_config("4_vad").copy_and_resolve_references()
  with config.unlocked():
    config.text = ""
  corpus = build(config, path)
  assert corpus.name == "iemocap_4_vad"
  found = np.array([each.ratings for each in corpus.examples()])
  # Read by itself.
  with np.load(path) as file:
    vad = file["vad"]
  off = (vad < 1) | (vad > 5)
  assert off.sum(axis=0).tolist() == [4, 0, 3]
  np.testing.assert_array_equal(found, np.where(off, np.float32(NAN), vad))
  assert corpus.tally == {
    "whose valence is off its scale: unrated": 4,
    "whose dominance is off its scale: unrated": 3,
  }


@pytest.mark.parametrize(
  "labels",
  [
    {},
    {
      **{"label": "", "label_values": (), "unlabelled": ()},
      **{"label_columns": (("happy", "val"), ("sad", "arousal"))},
      "label_type": "multi",
    },
  ],
)
def test_what_is_predicted_needs_neither_labels_nor_ratings(table, labels):
  corpus = build(spec_of(**labels), table())
  origin = {
    **{"table": {"spec": corpus.options["spec"]}, "text": None, "sound": None},
    **{"dropped": {}, "nonfinite": "zero"},
  }
  path = table("id,x,y\na,1,2\nb,3,4\n", "new.csv")
  made = request.of_table(origin, text_features.Choice(), path)
  assert made.ratings == () and [e.id for e in made.examples()] == ["a", "b"]
