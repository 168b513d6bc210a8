"""Arrays of an utterance each are one line, odd ones a line of their own."""

import io
import json

import h5py
import numpy as np
import pytest
import rich.console

from data_prep.readers import describe, describe_tables
from mmer_jax.base.errors import UserError


def lines(description):
  console = rich.console.Console(record=True, width=160, file=io.StringIO())
  for table in describe_tables.tables_of(description):
    console.print(table)
  return console.export_text()


def arrays(count, rng):
  return {f"u{i:02}": rng.normal(size=(i % 4 + 1, 5)) for i in range(count)}


def test_a_folder_of_arrays_is_a_line_for_each_width(tmp_path):
  rng = np.random.default_rng(0)
  made = arrays(7, rng)
  made["u03"][2, 4] = np.nan
  (tmp_path / "s1").mkdir()
  for name, array in made.items():
    np.save(tmp_path / "s1" / f"{name}.npy", array.astype(np.float32))
  np.save(tmp_path / "z.npy", np.ones(4))
  (tmp_path / "readme.txt").write_text("")
  described = describe.describe(tmp_path)
  assert described["layout"] == "folder of .npy, 8 utterances, 1 other files"
  assert list(described["columns"]) == ["s1/u00, ...", "z"]
  entry = described["columns"]["s1/u00, ..."]
  assert (entry["arrays"], entry["lengths"]) == (7, [1, 4])
  assert entry["shape"] == [None, 5] and entry["nonfinite"] == 1
  whole = np.concatenate(list(made.values()))
  assert entry["max"] == np.float32(np.nanmax(whole))
  json.dumps(described)
  assert "7 arrays, 1 to 4 x 5" in lines(described)


def test_frames_without_a_face_are_counted(tmp_path):
  header = "frame, face_id, timestamp, confidence, success, AU01_r, AU02_r\n"
  for name in "ab":
    (tmp_path / f"{name}.csv").write_text(
      f"{header}1, 0, 0, 0.9, 1, 2, 3\n2, 0, 0, 0.9, 0, 2, 3\n"
    )
  described = describe.describe(tmp_path)
  (entry,) = described["columns"].values()
  assert (entry["masked"], entry["note"]) == (2, "AU01_r to AU02_r")
  assert "2 frames without a face" in lines(described)


@pytest.mark.parametrize("count", [3, 25])
def test_many_arrays_in_one_file_are_one_line(tmp_path, count):
  made = arrays(count, np.random.default_rng(1))
  np.savez(tmp_path / "a.npz", **made)
  with h5py.File(tmp_path / "a.h5", "w") as file:
    for name, array in made.items():
      file[f"{name}/feat"] = array
  for name in ("a.npz", "a.h5"):
    (entry,) = describe.describe(tmp_path / name)["columns"].values()
    assert entry["arrays"] == count


def test_columns_of_a_table_stay_apart(tmp_path):
  np.savez(tmp_path / "a.npz", x=np.zeros((4, 3)), y=np.ones((4, 3)))
  assert list(describe.describe(tmp_path / "a.npz")["columns"]) == ["x", "y"]


def test_a_single_array_is_described_and_objects_are_refused(tmp_path):
  np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
  (entry,) = describe.describe(tmp_path / "a.npy")["columns"].values()
  assert (entry["shape"], entry["min"], entry["max"]) == ([2, 3], 0, 5)
  np.save(tmp_path / "a.npy", np.array([None]))
  with pytest.raises(UserError, match="pickled Python objects"):
    describe.describe(tmp_path / "a.npy")
  (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
  with pytest.raises(UserError, match="a.npy cannot be read: .*damaged"):
    describe.describe(tmp_path / "a.npy")


def test_drawn_arrays_are_described(data_dir):
  layouts = data_dir / "layouts"
  for name, shape, count in (
    ("one_key_per_utterance.npz", [None, 88], 6),
    ("per_utterance.h5", [None, 130], 4),
  ):
    (entry,) = describe.describe(layouts / name)["columns"].values()
    assert (entry["shape"], entry["arrays"]) == (shape, count)
  (entry,) = describe.describe(layouts / "bert.npy")["columns"].values()
  assert entry["shape"] == [40, 768]
