"""What `inspect` shows of IEMOCAP's release and of AMI's annotations."""

import io
import json

import numpy as np
import rich.console

from data_prep.readers import describe, describe_tables
from tests.data_prep.sources import ami_files, iemocap_files


def shown(description):
  json.dumps(description)
  console = rich.console.Console(file=io.StringIO(), width=200)
  for table in describe_tables.tables_of(description):
    console.print(table)
  return console.file.getvalue()


def test_a_release_shows_labels_votes_and_what_is_missing(tmp_path):
  names = ("Ses01F_impro01_F000", "Ses01F_impro01_M000", "Ses02M_impro02_F000")
  iemocap_files.release(
    tmp_path,
    [
      iemocap_files.utterance(name, label, agree=agree)
      for name, label, agree in zip(
        names, ("neu", "exc", "xxx"), (3, 2, 0), strict=True
      )
    ],
  )
  iemocap_files.wav(tmp_path, names[0], 0.2, np.random.default_rng(0))
  iemocap_files.wdseg(tmp_path, names[0], [("I", 0, 9)])
  described = describe.describe(tmp_path)
  columns = described["columns"]
  assert (described["kind"], described["rows"]) == ("iemocap", 3)
  assert columns["label"]["values"] == {
    **dict.fromkeys(("hap", "sad", "ang", "fru", "sur", "fea"), 0),
    **{"dis": 0, "oth": 0, "neu": 1, "exc": 1, "xxx": 1},
  }
  assert columns["raters who chose the label"]["values"] == {
    "3 of 3": 1,
    "2 of 3": 1,
  }
  assert columns["speaker"]["values"] == {
    **{"Ses01_F": 1, "Ses01_M": 1, "Ses02_F": 1}
  }
  for name in ("recording", "word alignment"):
    assert columns[name] == {"shape": [1], "note": "2 without"}
  text = shown(described)
  assert "3 rows" in text and "neu 1 (1708)" in text and "2 without" in text


def test_annotations_show_words_people_and_files(tmp_path):
  ami_files.words(tmp_path, "ES2002a.A", ("a", 1, 2), "gap", ("b", 2, 3))
  ami_files.words(tmp_path, "ES2002a.B", ("a", 1, 2))
  ami_files.segments(tmp_path, "ES2002a.A", (1, 2, 0, 0))
  ami_files.meetings(tmp_path, {"ES2002a": {"A": ("MEE006", "0")}})
  described = describe.describe(tmp_path)
  columns = described["columns"]
  assert described["kind"] == "ami"
  assert columns["elements"]["values"] == {"words": 3, "gap": 1}
  counts = {name: entry["shape"] for name, entry in columns.items()}
  assert counts == {
    **{"elements": [3], "meetings": [1], "files of words": [2]},
    **{"files of segments": [1], "people": [1]},
  }
  assert "1 agents of meetings without a name" in shown(described)
