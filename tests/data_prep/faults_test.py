"""Small inputs that people of the field bring, and the right answer to each."""

import unicodedata

import numpy as np
import pytest
from absl import flags

from data_prep import convert as convert_lib
from data_prep.corpus import text
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards, table_files


@pytest.fixture
def faults(data_dir):
  folder = data_dir / "faults"
  if not folder.is_dir():
    pytest.skip(f"{folder} is absent")
  return folder


@pytest.fixture
def converted(faults, tmp_path, capsys):
  """Converts an input of the folder; returns manifest, rows, closing line."""

  def convert(name, *arguments, source="utterances"):
    values = flags.FlagValues()
    convert_lib.define_flags(values)
    output = tmp_path / "out"
    command = (
      *("convert", f"--source={source}", f"--input={faults / name}"),
      *(f"--output={output}", "--file_format=array_record", *arguments),
    )
    values([str(argument) for argument in command])
    convert_lib.convert(values)
    rows = {e["id"]: e for _, e in shards.read_examples(output)}
    return manifest_lib.load_manifest(output), rows, capsys.readouterr()

  return convert


@pytest.fixture
def by_spec(faults, converted):
  """Converts a table with the folder's first spec and vectors."""

  def convert(variant, name, *arguments):
    return converted(
      name,
      f"--spec={faults / 'spec.py'}:{variant}",
      f"--word_vectors={faults / 'glove.txt'}",
      *arguments,
    )

  return convert


@pytest.fixture
def by_table_spec(faults, converted):
  """Converts a table with the spec of the tables."""

  def convert(name, variant="csv", spec="31-tables/spec.py"):
    return converted(
      name,
      f"--spec={faults / spec}:{variant}",
      f"--word_vectors={faults / 'glove.txt'}",
    )

  return convert


@pytest.mark.parametrize("name", ["surrogate", "surrogate_id"])
def test_a_lone_surrogate_is_refused_in_one_line(by_spec, name, tmp_path):
  with pytest.raises(UserError, match=f"{name}.jsonl line 2: .*surrogate"):
    by_spec("text+ac", f"11-lone-surrogate/{name}.jsonl")
  assert list(tmp_path.iterdir()) == []


def test_a_blank_row_of_features_is_an_absent_modality(by_spec):
  manifest, rows, said = by_spec(
    "text+ac+wide", "12-blank-csv-row-becomes-a-frame-of-zeros/in.csv"
  )
  assert manifest["counts"]["present"]["acoustic"] == 5
  assert rows["u2"]["acoustic"].shape == (0, 3)
  assert "1 utterance without acoustic" in said.out


@pytest.mark.parametrize("word", ["café", "über", "ยิ้ม"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_word_stays_whole_however_it_is_composed(word, form):
  got = text.tokenise(unicodedata.normalize(form, word))
  assert got == [unicodedata.normalize("NFC", word)]


def test_a_byte_order_mark_in_jsonl_is_skipped(by_spec):
  manifest, _, _ = by_spec("text+ac", "15-utf8-bom-in-jsonl/in.jsonl")
  assert manifest["counts"]["examples"] == 6


def test_labels_may_be_numbers(by_table_spec):
  spec = "30-spec-and-config/spec_intlabels.py"
  counts = by_table_spec("31-tables/int_labels.csv", spec=spec)[0]["counts"]
  assert counts["labelled"] == 300 and min(counts["by_emotion"].values()) > 0


def test_a_semicolon_is_recognised(by_table_spec):
  manifest, rows, _ = by_table_spec("31-tables/semicolon.csv")
  assert manifest["modalities"]["acoustic"]["dim"] == 20
  np.testing.assert_allclose(
    rows["u0000"]["acoustic"][0, :2], [-0.71031, 0.44231], rtol=1e-6
  )


@pytest.mark.parametrize("name", ["bigfloat", "empty_cell"])
def test_a_value_that_becomes_0_is_counted_in_the_closing_line(
  by_table_spec, name
):
  manifest, _, said = by_table_spec(f"31-tables/{name}.csv")
  (counted,) = manifest["nonfinite"]["counts"]["acoustic"].items()
  assert counted[1] == 1
  assert f"1 acoustic value blank or not finite became 0 ({counted[0]} 1)" in (
    said.out
  )


@pytest.mark.parametrize(
  ("name", "variant", "message"),
  [
    ("utf16.csv", "csv", "UTF-16 text; expected UTF-8.*iconv"),
    ("one_class.csv", "csv", "all 300 labelled utterances are 'happy'"),
    ("complex.npz", "npz", "'audio' holds complex numbers"),
    ("trunc.npz", "npz", "trunc.npz is not a readable .npz file"),
  ],
)
def test_tables_that_cannot_be_right_are_refused(
  by_table_spec, name, variant, message, tmp_path
):
  with pytest.raises(UserError, match=message):
    by_table_spec(f"31-tables/{name}", variant)
  assert list(tmp_path.iterdir()) == []


def test_scores_of_1_to_5_ask_for_a_threshold(converted):
  name = "32-pickles-and-layouts/intensity_1_to_5"
  with pytest.raises(UserError, match="never 0.*--positive_above=N, such as 3"):
    converted(name, source="cmu_processed")
  manifest, _, _ = converted(name, "--positive_above=3", source="cmu_processed")
  counts = manifest["counts"]
  assert all(0 < n < counts["labelled"] for n in counts["by_emotion"].values())


def test_columns_are_named_on_request_alone(converted):
  name = "32-pickles-and-layouts/openface_35"
  manifest, _, _ = converted(name, source="cmu_processed")
  assert manifest["modalities"]["visual"]["columns"][0] == "visual_00"


def test_a_list_of_recordings_says_splits_sessions_and_dialogues(
  converted, faults
):
  manifest, rows, _ = converted(
    "32-pickles-and-layouts/recordings_with_split/list.csv",
    f"--word_vectors={faults / 'glove.txt'}",
    source="recordings",
  )
  assert manifest["counts"]["by_split"] == {
    "test": 2,
    "train": 3,
    "validation": 1,
  }
  assert rows["3.wav"]["session"] == "1" and rows["3.wav"]["dialogue"] == "d1"


@pytest.mark.parametrize(
  ("name", "column", "value"),
  [
    ("openface.csv", "AU01_r", 2.55),
    ("opensmile_csv.csv", "loudness_sma3_amean", 0.412208),
  ],
)
def test_tables_of_openface_and_opensmile_are_read(faults, name, column, value):
  table = table_files.open_table(faults / "32-pickles-and-layouts" / name)
  row = next(table.rows([column]))
  assert float(table_files.as_vector(row.cells[column], "", "")) == value
  if "name" in row.cells:
    assert row.cells["name"] == "Ses01F_impro01_F000"
