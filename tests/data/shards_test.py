"""Shards are read whole or not at all."""

import concurrent.futures
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import google_crc32c
import numpy as np
import pytest
import tensorflow_datasets as tfds

from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards

ROOT = pathlib.Path(__file__).parents[2]


def convert(folder, *flags):
  subprocess.run(
    [
      sys.executable,
      "-m",
      "data_prep.convert",
      "--source=synthetic",
      "--preset=tiny",
      "--num_examples=40",
      "--num_shards=10",
      f"--output={folder}",
      *flags,
    ],
    cwd=ROOT,
    check=True,
    capture_output=True,
  )
  return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return convert(tmp_path_factory.mktemp("shards") / "tfrecord")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
  return convert(
    tmp_path_factory.mktemp("shards") / "array",
    "--file_format=array_record",
  )


@pytest.fixture
def copy(folder, tmp_path):
  return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def read(folder):
  return list(shards.read_examples(folder))


def files(folder):
  return [
    entry["file"] for entry in manifest_lib.load_manifest(folder)["shards"]
  ]


def test_every_example_is_read_as_the_manifest_counts_them(folder):
  manifest = manifest_lib.load_manifest(folder)
  examples = [example for _, example in read(folder)]
  assert len(examples) == manifest["counts"]["examples"] == 40
  assert len({example["id"] for example in examples}) == 40
  for modality, entry in manifest["modalities"].items():
    assert {e[modality].shape[1] for e in examples} == {entry["dim"]}
    present = sum(len(e[modality]) > 0 for e in examples)
    assert present == manifest["counts"]["present"][modality]
  assert (
    sum(bool(e["labelled"]) for e in examples)
    == (manifest["counts"]["labelled"])
  )


def test_both_formats_hold_the_same_examples(folder, arrays):
  a = {example["id"]: example for _, example in read(folder)}
  b = {example["id"]: example for _, example in read(arrays)}
  assert a.keys() == b.keys()
  for key, example in a.items():
    for name, value in example.items():
      np.testing.assert_array_equal(value, b[key][name], err_msg=name)


@pytest.mark.parametrize("which", ["folder", "arrays"])
def test_random_access_reads_what_the_pass_read(which, request):
  at = request.getfixturevalue(which)
  found = read(at)
  reader = shards.RecordReader(at)
  for index in (37, 0, 12, 39, 12):
    location, expected = found[index]
    example = reader.read(location)
    for name, value in expected.items():
      np.testing.assert_array_equal(example[name], value)


def flip(path, position, bit=1):
  content = bytearray(path.read_bytes())
  content[position] ^= bit
  path.write_bytes(content)


def test_one_flipped_byte_anywhere_is_an_error_naming_shard_and_record(copy):
  name = files(copy)[1]
  path = copy / name
  clean = path.read_bytes()
  # The frame of the first record: length, its CRC, data, its CRC.
  length = int.from_bytes(clean[:8], "little")
  frame = [0, 3, 7, 8, 11, 12, 12 + length // 2, 12 + length, 15 + length]
  rng = np.random.default_rng(0)
  scattered = rng.integers(len(clean), size=40).tolist()
  for position in [*frame, *scattered, len(clean) - 1]:
    flip(path, position, 1 << int(rng.integers(8)))
    with pytest.raises(errors.UserError, match=f"{name}, record [0-9]+: "):
      read(copy)
    path.write_bytes(clean)
  read(copy)


def test_a_flipped_byte_in_each_of_ten_shards_is_ten_errors(copy):
  names = files(copy)
  assert len(names) == 10
  rng = np.random.default_rng(1)
  for name in names:
    path = copy / name
    clean = path.read_bytes()
    flip(path, int(rng.integers(len(clean))))
    with pytest.raises(errors.UserError, match=f"shard {name}, record"):
      read(copy)
    path.write_bytes(clean)


def test_random_access_verifies_too(copy):
  location = read(copy)[20][0]
  path = copy / location.shard
  flip(path, location.offset + 20)
  with pytest.raises(
    errors.UserError, match=f"{location.shard}, record {location.record}: "
  ):
    shards.RecordReader(copy).read(location)


def test_random_access_finds_a_shard_that_was_cut_later(copy):
  location = read(copy)[-1][0]
  reader = shards.RecordReader(copy)
  path = copy / location.shard
  path.write_bytes(path.read_bytes()[: location.offset])
  with pytest.raises(errors.UserError, match=f"{location.shard}, record"):
    reader.read(location)


def test_threads_share_a_reader(folder):
  found = read(folder)
  reader = shards.RecordReader(folder)
  order = np.random.default_rng(0).integers(len(found), size=800)
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    got = list(pool.map(lambda i: reader.read(found[i][0])["id"], order))
  assert got == [found[i][1]["id"] for i in order]


@pytest.mark.parametrize("keep", [0, 5, 11, 12, 50, -1, -4, -5])
def test_a_shard_cut_short_is_an_error(copy, keep):
  name = files(copy)[0]
  path = copy / name
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(errors.UserError, match=f"{name} has [0-9]+ bytes"):
    read(copy)


@pytest.mark.parametrize("keep", [0, 5, 11, 12, 50, -1, -4, -5])
def test_a_cut_is_found_by_the_records_too(copy, keep):
  """Also where the manifest's size cannot tell."""
  name = files(copy)[0]
  path = copy / name
  path.write_bytes(path.read_bytes()[:keep])
  edit(copy, lambda m: m["shards"][0].update(bytes=path.stat().st_size))
  with pytest.raises(errors.UserError, match=name):
    read(copy)


def edit(folder, change):
  """Edits a manifest and signs it again."""
  path = folder / manifest_lib.MANIFEST
  manifest = json.loads(path.read_text())
  change(manifest)
  manifest = manifest_lib.sign(manifest)
  path.write_text(json.dumps(manifest))


def test_garbage_after_the_last_record_is_an_error(copy):
  name = files(copy)[2]
  with (copy / name).open("ab") as file:
    file.write(b"\0" * 7)
  edit(
    copy,
    lambda m: m["shards"][2].update(bytes=(copy / name).stat().st_size),
  )
  with pytest.raises(errors.UserError, match=f"{name}, record"):
    read(copy)


@pytest.mark.parametrize("sizes_tell", [True, False])
def test_swapped_shards_are_an_error(copy, sizes_tell):
  a, b = files(copy)[:2]
  (copy / a).rename(copy / "x")
  (copy / b).rename(copy / a)
  (copy / "x").rename(copy / b)
  if not sizes_tell:

    def as_found(manifest):
      first, second = manifest["shards"][:2]
      for key in ("bytes", "examples"):
        first[key], second[key] = second[key], first[key]

    edit(copy, as_found)
  with pytest.raises(errors.UserError, match=f"shard ({a}|{b})"):
    read(copy)


def rewrite(folder, change):
  """Changes the second example of the first shard; every checksum is right."""
  features = tfds.features.FeaturesDict.from_config(str(folder))
  entry = manifest_lib.load_manifest(folder)["shards"][0]
  path = folder / entry["file"]
  content, records = path.read_bytes(), []
  while content:
    length = int.from_bytes(content[:8], "little")
    records.append(content[12 : 12 + length])
    content = content[16 + length :]
  example = features.deserialize_example_np(records[1])
  change(example)
  records[1] = features.serialize_example(example)

  def masked(data):
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

  framed = b""
  for data in records:
    header = struct.pack("<Q", len(data))
    framed += header + struct.pack("<I", masked(header))
    framed += data + struct.pack("<I", masked(data))
  path.write_bytes(framed)
  crc = google_crc32c.Checksum(framed).digest().hex()
  edit(
    folder,
    lambda m: m["shards"][0].update(bytes=len(framed), crc32c=crc),
  )
  return entry["file"]


def set_nan(example):
  example["acoustic"] = np.ones((3, 20), np.float32)
  example["acoustic"][2, 7] = np.nan
  if "acoustic_word" in example:
    example["acoustic_word"] = np.zeros(3, np.int32)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (set_nan, "its acoustic column {column} is not finite"),
    (lambda e: e.update(labels=e["labels"] + 0.5), "its labels are"),
  ],
)
def test_a_sound_record_of_unsound_values_is_an_error(copy, change, message):
  columns = manifest_lib.load_manifest(copy)["modalities"]["acoustic"][
    "columns"
  ]
  name = rewrite(copy, change)
  message = message.format(column=columns[7])
  with pytest.raises(errors.UserError, match=f"{name}, record 1: {message}"):
    read(copy)


def test_a_record_rewritten_as_it_was_is_read(copy):
  rewrite(copy, lambda example: None)
  assert len(read(copy)) == 40


def test_a_flipped_byte_in_an_array_record_is_an_error(arrays, tmp_path):
  at = pathlib.Path(shutil.copytree(arrays, tmp_path / "copy"))
  rng = np.random.default_rng(2)
  name = files(at)[1]
  path = at / name
  clean = path.read_bytes()
  for position in rng.integers(len(clean), size=10):
    flip(path, int(position))
    with pytest.raises(errors.UserError, match=name):
      read(at)
    path.write_bytes(clean)


def test_what_is_no_shard_folder_is_named(tmp_path, copy):
  with pytest.raises(errors.UserError, match="is not a folder"):
    manifest_lib.load_manifest(tmp_path / "nowhere")
  with pytest.raises(errors.UserError, match="did not finish"):
    manifest_lib.load_manifest(tmp_path)
  (copy / files(copy)[1]).unlink()
  with pytest.raises(errors.UserError, match="is missing"):
    manifest_lib.load_manifest(copy)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda text: text.replace('"neutral"', '"calm"', 1), "fingerprint"),
    (lambda text: text[: len(text) // 2], "is not JSON"),
    (lambda text: "{}", "lacks format"),
    (lambda text: "[]", "lacks format"),
  ],
)
def test_a_damaged_manifest_is_named(copy, change, message):
  path = copy / manifest_lib.MANIFEST
  path.write_text(change(path.read_text()))
  with pytest.raises(errors.UserError, match=message) as caught:
    manifest_lib.load_manifest(copy)
  assert "\n" not in str(caught.value)


def test_another_format_of_shards_is_refused(copy):
  edit(copy, lambda m: m.update(format=99))
  with pytest.raises(errors.UserError, match="has format 99, expected 1"):
    manifest_lib.load_manifest(copy)


def test_a_stream_of_other_dims_than_the_manifest_is_an_error(copy):
  edit(copy, lambda m: m["modalities"]["acoustic"].update(dim=3))
  with pytest.raises(errors.UserError, match="acoustic stream has shape"):
    read(copy)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda path: path.unlink(), "cannot be read"),
    (lambda path: path.write_text(""), "cannot be read"),
    (lambda path: path.write_text(path.read_text()[:99]), "cannot be read"),
    (
      lambda path: path.write_text(
        path.read_text().replace("pythonClassName", "python")
      ),
      "cannot be read",
    ),
    (
      lambda path: path.write_text(path.read_text().replace('"labels"', '"l"')),
      "lacks labels",
    ),
  ],
)
def test_damaged_features_are_named(copy, change, message):
  change(copy / manifest_lib.FEATURES)
  with pytest.raises(
    errors.UserError, match=f"features.json {message}"
  ) as caught:
    read(copy)
  assert "\n" not in str(caught.value)


def forget_the_checksum(manifest):
  manifest["converter"]["options"]["emotion_vectors_crc32c"] = None


def test_emotion_vectors_are_read_without_unpickling(copy):
  vectors = manifest_lib.load_emotion_vectors(copy)
  manifest = manifest_lib.load_manifest(copy)
  assert vectors is not None
  assert vectors.names == tuple(manifest["emotions"])
  assert vectors.vectors.shape[0] == len(vectors.names)
  path = copy / manifest_lib.EMOTIONS
  np.savez(path, names=np.array([object()]), words=[""], vectors=[[0.0]])
  edit(copy, forget_the_checksum)
  with pytest.raises(errors.UserError, match="cannot be read"):
    manifest_lib.load_emotion_vectors(copy)
  path.unlink()
  assert manifest_lib.load_emotion_vectors(copy) is None


@pytest.mark.parametrize("checksum", [True, False])
def test_damaged_emotion_vectors_are_named_or_harmless(copy, checksum):
  path = copy / manifest_lib.EMOTIONS
  clean, good = path.read_bytes(), manifest_lib.load_emotion_vectors(copy)
  if not checksum:
    edit(copy, forget_the_checksum)
  rng = np.random.default_rng(0)
  refused = 0
  for position in rng.integers(len(clean), size=60):
    flip(path, int(position), 1 << int(rng.integers(8)))
    try:
      found = manifest_lib.load_emotion_vectors(copy)
    except errors.UserError as error:
      assert "\n" not in str(error)
      refused += 1
    else:
      # Bytes of the archive that nothing reads: times, attributes.
      assert found.names == good.names and found.words == good.words
      np.testing.assert_array_equal(found.vectors, good.vectors)
    path.write_bytes(clean)
  assert refused == 60 if checksum else refused > 30
  path.write_bytes(clean[:-9])
  with pytest.raises(errors.UserError, match=manifest_lib.EMOTIONS):
    manifest_lib.load_emotion_vectors(copy)


def test_missing_emotion_vectors_are_named(copy):
  (copy / manifest_lib.EMOTIONS).unlink()
  with pytest.raises(errors.UserError, match="emotions.npz is missing"):
    manifest_lib.load_emotion_vectors(copy)


def test_emotion_vectors_of_other_emotions_are_refused(copy):
  names = manifest_lib.load_emotion_vectors(copy).names
  edit(copy, forget_the_checksum)
  np.savez(
    copy / manifest_lib.EMOTIONS,
    names=np.array(names[::-1]),
    words=np.array(names),
    vectors=np.ones((len(names), 4), np.float32),
  )
  with pytest.raises(errors.UserError, match="is of the emotions"):
    manifest_lib.load_emotion_vectors(copy)


def test_reading_imports_neither_tensorflow_nor_torch(folder, arrays):
  code = (
    "import pathlib, sys\n"
    "from mmer_jax.data import shards\n"
    f"list(shards.read_examples(pathlib.Path({str(folder)!r})))\n"
    f"list(shards.read_examples(pathlib.Path({str(arrays)!r})))\n"
    "sys.exit(', '.join({'tensorflow', 'torch'} & set(sys.modules)) or 0)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
