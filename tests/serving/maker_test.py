"""Texts, recordings and tables become what their conversion made of them.

The oracle is the shards: what stands there was made when the corpus was
converted, and a prediction must see the same bits.
"""

import csv
import functools
import io
import json
import sys
import types

import ml_collections
import numpy as np
import pytest
import rich.console
import soundfile

from data_prep.corpus import columns as columns_lib
from data_prep.corpus import text as text_lib
from data_prep.features import encoders, text_features
from data_prep.sources import recordings, utterances
from data_prep.writing import options, write
from mmer_jax import predict
from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards as shards_lib
from mmer_jax.data import word_vectors
from mmer_jax.serving import files, model, origin, predictions, terminal, words
from tests import stand_ins
from tests.serving import fake

RATE = 16000
# Cases, marks, numbers, compounds, accents, no vector, nothing at all.
TEXTS = (
  "I'm SO happy, well-known e\u0301tude!",
  "you\u2019re 1,000 miles away \u2026 [laughter]",
  "zzz qqq",
  "",
)
WORDS = (
  *("i'm", "so", "happy", ",", "well", "known", "\u00e9tude", "!", "you"),
  *("'re", "<number>", "miles", "away", "...", "laughter", "sad", "never"),
)
NAMES = [f"{number}.wav" for number in range(len(TEXTS))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Four recordings, a list of them, and the vectors of some words."""
  path = tmp_path_factory.mktemp("corpus")
  rng = np.random.default_rng(0)
  lines = [
    " ".join([word, *(f"{x:.7f}" for x in rng.normal(size=6))])
    for word in WORDS
  ]
  (path / "words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
  for number, name in enumerate(NAMES):
    sound = 0.1 * rng.normal(size=(RATE // 3 + 999 * number, 2))
    soundfile.write(path / name, sound, RATE)
  with (path / "list.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["recording", "said", "who", "label"])
    for number, row in enumerate(zip(NAMES, TEXTS, strict=True)):
      writer.writerow([*row, "ab"[number % 2], ("happy", "sad")[number % 2]])
  return path


def converted(corpus, out, nonfinite="zero"):
  write.write(
    corpus,
    out,
    options.Options(nonfinite, 1, "array_record", 1),
    rich.console.Console(quiet=True),
  )
  return out


@pytest.fixture(scope="module")
def shards(folder):
  corpus = recordings.build_corpus(
    folder / "list.csv",
    acoustic="egemaps_lld",
    choice=text_features.Choice(folder / "words.txt", "zero"),
    columns={"text": "said", "wav": "recording", "speaker": "who"},
  )
  dropped = columns_lib.drop(corpus, ["acoustic:Loudness_sma3"], None)
  return converted(dropped, folder / "shards")


def spec_of(shards, **changes):
  """The spec of a model of those shards, as `serving.spec` has it."""
  manifest = manifest_lib.load_manifest(shards)
  modalities = {
    name: {
      **entry,
      "normalised": False,
      "max_length": 64,
      "mean": [0.0] * entry["dim"],
      "std": [1.0] * entry["dim"],
    }
    for name, entry in manifest["modalities"].items()
  }
  spec = fake.spec(explain={"frame": ["lexical"]})
  for name in fake.MODALITIES:
    modalities.setdefault(name, spec["modalities"][name])
  return {
    **spec,
    "modalities": modalities,
    "identity": manifest["identity"],
    "features_from": origin.of_manifest(manifest),
    **changes,
  }


def served(spec, **ways):
  """A model of that spec that reads every value of both modalities."""
  return model.Model(spec, {}, call, files.Ways(**ways))


def call(tensors, inputs):
  del tensors
  logits = []
  for name, divisor in (("lexical", 1.0), ("acoustic", 300.0)):
    frames, mask = inputs["features"][name], inputs["mask"][name]
    seen = np.where(mask[..., None], np.tanh(frames / divisor), 0.0)
    logits.append(seen.mean(axis=(1, 2), dtype=np.float64) * 40)
  logits.append(inputs["mask"]["lexical"].sum(axis=1) / 8)
  shares = np.exp(np.stack(logits, axis=1))
  return {
    "probs": (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32),
    "per_modality": {},
    "explain": {"frame": inputs["features"]["lexical"][..., 0]},
  }


def read(shards):
  return {e["id"]: e for _, e in shards_lib.read_examples(shards)}


def assert_same(found, examples, modalities=("lexical", "acoustic")):
  """Compares with the rows of shards, bit for bit."""
  assert [each.id for each in found] == [example["id"] for example in examples]
  for each, example in zip(found, examples, strict=True):
    for modality in modalities:
      frames = each.features.get(modality)
      if frames is None:
        frames = np.zeros_like(example[modality])
      assert frames.dtype == np.float32
      np.testing.assert_array_equal(
        frames.view(np.int32), example[modality].view(np.int32), modality
      )


@pytest.fixture(scope="module")
def mine(folder, shards):
  return served(spec_of(shards), word_vectors=folder / "words.txt")


def test_a_list_and_single_items_are_what_the_shards_hold(mine, folder, shards):
  by_id = read(shards)
  examples = [by_id[name] for name in NAMES]
  assert [len(e["lexical"]) for e in examples] == [8, 7, 2, 0]
  assert len({len(e["acoustic"]) for e in examples}) == len(NAMES)
  table = mine.maker.of_table(folder / "list.csv")
  found = list(table.utterances)
  assert_same(found, examples)
  assert table.modalities == ("lexical", "acoustic") and not table.has_given
  assert list(found[0].words)[:3] == ["i'm", "so", "happy"]
  paths = [folder / name for name in NAMES]
  assert_same(list(mine.maker.of_items(TEXTS, paths).utterances), examples)
  for text, path, example in zip(TEXTS, paths, examples, strict=True):
    one = mine.maker.of_items([text], [str(path)])
    assert_same(list(one.utterances), [example])


def test_predictions_are_those_of_the_shards(mine, folder, shards):
  by_id = read(shards)
  streams = {
    modality: [by_id[name][modality] for name in NAMES]
    for modality in ("lexical", "acoustic")
  }
  expected = mine.predict(streams, check_scale=False)
  paths = [folder / name for name in NAMES]
  found = mine.predict(text=list(TEXTS), audio=paths)
  np.testing.assert_array_equal(found.probs, expected.probs)
  assert np.ptp(found.probs, axis=0).max() > 1e-3
  one = mine.predict(text=TEXTS[1], audio=str(paths[1]))
  assert one.probs.shape == (3,) and one.explain["frame"].shape == (7,)
  np.testing.assert_array_equal(one.probs, expected.probs[1])
  alone = mine.predict(text=TEXTS[1])
  given = mine.predict({"lexical": streams["lexical"][1]}, check_scale=False)
  np.testing.assert_array_equal(alone.probs, given.probs)
  # None is an absent text, as (0, d) is.
  mixed = mine.predict(text=[None, TEXTS[1]], audio=[paths[0], None])
  parts = {
    "lexical": [None, streams["lexical"][1]],
    "acoustic": [streams["acoustic"][0], None],
  }
  np.testing.assert_array_equal(
    mixed.probs, mine.predict(parts, check_scale=False).probs
  )
  assert mine.predict(text=[]).probs.shape == (0, 3)


def test_texts_stand_beside_features(mine, shards):
  frames = read(shards)[NAMES[0]]["acoustic"]
  both = mine.predict({"acoustic": frames}, text=TEXTS[0], check_scale=False)
  rows = mine.predict(
    {"acoustic": [frames]}, text=[TEXTS[0]], check_scale=False
  )
  np.testing.assert_array_equal(rows.probs[0], both.probs)
  cut = mine.predict(
    {"acoustic": frames},
    text=TEXTS[0],
    lengths={"acoustic": 5},
    check_scale=False,
  )
  short = mine.predict(
    {"acoustic": frames[:5]}, text=TEXTS[0], check_scale=False
  )
  np.testing.assert_array_equal(cut.probs, short.probs)
  assert abs(cut.probs - both.probs).max() > 1e-6
  with pytest.raises(errors.UserError, match="leave one out"):
    mine.predict({"lexical": np.ones((2, 6))}, text="so")


def test_files_of_predictions(mine, folder, shards, tmp_path):
  """From the list, in its order, without a label; and from the items."""
  other = tmp_path / "other.jsonl"
  rows = [{"said": TEXTS[0]}, {"recording": str(folder / NAMES[1])}]
  other.write_text("\n".join(map(json.dumps, rows)) + "\n")
  out = tmp_path / "out.jsonl"

  def written(source):
    predictions.predict_file(mine, source, out, explain=True, check_scale=False)
    return [json.loads(line) for line in out.read_text().splitlines()]

  by_list = written(folder / "list.csv")
  assert [row["id"] for row in by_list] == NAMES
  by_shards = {row["id"]: row for row in written(shards)}
  assert by_list == [by_shards[name] for name in NAMES]
  first, second = written(other)
  assert first["explain"]["present"] == {"lexical": True, "acoustic": False}
  assert second["probs"] == mine_probs(mine, folder / NAMES[1])
  found = predictions.predict_items(
    mine, [TEXTS[0]], [], out, predictions.Request(explain=True)
  )
  assert json.loads(out.read_text()) == found[0]
  assert found[0]["probs"] == first["probs"]


def mine_probs(mine, path):
  prediction = mine.predict(audio=path)
  return dict(
    zip(prediction.emotions, map(float, prediction.probs), strict=True)
  )


def test_the_terminal_shows_the_most_probable_first():

  def shown(spec, row):
    console = rich.console.Console(width=60, file=io.StringIO())
    console.print(terminal.table(spec, row, "so happy"))
    return console.file.getvalue().splitlines()

  row = {"predicted": "b", "probs": {"a": 0.2, "b": 0.7, "c": 0.1}}
  lines = shown(fake.spec(), row)
  assert "so happy" in lines[0]
  cells = [line.split("│")[1:4] for line in lines if "%" in line]
  assert [[cell.strip() for cell in each] for each in cells] == [
    ["b", "70.0 %", "predicted"],
    ["a", "20.0 %", ""],
    ["c", "10.0 %", ""],
  ]
  row = {"predicted": ["a", "c"], "probs": {"a": 0.6, "b": 0.5, "c": 0.9}}
  decided = [line for line in shown(fake.spec("binary"), row) if "%" in line]
  assert ["above 0.5" in line for line in decided] == [True, True, False]
  lines = shown(fake.spec(), {"values": {"valence": 2.5, "arousal": -1.0}})
  assert [line.split("│")[2].strip() for line in lines if "ce" in line] == [
    "2.500"
  ]


def test_vectors_come_from_a_file_an_export_or_the_shards(
  folder, shards, tmp_path
):
  """The same bits, but for words that the training's texts did not have."""
  spec = spec_of(shards)
  vectors = words.of_shards(shards)
  whole = word_vectors.read(folder / "words.txt", set(WORDS)).vectors
  assert set(vectors) == set(WORDS) - {"never"}
  for word, vector in vectors.items():
    np.testing.assert_array_equal(vector, whole[word])
  shipped = tmp_path / files.WORD_VECTORS
  word_vectors.write(shipped, vectors)
  text = f"{TEXTS[0]} never {TEXTS[1]}"
  rows = {}
  for name, ways in {
    "file": {"word_vectors": folder / "words.txt"},
    "export": {"shipped": shipped},
    "shards": {"shards": shards},
  }.items():
    maker = served(spec, **ways).maker
    (made,) = maker.of_items([text], [None]).utterances
    (again,) = maker.of_items([TEXTS[1]], [None]).utterances
    assert len(again.features["lexical"]) == 7
    rows[name] = made.features["lexical"]
  assert rows["file"][8].any() and not rows["export"][8].any()
  rows["file"][8] = 0
  np.testing.assert_array_equal(rows["export"], rows["file"])
  np.testing.assert_array_equal(rows["shards"], rows["file"])


def test_written_vectors_are_read_to_the_last_bit(tmp_path):
  bits = np.random.default_rng(0).integers(0, 1 << 32, (200, 5), np.uint32)
  numbers = bits.view(np.float32)
  numbers[~np.isfinite(numbers)] = np.float32(1e-45)
  vectors = {f"w{number}": row for number, row in enumerate(numbers)}
  word_vectors.write(tmp_path / "v.txt", vectors)
  found = word_vectors.read(tmp_path / "v.txt", set(vectors)).vectors
  for word, vector in vectors.items():
    np.testing.assert_array_equal(
      found[word].view(np.int32), vector.view(np.int32)
    )


@pytest.fixture(scope="module")
def described(tmp_path_factory, folder):
  """A table of text and features that a spec describes, and its shards."""
  path = tmp_path_factory.mktemp("spec")
  rng = np.random.default_rng(1)
  frames = rng.normal(size=(5, 4)).astype(np.float32)
  frames[1, 2], frames[3, 0] = np.nan, np.inf
  np.savez(
    path / "rows.npz",
    name=np.array([f"u{row}" for row in range(5)]),
    said=np.array([*TEXTS, "so sad"]),
    emotion=np.array(["happy", "sad", "other", "happy", "sad"]),
    vector=frames,
  )
  spec = ml_collections.ConfigDict(
    {
      "id": "{name}_{row}",
      "text": " {said} ",
      "label": "{emotion}",
      "label_values": (("happy", "happy"), ("sad", "sad")),
      "unlabelled": ("other",),
      "features": {"acoustic": ("vector",)},
      "rows": (("{emotion}", "[!o]*"),),
    }
  )
  choice = text_features.Choice(folder / "words.txt")
  corpus = utterances.build(spec, path / "rows.npz", choice)
  corpus = columns_lib.drop(corpus, ["acoustic:vector_03"], None)
  return path / "rows.npz", converted(corpus, path / "shards", "drop")


def test_a_table_of_a_spec_is_read_by_its_spec(described, folder, tmp_path):
  """Templates, array columns, dropped columns and frames; all rows."""
  table, shards = described
  mine = served(spec_of(shards), word_vectors=folder / "words.txt")
  by_id = read(shards)
  assert sorted(by_id) == ["u0_000000", "u1_000001", "u3_000003", "u4_000004"]
  found = list(mine.maker.of_table(table).utterances)
  assert [each.id for each in found] == [
    f"u{row}_00000{row}" for row in range(5)
  ]
  kept = [each for each in found if each.id in by_id]
  assert_same(kept, [by_id[each.id] for each in kept])
  # A frame that was not finite is gone, as in the shards.
  assert [len(each.features["acoustic"]) for each in found] == [1, 0, 1, 0, 1]
  assert mine.maker.of_table(table).has_given
  # Text alone, in another kind of table.
  alone = tmp_path / "alone.csv"
  alone.write_text("said\nso happy\n")
  made = mine.maker.of_table(alone)
  (one,) = made.utterances
  assert made.modalities == ("lexical",) and one.id == "000000"
  assert len(one.features["lexical"]) == 2
  # Or features alone.
  np.savez(tmp_path / "vectors.npz", vector=np.ones((2, 4), np.float32))
  made = mine.maker.of_table(tmp_path / "vectors.npz")
  assert made.modalities == ("acoustic",) and len(list(made.utterances)) == 2
  np.savez(tmp_path / "none.npz", other=np.ones((2, 4)))
  with pytest.raises(errors.UserError, match="columns other, expected said, v"):
    mine.maker.of_table(tmp_path / "none.npz")


def test_a_table_of_the_models_own_features_is_no_other(mine, described):
  maker = mine.maker
  assert maker.reads(("recording", "said", "who"))
  assert maker.reads(("lexical", "said"))
  assert maker.reads(("a", "b"))
  assert not maker.reads(("id", "lexical", "acoustic_lengths", "acoustic"))
  assert not maker.reads(("id", "acoustic:F0", "acoustic:F1"))
  assert not served(fake.spec()).maker.reads(("text", "wav"))


def refused(match, spec, call, **ways):
  with pytest.raises(errors.UserError, match=match) as caught:
    call(served(spec, **ways))
  assert "\n" not in str(caught.value)


def test_what_is_missing_is_named_in_one_line(folder, shards, tmp_path):
  spec = spec_of(shards)
  whole = {"word_vectors": folder / "words.txt"}

  def changed(part, **changes):
    made = {**spec["features_from"]}
    made[part] = None if changes.get("none") else {**made[part], **changes}
    return {**spec, "features_from": made}

  def text(mine):
    mine.predict(text="so happy")

  def sound(mine):
    mine.predict(audio=folder / NAMES[0])

  check = functools.partial(refused, spec=spec, call=text)
  check(
    r"--word_vectors=FILE, the file .* \(words.txt\), or export with --ship"
  )
  old = {key: value for key, value in spec.items() if key != "features_from"}
  check("does not say how its features were made", spec=old)
  check(
    "were not made of text .*--source=recordings", spec=changed("text", none=1)
  )
  check(
    "the tokeniser words-1, expected", spec=changed("text", tokeniser="words-1")
  )
  acoustic = {"acoustic": spec["modalities"]["acoustic"]}
  check(
    "text is given, but the model reads acoustic",
    spec={**spec, "modalities": acoustic},
  )
  check(
    "'zzz' has no word that",
    call=lambda m: m.predict(text="zzz"),
    spec=skip(spec),
    **whole,
  )
  check(
    "an empty text has no word", call=lambda m: m.predict(text=" "), **whole
  )
  check(
    r"utterance 1: .* lone surrogate \(\\ud83d\)",
    call=lambda m: m.predict(text="so \ud83d"),
    **whole,
  )

  check = functools.partial(refused, spec=spec, call=sound)
  check("were not made of sound", spec=changed("sound", none=1))
  check("which word each acoustic frame", spec=changed("sound", rows="words"))
  check("which word each acoustic frame", spec={**spec, "acoustic_word": True})
  check(
    "16000 Hz, those of the training had 8000 Hz.*-ar 8000",
    spec=changed("sound", rate_hz=8000),
  )
  check(
    "acoustic columns",
    spec={**spec, "features_from": {**spec["features_from"], "dropped": {}}},
  )
  check("no.wav is not a file", call=lambda m: m.predict(audio="no.wav"))
  (tmp_path / "bad.wav").write_bytes(b"RIFF no sound")
  check(
    "cannot be read as sound",
    call=lambda m: m.predict(audio=tmp_path / "bad.wav"),
  )
  soundfile.write(tmp_path / "short.wav", np.zeros(9), RATE)
  check(
    "expected 100 ms at least",
    call=lambda m: m.predict(audio=tmp_path / "short.wav"),
  )
  check(
    "text has 2 utterances and audio 1",
    call=lambda m: m.predict(text=["a", "b"], audio=["c"]),
  )
  check("audio holds '3', a int", call=lambda m: m.predict(audio=[3]))
  check("features holds no modality", call=lambda m: m.predict())


def skip(spec):
  made = spec["features_from"]
  text = {**made["text"], "oov": "skip"}
  identity = {**spec["identity"], "oov": "skip"}
  return {**spec, "identity": identity, "features_from": {**made, "text": text}}


@pytest.mark.parametrize(
  "given, match",
  [
    ({}, "--input is missing, or --text or --wav"),
    ({"input": "a.csv"}, "--out is missing"),
    ({"input": "a.csv", "wav": ["b.wav"]}, "--input and --wav are both given"),
  ],
)
def test_the_command_says_what_is_missing(given, match):
  values = {"input": None, "out": None, "text": [], "wav": [], **given}
  with pytest.raises(errors.UserError, match=match):
    predict._check_flags(types.SimpleNamespace(**values))


def test_a_package_that_is_missing_is_named(mine, folder, monkeypatch):
  monkeypatch.setitem(sys.modules, "opensmile", None)
  with pytest.raises(errors.UserError, match=r"opensmile, .*mmer_jax\[prep\]"):
    mine.predict(audio=folder / NAMES[0])


class Letters:
  """Encodes a word by its letters and by how many words stand beside it."""

  dim, digest, version = 3, "0" * 64, "0"

  def __init__(self, choice):
    self.choice, self.layer = choice, choice.layer
    self.max_length = choice.max_length

  def identity(self):
    return f"{self.choice.label} {self.layer} {self.choice.pooling}"

  def pieces(self, texts):
    for text in texts:
      count = len(text_lib.tokenise(text))
      places = [np.array([number]) for number in range(count)]
      yield encoders.Pieces([[0] * count], places, 0)

  def encode(self, texts):
    return [self._rows(text_lib.tokenise(text)) for text in texts]

  def _rows(self, words):
    rows = [(len(w), ord(w[0]), self.layer + len(words)) for w in words]
    return np.array(rows, np.float32).reshape(len(rows), self.dim) / 7


def of_encoded(folder, out, encoder, pooling):
  """Shards of encoded texts, their table, and the features that they hold."""
  texts = ["so you know", " well   what we did today " * 3, "?", "right"]
  table = out / "list.jsonl"
  lines = [
    {"wav": str(folder / name), "text": text, "label": ("x", "y")[number % 2]}
    for number, (name, text) in enumerate(zip(NAMES, texts, strict=True))
  ]
  table.write_text("\n".join(map(json.dumps, lines)) + "\n")
  chosen = encoders.EncoderChoice(str(encoder), 1, pooling, 9)
  corpus = recordings.build_corpus(
    table,
    acoustic="egemaps_lld",
    choice=text_features.Choice(None, "skip", chosen),
  )
  shards = converted(corpus, out / "shards")
  by_id = read(shards)
  return shards, table, texts, [by_id[line["wav"]] for line in lines]


def test_the_encoder_is_that_of_the_training(folder, tmp_path, monkeypatch):
  """Layer, pooling and windows of the shards, not the defaults."""
  monkeypatch.setattr(encoders, "Encoder", Letters)
  shards, table, texts, examples = of_encoded(
    folder, tmp_path, "my/letters", "last"
  )
  assert [len(e["lexical"]) for e in examples] == [3, 15, 1, 1]
  spec = spec_of(shards)
  mine = served(spec)
  assert_same(list(mine.maker.of_table(table).utterances), examples)
  paths = [example["id"] for example in examples]
  made = list(mine.maker.of_items(texts, paths).utterances)
  assert [each.id for each in made] == NAMES
  named = zip(made, paths, strict=True)
  assert_same([each._replace(id=path) for each, path in named], examples)
  check = functools.partial(refused, call=lambda m: m.predict(text="so"))
  check("have text_encoder other 1 last", spec=spec, text_encoder="other")


@pytest.mark.long
@pytest.mark.parametrize("pooling", ["first", "sentence"])
def test_texts_are_encoded_as_those_of_the_shards(folder, tmp_path, pooling):
  """With a random BERT, whose layers and windows matter."""
  pytest.importorskip("torch").set_num_threads(1)
  pytest.importorskip("transformers")
  stand_ins.encoder(tmp_path / "bert")
  shards, table, texts, examples = of_encoded(
    folder, tmp_path, tmp_path / "bert", pooling
  )
  spec = spec_of(shards)
  mine = served(spec, text_encoder=str(tmp_path / "bert"))
  assert_same(list(mine.maker.of_table(table).utterances), examples)
  made = list(mine.maker.of_items(texts, [None] * len(texts)).utterances)
  for each, example in zip(made, examples, strict=True):
    np.testing.assert_array_equal(each.features["lexical"], example["lexical"])
  check = functools.partial(refused, call=lambda m: m.predict(text="so"))
  check("no/bert cannot be loaded", spec=spec, text_encoder="no/such/no/bert")
  stand_ins.encoder(tmp_path / "other", ("so", "you"))
  check("text_encoder sha256=", spec=spec, text_encoder=str(tmp_path / "other"))
