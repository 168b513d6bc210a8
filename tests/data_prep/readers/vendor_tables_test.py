"""Tables of openSMILE and OpenFace: features, index columns, faces."""

import numpy as np
import pytest

from data_prep.corpus import columns as columns_lib
from data_prep.features import text_features
from data_prep.readers import vendor_tables
from data_prep.sources import utterances
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_spec

UNITS = [f"AU{unit:02d}" for unit in range(1, 19)]
FACE = "frame, face_id, timestamp, confidence, success, AU01_r, AU02_r\n"


def test_drawn_tables_are_read_as_frames(data_dir):
  layouts = data_dir / "layouts"
  for name in ("openface.csv", "openface1.csv"):
    frames = vendor_tables.read_frames(layouts / name)
    # A loop over the file's text.
    header, *lines = (layouts / name).read_text().splitlines()
    names = [each.strip() for each in header.split(",")]
    first = names.index("AU01_r")
    expected = [[float(x) for x in line.split(",")[first:]] for line in lines]
    assert frames.columns == tuple(names[first:]) and len(frames.columns) == 17
    np.testing.assert_array_equal(frames.values, expected)
    assert frames.real.all() and frames.real.shape == (5,)
  csv = vendor_tables.read_frames(layouts / "opensmile_csv.csv")
  np.testing.assert_array_equal(
    csv.values, [[25.11393, 0.412208], [26.0, 0.45]]
  )
  arff = vendor_tables.read_frames(layouts / "opensmile.arff")
  assert arff.columns == csv.columns
  np.testing.assert_array_equal(arff.values, [[25.1, 0.41]])


def test_frames_without_a_face_are_told_apart(tmp_path):
  path = tmp_path / "a.csv"
  path.write_text(FACE + "1, 0, 0, 0.9, 1, 2.5, \n2, 0, 0.03, 0.1, 0, 7, 7\n")
  frames = vendor_tables.read_frames(path)
  assert frames.real.tolist() == [True, False]
  np.testing.assert_array_equal(frames.values, [[2.5, np.nan], [7, 7]])


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (FACE, "no rows"),
    (FACE + "1, 0, 0, 0.9, 2, 1, 1\n", "line 2: success is '2', expected 0"),
    (FACE + "1, 0, 0, 0.9, , 1, 1\n", "success is '', expected 0 or 1"),
    (FACE + "1, 0, 0, 0.9, 1, x, 1\n", "'AU01_r' holds 'x'"),
    (
      FACE + "1, 0, 0, 0.9, 1, 1, 1\n1, 1, 0, 0.9, 1, 1, 1\n",
      "2 faces .*keep the rows",
    ),
    ("name;frameTime\n'a';0\n", "no column of features"),
  ],
)
def test_tables_that_are_no_frames_are_named(tmp_path, text, message):
  path = tmp_path / "a.csv"
  path.write_text(text)
  with pytest.raises(UserError, match=message):
    vendor_tables.read_frames(path)


def test_arff_becomes_the_shards_that_csv_becomes(tmp_path, write_corpus):
  """Through the source of tables, with a spec of both."""
  rng = np.random.default_rng(0)
  names = ["name", "F0 mean", "it's loud", "class"]
  rows = [
    [
      f"u{row}",
      *map(repr, rng.normal(3, 2, 2).tolist()),
      ("hap", "sad")[row % 2],
    ]
    for row in range(6)
  ]
  rows[1][1] = ""
  (tmp_path / "a.csv").write_text(
    "\n".join(";".join([f"'{r[0]}'", *r[1:]]) for r in [names, *rows]).replace(
      "'name'", "name"
    )
  )
  (tmp_path / "a.arff").write_text(
    "@relation x\n@attribute name string\n@attribute 'F0 mean' numeric\n"
    "@attribute 'it\\'s loud' numeric\n@attribute class {hap,sad}\n@data\n"
    + "\n".join(",".join([f"'{r[0]}'", r[1] or "?", *r[2:]]) for r in rows)
  )
  entry = {"columns": tuple(names[1:3]), "names": (), "padding": "none"}
  spec = make_spec(
    **{"id": "{name}", "text": "", "label": "{class}"},
    features={"acoustic": entry},
  )
  made = [
    write_corpus(
      utterances.build(spec, tmp_path / name, text_features.Choice()), name[2:]
    )
    for name in ("a.csv", "a.arff")
  ]
  (csv, of_csv), (arff, of_arff) = made
  assert arff["modalities"]["acoustic"]["columns"] == names[1:3]
  assert csv["fingerprint"] == arff["fingerprint"]
  assert arff["nonfinite"]["counts"] == {"acoustic": {"F0 mean": 1}}
  for name, row in of_csv.items():
    np.testing.assert_array_equal(row["acoustic"], of_arff[name]["acoustic"])


def test_35_columns_are_not_facets_for_their_count():
  names = [f"{unit}_r" for unit in UNITS[:17]] + [f"{u}_c" for u in UNITS]
  index = ["frame", "timestamp", "confidence", "success"]
  assert vendor_tables.feature_columns([*index, *names]) == tuple(names)
  assert vendor_tables.vendor([*index, *names]) == "OpenFace"
  assert len(names) == 35 == len(columns_lib.FACET_35)
  assert columns_lib.named("visual", 35, ()) is None
  assert columns_lib.named("visual", 35, ["facet_42"]) == columns_lib.FACET_35
  assert vendor_tables.feature_columns(["a", "b"]) == ("a", "b")
