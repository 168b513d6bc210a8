"""One array per utterance and modality, beside a table."""

import pathlib
import shutil

import h5py
import numpy as np
import pytest
from absl import flags

from data_prep import convert as convert_lib
from data_prep.sources import registry
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards

NAMES = ("b_1", "a_2", "c_3", "d_4")
TABLE = (
  "utt_id,emotion,transcript,spk,session,split\n"
  "b_1,hap,I am happy,x,1,train\n"
  "a_2,sad,I am sad,x,1,train\n"
  "c_3,exc,happy,y,2,dev\n"
  "d_4,xxx,zzz,y,2,test\n"
)
NOTE = "read by the columns' names: id from 'utt_id', label from 'emotion'"


def parsed(*arguments):
  values = flags.FlagValues()
  convert_lib.define_flags(values)
  values(["convert", *map(str, arguments)])
  return values


def build(table, *arguments):
  return registry.build(
    parsed("--source=folder", f"--input={table}", *arguments)
  )


def examples(corpus):
  return {example.id: example for example in corpus.examples()}


def refused(message, table, *arguments):
  with pytest.raises(UserError, match=message) as caught:
    examples(build(table, *arguments))
  assert "\n" not in str(caught.value)


@pytest.fixture
def table(tmp_path):
  path = tmp_path / "table.csv"
  path.write_text(TABLE)
  return path


@pytest.fixture
def arrays():
  """Frames of several lengths, off zero; and one vector."""
  rng = np.random.default_rng(0)
  made = {
    name: rng.normal(3, 1, (length, 5)).astype(np.float32)
    for name, length in zip(NAMES, (4, 2, 7, 1), strict=True)
  }
  return made


def as_npy(arrays, folder):
  folder.mkdir()
  for name, array in arrays.items():
    np.save(folder / f"{name}.npy", array[0] if len(array) == 1 else array)
  return folder


def as_npz(arrays, path):
  np.savez(path, **arrays)
  return path


def as_h5(arrays, path, pattern):
  with h5py.File(path, "w") as file:
    for name, array in arrays.items():
      file[pattern.format(name)] = array
  return path


def as_csv(arrays, folder):
  folder.mkdir()
  for name, array in arrays.items():
    lines = [",".join(f"f{i}" for i in range(array.shape[1]))]
    lines += [",".join(map(repr, row)) for row in array.tolist()]
    (folder / f"{name}.csv").write_text("\n".join(lines))
  return folder


def test_the_same_arrays_in_seven_layouts_are_one_corpus(
  table, arrays, tmp_path
):
  layouts = (
    as_npy(arrays, tmp_path / "npy"),
    as_npy(
      {f"sub_{k}": v for k, v in arrays.items()}, tmp_path / "renamed"
    ).rename(tmp_path / "other"),
    as_npz(arrays, tmp_path / "a.npz"),
    as_h5(arrays, tmp_path / "a.h5", "{}"),
    as_h5(arrays, tmp_path / "b.h5", "{}/feat"),
    as_h5(arrays, tmp_path / "c.hdf5", "all/{}"),
    f"{as_h5(arrays, tmp_path / 'd.h5', '{}/audio')}:audio",
    as_csv(arrays, tmp_path / "csv"),
  )
  for path in (tmp_path / "other").iterdir():
    folder = tmp_path / "other" / "Session1"
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name.removeprefix("sub_"))
  for layout in layouts:
    corpus = build(table, f"--acoustic_features={layout}")
    found = examples(corpus)
    assert list(found) == list(NAMES)
    for name in NAMES:
      np.testing.assert_array_equal(
        found[name].streams["acoustic"], arrays[name]
      )
    columns = corpus.modalities["acoustic"].columns
    assert columns[0] == ("f0" if "csv" in str(layout) else "acoustic_00")
    assert corpus.modalities["acoustic"].padding == "none"


def test_the_table_says_what_the_arrays_are(table, arrays, tmp_path):
  corpus = build(
    table,
    f"--visual_features={as_npz(arrays, tmp_path / 'a.npz')}",
    "--label_map=hap=happy,exc=happy",
    "--unlabelled=xxx",
  )
  found = examples(corpus)
  assert corpus.emotions == ("happy", "sad")
  labels = {
    name: None if e.labels is None else e.labels.tolist()
    for name, e in found.items()
  }
  assert labels == {"b_1": [1, 0], "a_2": [0, 1], "c_3": [1, 0], "d_4": None}
  rows = {(e.speaker, e.session, e.split) for e in found.values()}
  assert rows == {
    ("x", "1", "train"),
    ("y", "2", "validation"),
    ("y", "2", "test"),
  }
  # Without word vectors the text is not read, and nobody asks for them.
  assert list(corpus.modalities) == ["visual"]
  assert corpus.notes[0].startswith(NOTE)
  assert "transcript" not in corpus.notes[0]


def test_columns_may_be_named_and_left_out(table, arrays, tmp_path):
  path = as_npz(arrays, tmp_path / "a.npz")
  corpus = build(
    table,
    f"--acoustic_features={path}",
    *("--id_column=utt_id", "--label_column=", "--emotions=happy,sad"),
    *("--speaker_column=", "--session_column=spk", "--split_column="),
  )
  example = examples(corpus)["a_2"]
  assert example.labels is None and corpus.emotions == ("happy", "sad")
  assert (example.speaker, example.session, example.split) == ("", "x", "")
  assert corpus.notes == ()


def test_one_column_for_each_emotion_is_multi_label(arrays, tmp_path):
  (tmp_path / "t.csv").write_text(
    "name,happy,sad\nb_1,0.3,0\na_2,0,0\nc_3,2,1\nd_4,,\n"
  )
  path = as_npz(arrays, tmp_path / "a.npz")
  corpus = build(
    tmp_path / "t.csv",
    f"--acoustic_features={path}",
    "--label_column=happy,sad",
    "--label_map=sad=sadness",
  )
  assert corpus.label_type == "multi" and corpus.emotions == (
    "happy",
    "sadness",
  )
  labels = [
    None if e.labels is None else e.labels.tolist()
    for e in examples(corpus).values()
  ]
  assert labels == [[1, 0], [0, 0], [1, 1], None]


def test_what_has_no_counterpart_is_counted_and_named(
  table, arrays, tmp_path, word_vectors
):
  del arrays["a_2"]
  arrays["z_9"] = arrays["b_1"]
  arrays["d_4"] = np.zeros((0, 5), np.float32)
  folder = as_npy(arrays, tmp_path / "npy")
  (folder / "readme.txt").write_text("")
  (folder / "._b_1.npy").write_text("AppleDouble")
  corpus = build(
    table, f"--acoustic_features={folder}", f"--word_vectors={word_vectors}"
  )
  found = examples(corpus)
  assert "acoustic" not in found["a_2"].streams
  # An empty array is an absent modality, too.
  assert "acoustic" not in found["d_4"].streams
  assert list(found["b_1"].streams) == ["lexical", "acoustic"]
  assert corpus.notes[1:] == (
    "acoustic: 1 of 4 utterances have no array in npy ('a_2')",
    "acoustic: 1 of 4 arrays of npy have no row in the table and are left out"
    " ('z_9')",
    "acoustic: 1 files of npy are no arrays and are not read ('readme.txt')",
  )


def test_a_matrix_in_the_order_of_the_table_says_so(table, tmp_path):
  matrix = np.arange(12.0).reshape(4, 3)
  np.save(tmp_path / "m.npy", matrix)
  argument = f"--lexical_features={tmp_path / 'm.npy'}"
  corpus = build(table, argument)
  rows = [e.streams["lexical"] for e in examples(corpus).values()]
  np.testing.assert_array_equal(np.concatenate(rows), matrix)
  assert "row i of m.npy is taken for row i of the table" in corpus.notes[-1]
  np.save(tmp_path / "m.npy", matrix[:3])
  refused("m.npy has 3 rows and the table 4; expected one", table, argument)


OPENFACE = "frame, face_id, timestamp, confidence, success, AU01_r, AU02_r\n"


def test_frames_without_a_face_are_masked_and_counted(
  table, tmp_path, write_corpus
):
  folder = tmp_path / "faces"
  folder.mkdir()
  for name, successes in (("b_1", "101"), ("a_2", "1"), ("c_3", "00")):
    rows = [
      f"{i}, 0, 0.0, 0.9, {s}, {i + 1}, 2.5" for i, s in enumerate(successes)
    ]
    (folder / f"{name}.csv").write_text(OPENFACE + "\n".join(rows))
  corpus = build(table, f"--visual_features={folder}")
  assert corpus.modalities["visual"].columns == ("AU01_r", "AU02_r")
  assert corpus.modalities["visual"].padding == "zero_rows"
  manifest, read = write_corpus(corpus)
  assert read["b_1"]["visual"].tolist() == [[1, 2.5], [0, 0], [3, 2.5]]
  # No face at all is an absent modality; no file as well.
  assert manifest["counts"]["present"] == {"visual": 2}
  assert corpus.tally == {"of visual without a face (success 0) masked": 3}


def test_openSMILE_descriptors_keep_their_names_and_order(table, tmp_path):
  folder = tmp_path / "lld"
  folder.mkdir()
  (folder / "b_1.csv").write_text(
    "name;frameTime;loud;pitch\n'b_1';0.0;1;10\n'b_1';0.01;2;20\n"
  )
  (folder / "a_2.csv").write_text("name;frameTime;pitch;loud\n'a_2';0;30;3\n")
  (folder / "c_3.csv").write_text("4,40\n5,50\n")
  argument = f"--acoustic_features={folder}"
  # The first of the table has names, another has none.
  refused("c_3.csv: 2 features .* no names", table, argument)
  (folder / "c_3.csv").unlink()
  found = examples(build(table, argument))
  assert found["b_1"].streams["acoustic"].tolist() == [[1, 10], [2, 20]]
  assert found["a_2"].streams["acoustic"].tolist() == [[3, 30]]
  (folder / "c_3.csv").write_text("name;frameTime;pitch;f0\n'c_3';0;30;3\n")
  refused("c_3.csv: .* of .*b_1.csv; they differ in 'loud'", table, argument)


def test_one_table_may_hold_all_utterances(table, tmp_path):
  path = tmp_path / "egemaps.csv"
  path.write_text(
    "name;frameTime;loud;pitch\n'wav/b_1.wav';0;1;10\n'wav/a_2.wav';0;2;20\n"
    "'wav/b_1.wav';0.01;3;nan\n'wav/x.wav';0;2;20\n"
  )
  corpus = build(table, f"--acoustic_features={path}")
  found = examples(corpus)
  np.testing.assert_array_equal(
    found["b_1"].streams["acoustic"], [[1, 10], [3, np.nan]]
  )
  assert found["a_2"].streams["acoustic"].tolist() == [[2, 20]]
  assert corpus.modalities["acoustic"].columns == ("loud", "pitch")
  assert "'b_1' is 'wav/b_1.wav'" in corpus.notes[1]
  path.write_text("a,b\n1,2\n")
  refused(
    "no column names the utterances", table, f"--acoustic_features={path}"
  )
  path.write_text("name,b\nx,2\nx,y\n")
  refused("line 3: column 'b' holds 'y'", table, f"--acoustic_features={path}")


def test_numbers_without_a_header_are_numbered(table, tmp_path):
  folder = tmp_path / "numbers"
  folder.mkdir()
  (folder / "b_1.csv").write_text("1,2\n1,2\n\n3,nan\n")
  corpus = build(table, f"--acoustic_features={folder}")
  frames = examples(corpus)["b_1"].streams["acoustic"]
  np.testing.assert_array_equal(frames, [[1, 2], [1, 2], [3, np.nan]])
  assert corpus.modalities["acoustic"].columns == ("acoustic_00", "acoustic_01")
  (folder / "b_1.csv").write_text("1,2\n1\n")
  refused(
    "b_1.csv line 2: '1', expected 2 numbers",
    table,
    "--zero_rows=",
    f"--acoustic_features={folder}",
  )


def test_ids_may_be_paths(arrays, tmp_path):
  (tmp_path / "t.csv").write_text("wav,label\nx/b_1.wav,hap\nx/a_2.wav,sad\n")
  path = as_npz(arrays, tmp_path / "a.npz")
  corpus = build(tmp_path / "t.csv", f"--acoustic_features={path}")
  found = examples(corpus)
  np.testing.assert_array_equal(
    found["x/a_2.wav"].streams["acoustic"], arrays["a_2"]
  )
  assert "'x/b_1.wav' is 'b_1'" in corpus.notes[1]
  (tmp_path / "t.csv").write_text("wav,label\nx/b_1.wav,hap\ny/b_1.wav,sad\n")
  refused(
    "'b_1' would be the array of 'y/b_1.wav' and of another",
    tmp_path / "t.csv",
    f"--acoustic_features={path}",
  )


def test_a_spec_may_say_what_the_table_means(arrays, tmp_path):
  spec = tmp_path / "spec.py"
  spec.write_text(
    "import ml_collections\n\n\ndef get_config():\n"
    "  return ml_collections.ConfigDict({'label': '{e}', 'id': '{n}_{k}',"
    " 'emotion_words': (('hap', ('happy',)),)})\n"
  )
  (tmp_path / "t.csv").write_text("n,k,e\nb,1,hap\na,2,sad\n")
  arguments = (
    f"--acoustic_features={as_npz(arrays, tmp_path / 'a.npz')}",
    f"--spec={spec}",
  )
  corpus = build(tmp_path / "t.csv", *arguments)
  assert list(examples(corpus)) == ["b_1", "a_2"]
  refused(
    "--label_column and --spec both say",
    tmp_path / "t.csv",
    *arguments,
    "--label_column=e",
  )


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"a_2": np.zeros((3, 4))}, r"array 'a_2': 4 .*, expected 5 as in .*'b_1'"),
    ({"a_2": np.zeros((1, 3, 5))}, r"'a_2': shape \(1, 3, 5\), expected \(d,"),
    ({"a_2": np.array(["x"])}, "'a_2': holds <U1, expected real numbers"),
    ({"a_2": np.zeros(2, complex)}, "'a_2' holds complex numbers"),
    ({"a_2": np.array([None], object)}, "'a_2' holds pickled Python objects"),
  ],
)
def test_an_odd_array_is_named(table, arrays, tmp_path, change, message):
  path = as_npz({**arrays, **change}, tmp_path / "a.npz")
  refused(message, table, f"--acoustic_features={path}")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((), "needs one at least of --lexical_features, --acoustic_features"),
    (("--acoustic_features=none",), "none does not exist"),
    (("{a}", "--speaker_column=spks"), "no column 'spks'.*mean 'spk'"),
    (("{a}", "--label_map=hapy=happy"), "'hapy', which no .* mean 'hap'"),
    (("{a}", "--unlabelled=oth"), "--unlabelled names the label 'oth'"),
    (
      ("{a}", "--emotions=hap,sad"),
      "the label 'exc' is not one of --emotions=hap,sad",
    ),
    (("{a}", "--zero_rows=acustic"), "--zero_rows has .* mean 'acoustic'"),
    (("{a}", "--label_column="), "pass --emotions=happy,sad"),
    (("{a}", "--text_column=transcript"), "needs --word_vectors=FILE"),
    (("{a}", "--id_column=spk"), "no acoustic array is of an utterance"),
    (("{a}:x",), "only in .h5 files a name after a colon"),
    (("{a}", "--positive_above=3"), "--positive_above=3 cuts label columns"),
  ],
)
def test_a_wrong_command_is_one_line(
  table, arrays, tmp_path, arguments, message
):
  path = as_npz(arrays, tmp_path / "a.npz")
  given = [a.replace("{a}", f"--acoustic_features={path}") for a in arguments]
  refused(message, table, *given)


def test_a_table_without_ids_or_labels_says_which_flag(arrays, tmp_path):
  path = as_npz(arrays, tmp_path / "a.npz")
  (tmp_path / "t.csv").write_text("number,feeling\n1,2\n")
  argument = f"--acoustic_features={path}"
  refused("that of the ids; .* give --id_column=", tmp_path / "t.csv", argument)
  refused(
    "of the labels; it has number, feeling: give --label_column=NAME; --label",
    tmp_path / "t.csv",
    argument,
    "--id_column=number",
  )


@pytest.mark.parametrize(
  ("cells", "message"),
  [
    (("", "", ""), "no row has a label in {label}; pass --emotions"),
    (range(60), "--label_column is '{label}', and that has more than 50"),
  ],
)
def test_labels_that_are_none_name_the_flag(arrays, tmp_path, cells, message):
  path = tmp_path / "t.csv"
  rows = [f"{NAMES[0]}{i or ''},{cell}" for i, cell in enumerate(cells)]
  path.write_text("\n".join(["id,label", *rows]))
  npz = as_npz(arrays, tmp_path / "a.npz")
  refused(message, path, f"--acoustic_features={npz}")


def test_a_split_of_another_name_says_how_to_go_without(arrays, tmp_path):
  path = tmp_path / "t.csv"
  path.write_text("id,label,split\nb_1,x,fold1\na_2,y,fold2\n")
  npz = as_npz(arrays, tmp_path / "a.npz")
  refused(
    "line 2: split 'fold1' .* or --split_column=",
    path,
    f"--acoustic_features={npz}",
  )
  found = examples(build(path, f"--acoustic_features={npz}", "--split_column="))
  assert {e.split for e in found.values()} == {""}


def test_texts_beside_arrays_are_not_cropped(arrays, tmp_path, word_vectors):
  spec = tmp_path / "spec.py"
  spec.write_text(
    "import ml_collections\n\n\ndef get_config():\n"
    "  return ml_collections.ConfigDict({'label': '{label}', 'text': '{text}',"
    " 'crop': {'max_words': 2}})\n"
  )
  (tmp_path / "t.csv").write_text("id,label,text\nb_1,x,I am sad\n")
  npz = as_npz(arrays, tmp_path / "a.npz")
  refused(
    "spec.crop.max_words is 2, but only rows of text alone",
    tmp_path / "t.csv",
    *(f"--acoustic_features={npz}", f"--spec={spec}"),
    f"--word_vectors={word_vectors}",
  )


def test_two_data_sets_of_an_utterance_ask_for_a_name(table, arrays, tmp_path):
  path = as_h5(arrays, tmp_path / "a.h5", "{}/audio")
  as_h5(arrays, tmp_path / "b.h5", "{}/x")
  with h5py.File(path, "a") as file:
    file["b_1/video"] = np.zeros((2, 2))
  refused(
    "a.h5: /b_1 holds audio, video, .* give FILE.h5:NAME",
    table,
    f"--acoustic_features={path}",
  )
  refused(
    "/a_2 holds audio, expected 'video'",
    table,
    f"--acoustic_features={path}:video",
  )


def test_a_folder_of_another_format_names_the_way(table, tmp_path):
  folder = tmp_path / "mats"
  folder.mkdir()
  (folder / "b_1.mat").write_bytes(b"MATLAB 5.0 MAT-file")
  refused("b_1.mat is a MATLAB file", table, f"--acoustic_features={folder}")
  (folder / "b_1.mat").rename(folder / "b_1.wav")
  refused("holds no array, expected", table, f"--acoustic_features={folder}")
  (folder / "x.npy").write_bytes(b"\x93NUMPY\x01")
  (folder / "x.csv").write_bytes(b"a\n1\n")
  refused("x.csv and x.npy are both of", table, f"--acoustic_features={folder}")


def damaged(content, rng):
  """Some bytes changed, cut out or put in."""
  content = bytearray(content)
  for _ in range(rng.integers(1, 4)):
    at = int(rng.integers(len(content)))
    if rng.random() < 0.5:
      content[at] ^= 1 << int(rng.integers(8))
    else:
      content[at : at + int(rng.integers(3))] = rng.bytes(rng.integers(4))
  return bytes(content)


@pytest.mark.parametrize("layout", ["npz", "h5", "npy", "csv"])
def test_damaged_arrays_are_read_or_one_line(table, arrays, tmp_path, layout):
  rng = np.random.default_rng(0)
  if layout == "npz":
    path = file = as_npz(arrays, tmp_path / "a.npz")
  elif layout == "h5":
    path = file = as_h5(arrays, tmp_path / "a.h5", "{}/feat")
  else:
    path = (as_npy if layout == "npy" else as_csv)(arrays, tmp_path / "x")
    file = path / f"b_1.{layout}"
  whole = file.read_bytes()
  for _ in range(40):
    file.write_bytes(damaged(whole, rng))
    try:
      found = examples(build(table, f"--acoustic_features={path}"))
    except UserError as error:
      assert "\n" not in str(error)
      continue
    if layout == "npz":
      # Every array has a checksum there.
      for name, example in found.items():
        if "acoustic" in example.streams:
          np.testing.assert_array_equal(
            example.streams["acoustic"], arrays[name]
          )


def test_labels_of_MERBench_are_unpickled_with_care(arrays, tmp_path):
  path = tmp_path / "label-6way.npz"
  train = {
    "b_1": {"emo": "happy", "val": 1.5},
    "a_2": {"emo": "sad", "val": -1},
  }
  test = {"c_3": {"emo": "happy", "val": 0.5}}
  np.savez_compressed(path, train_corpus=train, test1_corpus=test)
  features = as_npy(arrays, tmp_path / "wavlm")
  found = examples(build(path, f"--acoustic_features={features}"))
  assert {name: e.split for name, e in found.items()} == {
    "b_1": "train",
    "a_2": "train",
    "c_3": "test",
  }
  assert found["c_3"].labels.tolist() == [1, 0]
  np.savez(path, a=np.array([{"x": pathlib.PurePosixPath("y")}], object))
  refused(
    "is refused: it calls pathlib", path, f"--acoustic_features={features}"
  )
  np.savez(path, a=np.array([1, None], object))
  refused(
    "member 'a' is no dict, expected one",
    path,
    f"--acoustic_features={features}",
  )


def test_drawn_files_are_converted(data_dir, tmp_path, capsys):
  layouts = data_dir / "layouts"
  names = [f"Ses01F_impro01_F{i:03d}" for i in range(6)]
  table = tmp_path / "labels.tsv"
  lines = [
    f"{name}\t{'hap' if i % 2 else 'sad'}" for i, name in enumerate(names)
  ]
  table.write_text("\n".join(["name\temotion", *lines]))
  faces, texts = tmp_path / "faces", tmp_path / "texts"
  faces.mkdir()
  texts.mkdir()
  shutil.copy(layouts / "openface.csv", faces / f"{names[0]}.csv")
  shutil.copy(layouts / "bert.npy", texts / f"{names[1]}.npy")
  output = tmp_path / "out"
  arguments = parsed(
    *("--source=folder", f"--input={table}", f"--output={output}"),
    f"--acoustic_features={layouts / 'one_key_per_utterance.npz'}",
    f"--visual_features={faces}",
    f"--lexical_features={texts}",
    "--file_format=array_record",
  )
  convert_lib.convert(arguments)
  manifest = manifest_lib.load_manifest(output)
  assert manifest["counts"]["present"] == {
    "lexical": 1,
    "acoustic": 6,
    "visual": 1,
  }
  dims = {name: m["dim"] for name, m in manifest["modalities"].items()}
  assert dims == {"lexical": 768, "acoustic": 88, "visual": 17}
  read = {e["id"]: e for _, e in shards.read_examples(output)}
  lengths = [len(read[name]["acoustic"]) for name in names]
  assert lengths == [3, 4, 5, 6, 7, 8]
  assert "5 utterances without visual" in capsys.readouterr().out
  h5 = build(table, f"--acoustic_features={layouts / 'per_utterance.h5'}")
  assert [len(e.streams.get("acoustic", ())) for e in h5.examples()] == [
    *(7, 8, 9, 10, 0, 0)
  ]
  csv = build(table, f"--acoustic_features={layouts / 'opensmile_csv.csv'}")
  read = examples(csv)
  np.testing.assert_allclose(
    read[names[1]].streams["acoustic"], [[26, 0.45]], rtol=1e-6
  )
  assert "acoustic" not in read[names[2]].streams
  refused(
    r"pickled Python objects.* numpy.savez\('bert_frames_object.npz', ",
    table,
    f"--acoustic_features={layouts / 'bert_frames_object.npy'}",
  )
