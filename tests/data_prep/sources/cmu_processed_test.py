"""The HDF5 layout of CMU's processed data."""

import h5py
import numpy as np
import pytest

from data_prep.corpus import columns
from data_prep.sources import cmu_labels, cmu_processed
from mmer_jax.base.errors import UserError

DIMS = {"text_{}_emb": 5, "audio_{}": 74, "video_{}": 35}
SIZES = {"train": 7, "valid": 3, "test": 4}


def save(path, array, key="d1"):
  with h5py.File(path, "w") as file:
    file[key] = array


@pytest.fixture
def folder(tmp_path):
  """Three splits of six emotions, all files there, nothing padded."""
  rng = np.random.default_rng(0)
  folder = tmp_path / "CMU-mosei.2"
  folder.mkdir()
  for split, size in SIZES.items():
    for name, dim in DIMS.items():
      array = rng.normal(size=(size, 4, dim)) + 3
      save(folder / f"{name.format(split)}.h5", array)
    save(folder / f"ey_{split}.h5", rng.integers(-1, 3, size=(size, 6)))
  return folder


def build(folder, **changes):
  options = {
    "word_vectors": None,
    "label_file": "auto",
    "label_type": "auto",
    "emotions": (),
    "sentiment_bins": None,
    **changes,
  }
  return cmu_processed.build(folder, **options)


def examples(corpus):
  return {example.id: example for example in corpus.examples()}


def stored(path):
  with h5py.File(path) as file:
    return next(iter(file.values()))[()]


def test_files_of_a_split_become_utterances(folder, write_corpus):
  corpus = build(folder)
  manifest, read = write_corpus(corpus)
  assert manifest["name"] == "cmu_mosei_2"
  assert manifest["counts"]["by_split"] == {
    "test": 4,
    "train": 7,
    "validation": 3,
  }
  assert manifest["label_type"] == "multi"
  assert manifest["emotions"] == list(cmu_labels.EMOTIONS)
  np.testing.assert_array_equal(
    read["validation/000002"]["acoustic"],
    stored(folder / "audio_valid.h5")[2].astype(np.float32),
  )
  np.testing.assert_array_equal(
    read["train/000006"]["labels"], stored(folder / "ey_train.h5")[6] > 0
  )
  assert manifest["modalities"]["acoustic"]["columns"] == list(
    columns.COVAREP_74
  )
  # OpenFace has 35 columns, too.
  assert manifest["modalities"]["visual"]["columns"][0] == "visual_00"
  assert manifest["normalisation"]["visual"]["count"] == 28


def test_a_missing_file_is_an_absent_modality(folder, write_corpus):
  (folder / "text_train_emb.h5").unlink()
  manifest, read = write_corpus(build(folder))
  assert read["train/000000"]["lexical"].shape == (0, 5)
  assert read["test/000000"]["lexical"].shape == (4, 5)
  assert manifest["counts"]["present"] == {
    "lexical": 7,
    "acoustic": 14,
    "visual": 14,
  }
  assert manifest["normalisation"]["lexical"]["count"] == 0


def test_a_modality_that_no_split_has_is_not_there(folder):
  for split in SIZES:
    (folder / f"video_{split}.h5").unlink()
  assert list(build(folder).modalities) == ["lexical", "acoustic"]


def test_zero_rows_are_padding_and_zero_streams_absent(folder, write_corpus):
  # Padded at the front as well as at the back; the third has no audio.
  for name, dim in DIMS.items():
    array = np.ones((3, 4, dim))
    array[0, 2:] = 0
    array[1, 0] = 0
    if name.startswith("audio"):
      array[2] = 0
    save(folder / f"{name.format('valid')}.h5", array)
  manifest, read = write_corpus(build(folder))
  assert read["validation/000000"]["visual"].shape == (2, 35)
  assert not read["validation/000001"]["visual"][0].any()
  assert read["validation/000001"]["visual"].shape == (4, 35)
  assert read["validation/000002"]["acoustic"].shape == (0, 74)
  assert manifest["counts"]["present"]["acoustic"] == 13
  assert manifest["modalities"]["acoustic"]["padding"] == "zero_rows"


def test_minus_infinity_goes_through_the_policy(folder, write_corpus):
  array = stored(folder / "audio_test.h5")
  array[1, 2, 7] = -np.inf
  save(folder / "audio_test.h5", array)
  manifest, read = write_corpus(build(folder))
  assert read["test/000001"]["acoustic"][2, 7] == 0
  assert manifest["nonfinite"]["counts"] == {"acoustic": {"peakSlope": 1}}
  with pytest.raises(
    UserError,
    match="audio_test.h5 row 1, frame 2: acoustic column 'peakSlope' is -inf",
  ):
    write_corpus(build(folder), "other", nonfinite="error")


def test_the_other_key_is_read_too(folder):
  save(folder / "audio_test.h5", np.ones((4, 4, 74)), key="data")
  assert examples(build(folder))["test/000000"].streams["acoustic"].all()


def sentiment(folder, labels):
  for split, size in SIZES.items():
    (folder / f"ey_{split}.h5").unlink(missing_ok=True)
    save(folder / f"y_{split}.h5", labels(size))


def test_one_hot_sentiment_is_three_single_classes(folder):
  sentiment(folder, lambda size: np.eye(3)[np.arange(size) % 3])
  corpus = build(folder)
  assert corpus.label_type == "single"
  assert corpus.emotions == ("negative", "neutral", "positive")
  assert examples(corpus)["train/000004"].labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_scores_are_cut_where_the_bins_say(folder, shape):
  scores = np.array([1, 2.4, 2.5, 3, 3.5, 3.6, 5])
  sentiment(folder, lambda size: scores[:size].reshape(shape))
  corpus = build(folder)
  classes = [
    int(example.labels.argmax())
    for example in corpus.examples()
    if example.split == "train"
  ]
  assert classes == [0, 0, 1, 1, 1, 2, 2]
  assert corpus.options["sentiment_bins"] == [2.5, 3.5]
  corpus = build(folder, sentiment_bins="3,3")
  classes = [int(e.labels.argmax()) for e in corpus.examples()][:7]
  assert classes == [0, 0, 0, 1, 2, 2, 2]


def test_scores_on_another_scale_need_bins_of_their_own(folder):
  sentiment(folder, lambda size: np.linspace(-3, 3, size))
  with pytest.raises(UserError, match="scores from -3 to 3; give --sentiment"):
    build(folder)
  assert build(folder, sentiment_bins="0,0").emotions[0] == "negative"
  for bins in ("0", "a,b", "1,0", "nan,1"):
    with pytest.raises(UserError, match="--sentiment_bins="):
      build(folder, sentiment_bins=bins)


def test_emotions_come_before_sentiment_unless_asked(folder):
  for split, size in SIZES.items():
    save(folder / f"y_{split}.h5", np.full(size, 4.0))
  assert len(build(folder).emotions) == 6
  assert len(build(folder, label_file="y").emotions) == 3


def test_no_and_yes_pairs_are_labels_by_the_larger(folder):
  pairs = np.array([[1, 0], [0, 1], [0, 1], [1, 0]])
  for split, size in SIZES.items():
    save(folder / f"ey_{split}.h5", np.repeat(pairs[None], size, axis=0))
  with pytest.raises(UserError, match="4 label columns, which the layout does"):
    build(folder)
  names = ("neutral", "happy", "sad", "angry")
  corpus = build(folder, emotions=names)
  assert examples(corpus)["test/000000"].labels.tolist() == [0, 1, 1, 0]


def test_emotion_vectors_are_those_of_the_reference(folder, word_vectors):
  corpus = build(folder, word_vectors=word_vectors)
  assert corpus.vectors.words == ("", "", "", "happy", "sad", "")
  assert corpus.vectors.vectors.shape == (6, 3)


def replace(name, array):
  return lambda folder: save(folder / name, array)


def truncate(name):
  def change(folder):
    path = folder / name
    path.write_bytes(path.read_bytes()[:900])

  return change


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (truncate("audio_test.h5"), "audio_test.h5 is not a readable HDF5 file"),
    (
      replace("audio_test.h5", np.ones((5, 4, 74))),
      "audio_test.h5 has 5 rows and ey_test.h5 4",
    ),
    (
      replace("audio_test.h5", np.ones((4, 4, 73))),
      "audio_test.h5 has 73 features and audio_train.h5 74",
    ),
    (
      replace("audio_test.h5", np.ones((4, 9, 74))),
      "audio_test.h5 has 9 frames and another file of the test split 4",
    ),
    (
      replace("audio_test.h5", np.ones((4, 74))),
      r"audio_test.h5: shape \(4, 74\), expected \(utterances, frames, feat",
    ),
    (
      replace("ey_test.h5", np.full((4, 6), np.nan)),
      "ey_test.h5 row 0: label .* is not finite",
    ),
    (
      replace("ey_test.h5", np.ones((4, 5))),
      "the splits' labels have shapes",
    ),
    (
      lambda folder: save(folder / "audio_test.h5", np.ones(3), key="x"),
      "audio_test.h5: no data set 'd1' or 'data'; it has x",
    ),
    (
      lambda folder: save(folder / "audio_test.h5", [b"text"]),
      "audio_test.h5: data set 'd1' does not hold numbers",
    ),
    (
      lambda folder: (folder / "ey_test.h5").unlink(),
      "ey_test.h5 is missing; the test split has features and no labels",
    ),
    (
      lambda folder: [
        path.unlink() for path in folder.iterdir() if path.name[0] != "e"
      ],
      "ey_train.h5 has labels, but no text_train_emb.h5",
    ),
    (
      lambda folder: [path.unlink() for path in folder.iterdir()],
      "has none of y_SPLIT.h5",
    ),
  ],
)
def test_a_broken_folder_is_refused_with_the_file_named(
  folder, change, message
):
  change(folder)
  with pytest.raises(UserError, match=message):
    examples(build(folder))


def test_names_of_emotions_must_fit_the_labels(folder):
  with pytest.raises(UserError, match="--emotions names 2, .* has 6 label"):
    build(folder, emotions=("a", "b"))
  with pytest.raises(UserError, match="--sentiment_bins cuts scores"):
    build(folder, sentiment_bins="1,2")


def test_damage_inside_a_file_names_the_rows(folder):
  path = folder / "audio_train.h5"
  with h5py.File(path, "w") as file:
    file.create_dataset(
      "d1",
      data=np.ones((7, 4, 74)),
      chunks=(1, 4, 74),
      compression="gzip",
      fletcher32=True,
    )
    chunk = file["d1"].id.get_chunk_info(3)
  data = bytearray(path.read_bytes())
  data[chunk.byte_offset + 20] ^= 0xFF
  path.write_bytes(data)
  with pytest.raises(
    UserError, match="audio_train.h5: rows 0 to 6 of 'd1' can"
  ):
    examples(build(folder))


def test_youtube_has_its_missing_modalities(data_dir, write_corpus):
  manifest, read = write_corpus(build(data_dir / "youtube"))
  counts = manifest["counts"]
  assert counts["by_split"] == {"test": 60, "train": 173, "validation": 36}
  # Absent in 125 / 29 / 37 and 129 / 30 / 40; no text file in train, and one
  # text of validation is all zeros.
  assert counts["present"] == {
    "lexical": 35 + 60,
    "acoustic": 269 - 125 - 29 - 37,
    "visual": 269 - 129 - 30 - 40,
  }
  assert manifest["modalities"]["acoustic"]["columns"][0] == "F0"
  assert manifest["modalities"]["visual"]["columns"][0] == "visual_00"
  assert manifest["label_type"] == "single"
  assert max(len(example["acoustic"]) for example in read.values()) <= 20


def test_mmmo_has_scores(data_dir, write_corpus):
  manifest, _ = write_corpus(build(data_dir / "mmmo"))
  assert manifest["counts"]["by_split"] == {
    "test": 80,
    "train": 220,
    "validation": 40,
  }
  assert manifest["counts"]["present"] == {
    "lexical": 120,
    "acoustic": 340,
    "visual": 340,
  }
  assert manifest["converter"]["options"]["sentiment_bins"] == [2.5, 3.5]


def test_facets_scores_cannot_be_dropped_from_unnamed_columns(data_dir):
  with pytest.raises(UserError, match="the 36 visual columns of mmmo"):
    columns.drop(build(data_dir / "mmmo"), [], "facet_emotion_scores")


def test_facets_columns_are_named_on_request(folder):
  named = build(folder, name_columns=["facet_42"])
  assert named.modalities["visual"].columns == columns.FACET_35
  with pytest.raises(UserError, match="names 'openface', expected facet_42"):
    build(folder, name_columns=["openface"])
  for split, size in SIZES.items():
    save(folder / f"video_{split}.h5", np.ones((size, 4, 36)))
  with pytest.raises(UserError, match="35 visual columns, and there are 36"):
    build(folder, name_columns=["facet_42"])


def test_scores_that_are_never_0_need_a_threshold(folder):
  for split, size in SIZES.items():
    scores = np.arange(size * 6).reshape(size, 6) % 5 + 1.0
    save(folder / f"ey_{split}.h5", scores)
  with pytest.raises(UserError, match="from 1 to 5 and never 0"):
    build(folder)
  corpus = build(folder, positive_above=3.0)
  example = next(corpus.examples())
  expected = np.arange(6) % 5 + 1 > 3
  assert example.labels.tolist() == expected.astype(float).tolist()
