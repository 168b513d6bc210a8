"""A spec that is suggested for a table says what it guesses, and converts."""

import json

import numpy as np
import pytest

from data_prep.features import text_features
from data_prep.readers import suggest_spec
from data_prep.sources import utterances
from mmer_jax.base import user_code
from mmer_jax.base.errors import UserError

GLOVE = "glove/glove.twitter.27B.25d.subset.txt"


@pytest.fixture
def suggested(tmp_path):
  """Writes the spec of a table to a file and reads it, as a user would."""

  def suggest(path):
    file = tmp_path / "spec.py"
    file.write_text(suggest_spec.suggest(path), encoding="utf-8")
    for line in file.read_text(encoding="utf-8").splitlines():
      # Every key has its reason in front; ratings are for the user to take.
      if not line.startswith("  # config.rating_columns"):
        assert "config." not in line or "#" not in line
    return user_code.load(file, "suggested").get_config()

  return suggest


@pytest.fixture
def converted(suggested, word_vectors):
  def convert(path, vectors=None, positive_above=None):
    spec = suggested(path)
    given = (vectors or word_vectors) if "text" in spec else None
    choice = text_features.Choice(given, "skip")
    corpus = utterances.build(spec, path, choice, positive_above)
    return spec, corpus, {e.id: e for e in corpus.examples()}

  return convert


def test_a_csv_with_the_usual_columns(converted, tmp_path):
  path = tmp_path / "mine.csv"
  path.write_text(
    "Utt_ID,Speaker,split,transcript,emotion,start,f_0,f_1,f_2,AU01_r\n"
    "a,x,train,I am,hap,0.5,1,2,3,4\n"
    "b,x,dev,sad,sad,1.5,1,2,3,4\n"
    "c,y,test,zzz,xxx,2.5,1,2,3,4\n"
  )
  spec, corpus, found = converted(path)
  assert spec.id == "{Utt_ID}" and spec.text == "{transcript}"
  assert spec.label_values == (("hap", "happy"), ("sad", "sad"))
  assert spec.unlabelled == ("", "xxx")
  assert spec.features.to_dict() == {
    "acoustic": ("f_*",),
    "visual": ("AU01_r",),
  }
  assert corpus.name == "mine" and corpus.emotions == ("happy", "sad")
  assert [e.split for e in found.values()] == ["train", "validation", "test"]
  assert [e.speaker for e in found.values()] == ["x", "x", "y"]
  assert found["a"].streams["acoustic"].tolist() == [[1, 2, 3]]
  assert found["c"].labels is None
  text = suggest_spec.suggest(path)
  assert '    ("hap", "happy"),  # 1 row\n' in text
  assert '  # Not read: "start" (numbers).\n' in text


def test_rows_of_jsonl_hold_vectors_and_frames(converted, tmp_path):
  path = tmp_path / "rows.jsonl"
  rows = [
    {
      "clip": i // 2,
      "turn": i % 2,
      "happy": i % 4 + 1,
      "sad": 5 - i % 4,
      "egemaps": [i, 1.5],
      "face": [[1, 2, 3]] * (i + 1),
      "extra": {"a": 1},
      "ragged": [[1], [1, 2]],
    }
    for i in range(6)
  ]
  del rows[3]["extra"]
  path.write_text("\n".join(map(json.dumps, rows)))
  spec, corpus, found = converted(path, positive_above=3)
  assert spec.id == "{clip}_{turn}"
  assert spec.label_columns == (("happy", "happy"), ("sad", "sad"))
  assert corpus.label_type == "multi"
  assert spec.features.to_dict() == {
    "acoustic": ("egemaps",),
    "visual": ("face",),
  }
  assert found["2_1"].streams["visual"].shape == (6, 3)
  assert "--positive_above=3 " in suggest_spec.suggest(path)


def test_an_npz_is_known_by_its_headers(converted, tmp_path):
  rng = np.random.default_rng(0)
  path = tmp_path / "a.npz"
  np.savez(
    path,
    name=[f"u{i}" for i in range(7)],
    emotion=np.arange(7) % 3,
    video=rng.normal(size=(7, 4, 5)),
    covarep=rng.normal(size=(7, 3)),
    vad=rng.normal(size=(7, 3)),
    names=np.array(["x", "y"]),
    objects=np.array([None] * 7, object),
  )
  spec, corpus, found = converted(path)
  assert spec.features.to_dict() == {
    "acoustic": ("covarep",),
    "visual": ("video",),
  }
  # Numbers are no names; the user is told to give them.
  assert corpus.emotions == ("class_0", "class_1", "class_2")
  assert "which emotion each is" in suggest_spec.suggest(path)
  assert len(found) == 7 and found["u6"].labels.tolist() == [1, 0, 0]


def test_arrays_of_an_utterance_each_are_no_table(tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, **{f"u{i}": np.zeros((i + 2, 5)) for i in range(4)})
  with pytest.raises(UserError, match="4 arrays of several .* --source=folder"):
    suggest_spec.suggest(path)


def test_arrays_of_four_axes_are_not_read(converted, tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, audio=np.zeros((3, 2, 2, 2)), f=np.eye(3), id=["a", "b", "c"])
  spec, _, found = converted(path)
  assert spec.features.to_dict() == {"acoustic": ("f",)}
  assert found["b"].streams["acoustic"].tolist() == [[0, 1, 0]]


def test_a_table_that_tells_little_is_unlabelled_rows(converted, tmp_path):
  path = tmp_path / "1.csv"
  path.write_text("a,b\n1,2\n1,3\n")
  spec, corpus, found = converted(path)
  assert spec.id == "{row}" and spec.label == ""
  assert list(found) == ["000000", "000001"]
  assert corpus.modalities["acoustic"].columns == ("a", "b")
  assert "no name tells of which modality" in suggest_spec.suggest(path)


def test_odd_names_make_no_other_program(converted, tmp_path):
  path = tmp_path / 'a"""\nimport os\n#.csv'
  path.write_text(
    'id,emotion,"f\n1","""x""",{y},f\'\na,"ha""p",1,2,3,4\nb,"s\nd",5,6,7,8\n',
    newline="",
  )
  spec, corpus, found = converted(path)
  assert spec.label_values == (('ha"p', 'ha"p'), ("s\nd", "s\nd"))
  assert found["b"].streams["acoustic"].tolist() == [[5, 6, 8]]


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("a.csv", 'id,label,f\na,x,"0,5"\nb,y,"1,5"\n', "a decimal point"),
    ("a.csv", "id,label\na,x\nb,y\n", "beside arrays. --source=folder"),
    ("a.csv", "id,label,f\n", "a.csv has no rows"),
    ("a.h5", "", "--suggest_spec reads a table"),
    ("a.xlsx", "", "is a spreadsheet, .*pandas.read_excel"),
    ("a.csv", "", "is empty"),
  ],
)
def test_what_holds_no_utterances_is_one_line(tmp_path, name, content, message):
  (tmp_path / name).write_text(content)
  with pytest.raises(UserError, match=message) as caught:
    suggest_spec.suggest(tmp_path / name)
  assert "\n" not in str(caught.value)


# Rows and what is read of each drawn table.
@pytest.mark.parametrize(
  ("name", "rows", "modalities"),
  [
    ("layouts/crlf_bom.csv", 2, ["lexical", "acoustic"]),
    ("layouts/index_col.csv", 2, ["lexical", "acoustic"]),
    ("layouts/table.tsv", 1, ["lexical"]),
    ("layouts/opensmile_csv.csv", 2, ["acoustic"]),
    ("layouts/opensmile.arff", 1, ["acoustic"]),
    ("layouts/openface.csv", 5, ["visual"]),
    ("layouts/openface1.csv", 5, ["visual"]),
    ("faults/31-tables/int_labels.csv", 300, ["lexical", "acoustic"]),
    ("faults/31-tables/semicolon.csv", 300, ["lexical", "acoustic"]),
    ("faults/15-utf8-bom-in-jsonl/in.jsonl", 6, ["lexical", "acoustic"]),
    ("meld/dev_sent_emo.csv", 1109, ["lexical"]),
  ],
)
def test_drawn_and_real_tables_convert_as_suggested(
  data_dir, converted, name, rows, modalities
):
  _, corpus, found = converted(data_dir / name)
  assert len(found) == rows
  assert list(corpus.modalities) == modalities


def test_the_counts_of_iemocap_are_those_that_are_published(
  data_dir, suggested
):
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  found = suggest_spec.guess(path)
  assert found.rows == 10039
  assert found.columns["emotion"].values == {
    **{"neu": 1708, "ang": 1103, "sad": 1084, "hap": 595, "exc": 1041},
    **{"fru": 1849, "sur": 107, "fea": 40, "dis": 2, "oth": 3, "xxx": 2507},
  }
  assert found.keys["unlabelled"][0] == ("", "oth", "xxx")
  assert found.keys["id"][0] == "{utt_id}"
  assert found.keys["features"][0] == {"acoustic": ("audio_egemaps47",)}
  assert set(found.unread) == {
    *("turn_index", "start", "end", "vad", "split_tae898")
  }


@pytest.mark.long
def test_iemocap_converts_as_suggested(data_dir, converted):
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  _, corpus, found = converted(path, data_dir / GLOVE)
  assert len(found) == 10039
  assert sum(e.labels is not None for e in found.values()) == 7529
  assert list(corpus.modalities) == ["lexical", "acoustic"]
  assert len({e.speaker for e in found.values()}) == 10


def test_ratings_are_a_guess_to_take_the_mark_from(converted, tmp_path):
  path = tmp_path / "rated.csv"
  path.write_text(
    "id,emotion,f_0,Valence,arousal_mean,sentiment,dominance\n"
    "a,happy,1,1.5,0.5,-2.5,3\n"
    "b,sad,2,4.5,-0.5,1.5,3\n"
    "c,sad,3,,0.25,12,3\n"
  )
  spec, corpus, _ = converted(path)
  # Commented out; and no feature, which would be the label.
  assert corpus.ratings == () and "rating_columns" not in spec
  assert spec.features.to_dict() == {"acoustic": ("f_0",)}
  text = suggest_spec.suggest(path)
  start = "  # config.rating_columns = ("
  head, _, tail = text.partition(start)
  lines = f"{start}{tail}".splitlines()[:5]
  assert lines == [
    start,
    '  #   ("Valence", "Valence", 1, 5),',
    '  #   ("arousal_mean", "arousal_mean", -1, 1),',
    '  #   ("sentiment", "sentiment", -2.5, 12.0),',
    "  # )",
  ]
  own = text.replace("# config.r", "config.r")
  for line in lines[1:]:
    own = own.replace(line, line.replace("# ", "", 1))
  (tmp_path / "own.py").write_text(own)
  taken = user_code.load(tmp_path / "own.py", "own").get_config()
  rated = utterances.build(taken, path, text_features.Choice())
  assert [e.ratings.tolist() for e in rated.examples()][1] == [4.5, -0.5, 1.5]
