"""What `inspect` says of MELD, of file names, and of vendors' tables."""

import io
import json

import pytest
import rich.console

from data_prep.readers import describe, describe_tables
from data_prep.sources.meld import tables
from mmer_jax.base.errors import UserError
from tests.data_prep.sources import meld_test, recipes_test


def shown(description):
  console = rich.console.Console(file=io.StringIO(), width=400)
  for table in describe_tables.tables_of(description):
    console.print(table)
  json.dumps(description)
  return console.file.getvalue()


def test_meld_is_described_with_its_media(tmp_path):
  meld_test.write_tables(tmp_path / "data" / "MELD")
  folder = tmp_path / "train" / "train_splits"
  folder.mkdir(parents=True)
  for name in ("dia0_utt0", "dia125_utt3", "dia9_utt9", "._dia0_utt0"):
    (folder / f"{name}.mp4").touch()
  described = describe.describe(tmp_path)
  columns = described["columns"]
  assert described["kind"] == "meld" and described["rows"] == 10
  assert columns["train, emotion"]["values"] == {"joy": 2, "anger": 2}
  assert columns["dev, sentiment"]["values"] == {"positive": 2, "negative": 1}
  assert columns["media"]["shape"] == [2]
  assert columns["media"]["note"] == (
    "1 used; 1 without sound: no file, known to be missing or broken"
    " (dev_dia110_utt7); 7 without sound: no file (train_dia0_utt1,"
    " train_dia309_utt0, dev_dia0_utt0, dev_dia0_utt1, test_dia38_utt4 and 2"
    " more); 1 without sound: not readable in the release (train_dia125_utt3);"
    " files of --media without a row: 1 (train/train_splits/dia9_utt9.mp4);"
    " files ._* (AppleDouble), not read: 1"
  )
  assert "published: 9989 rows" in shown(described)
  (tmp_path / "data" / "MELD" / "dev_sent_emo.csv").unlink()
  assert describe.describe(tmp_path)["columns"]["dev"] == {"note": "no table"}


def test_the_real_meld_is_described(data_dir):
  described = describe.describe(data_dir / "meld")
  assert described["rows"] == sum(each[0] for each in tables.PUBLISHED.values())
  assert shown(described).count("as published") == 3
  assert "media" not in described["columns"]


def test_file_names_are_described_by_their_recipe(tmp_path):
  names = ("03a01Fa", "03a01Ta", "08b10Fa", "x")
  recipes_test.touch(tmp_path / "emodb", *(f"{name}.wav" for name in names))
  described = describe.describe(tmp_path / "emodb")
  columns = described["columns"]
  assert described["kind"] == "recordings, --recipe=emodb"
  assert columns["label"]["values"] == {"joy": 2, "sadness": 1}
  assert columns["speaker"]["values"] == {"03": 2, "08": 1}
  assert "do not fit --recipe=emodb, left out: 1 (x.wav)" in shown(described)
  msp = tmp_path / "msp"
  recipes_test.touch(msp, *(f"{name}.wav" for name in recipes_test.MSP))
  columns = describe.describe(msp)["columns"]
  assert columns["session"]["values"] == {"1": 2, "6": 2}
  assert "file of ratings" in columns["label"]["note"]
  (tmp_path / "other").mkdir()
  (tmp_path / "other" / "a.wav").touch()
  with pytest.raises(UserError):
    describe.describe(tmp_path / "other")


def test_tables_of_vendors_are_named(data_dir, tmp_path):
  layouts = data_dir / "layouts"
  said = {
    name: shown(describe.describe(layouts / name)).splitlines()[0].strip()
    for name in (
      *("openface.csv", "openface1.csv", "opensmile.arff", "opensmile_csv.csv"),
      *("semicolon_de.csv", "table.tsv"),
    )
  }
  openface = "table, OpenFace, 17 features, a face in 5 rows, 5 rows"
  assert said == {
    "openface.csv": openface,
    "openface1.csv": openface,
    "opensmile.arff": "table, openSMILE, 2 features, 1 rows",
    "opensmile_csv.csv": "table, openSMILE, 2 features, 2 rows",
    "semicolon_de.csv": "table, 2 rows",
    "table.tsv": "table, 1 rows",
  }


def test_columns_of_many_numbers_have_a_range(tmp_path):
  path = tmp_path / "a.csv"
  rows = [
    f"{row / 8 - 9},{row},{row or 'x'},{row or 'inf'}" for row in range(300)
  ]
  path.write_text("\n".join(["a,b,c,d", *rows, ",,,"]) + "\n")
  columns = describe.describe(path)["columns"]
  assert (columns["a"]["min"], columns["a"]["max"]) == (-9, 299 / 8 - 9)
  assert (columns["b"]["min"], columns["b"]["max"]) == (0, 299)
  # Not where a cell is no number, or no finite one.
  assert "min" not in columns["c"] and "min" not in columns["d"]
