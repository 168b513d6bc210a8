"""Encoders of text, on a random BERT of two layers that is made here.

The oracle calls transformers on each text alone and pools by hand.
"""

import json
import pickle
import shutil

import numpy as np
import pytest
import safetensors.numpy
from absl import flags

from data_prep import convert, encode_words
from data_prep.corpus import text as text_lib
from data_prep.features import encoded_texts, encoders, text_features
from data_prep.readers import compare
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards
from mmer_jax.data import word_vectors as word_vectors_lib
from tests import stand_ins

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PIECES = (
  *("i", "am", "don", "'", "t"),
  *("hap", "##py", "##pi", "##ness", "sad", "not", "?", "!", ".", "-", "mm"),
  *("hm", "##m", "anger", "cloud", "nine", "on"),
)
TEXTS = (
  "I don't am happy?!",
  "",
  "mm-hmm. “unheard”  happiness",
  "sad",
  "not \x07 sad",
  "happiness happy happiness happy not",
  "sad",
)
# Pieces at once, [CLS] and [SEP] among them.
LIMIT = 14


@pytest.fixture(scope="module")
def torch():
  """Imported by the tests alone: collecting them takes no seconds."""
  torch = pytest.importorskip("torch")
  # The machine of the tests has other work for its cores.
  torch.set_num_threads(1)
  return torch


@pytest.fixture(scope="module")
def transformers(torch):
  return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
  path = tmp_path_factory.mktemp("tiny_bert") / "bert"
  stand_ins.encoder(path, PIECES, LIMIT)
  return path


def encoder(folder, **changes):
  return encoders.Encoder(encoders.EncoderChoice(str(folder), **changes))


@pytest.fixture(scope="module")
def opened(folder):
  return encoder(folder)


@pytest.fixture(scope="module")
def model(folder, transformers):
  return transformers.AutoModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def direct(folder, model, torch, transformers):
  """Every layer's output of a text alone, and the pieces' characters."""
  tokeniser = transformers.AutoTokenizer.from_pretrained(folder)

  def encode(plain, layer):
    cut = tokeniser(plain, return_offsets_mapping=True, return_tensors="pt")
    borders = cut.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
      hidden = model(**cut, output_hidden_states=True).hidden_states
    return hidden[layer][0].numpy(), borders

  return encode


def by_hand(direct, text, layer, pooling):
  """One row for each word that has pieces, by loops over characters."""
  plain, words = text_lib.spans(text)
  hidden, borders = direct(plain, layer)
  if pooling == "sentence":
    return [hidden.mean(axis=0)] if words else []
  rows = []
  for start, end in words:
    characters = set(range(start, end))
    own = [
      row
      for row, (first, last) in zip(hidden, borders, strict=True)
      if characters & set(range(first, last))
    ]
    if own:
      rows.append(
        {"mean": np.mean(own, axis=0), "first": own[0], "last": own[-1]}[
          pooling
        ]
      )
  return rows


@pytest.mark.parametrize(
  "pooling, layer",
  [("mean", -1), ("first", 1), ("last", 2), ("sentence", -2), ("mean", 0)],
)
def test_words_are_pooled_from_their_pieces(
  opened, direct, pooling, layer, monkeypatch
):
  choice = opened.choice._replace(pooling=pooling)
  monkeypatch.setattr(opened, "choice", choice)
  monkeypatch.setattr(opened, "layer", layer)
  found = opened.encode(TEXTS)
  assert len(found) == len(TEXTS)
  for text, rows in zip(TEXTS, found, strict=True):
    expected = by_hand(direct, text, layer, pooling)
    assert rows.shape == (len(expected), 16) and rows.dtype == np.float32
    if expected:
      np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)


def test_a_word_knows_its_neighbours(opened):
  alone, first = opened.encode(["sad", "sad not"])
  assert np.abs(alone[0] - first[0]).max() > 0.01


def test_batch_mates_change_nothing(opened):
  # Of 1 to 3 pieces in turn: most batches have padding.
  texts = [" ".join(["sad", "not", "i"][: 1 + n % 3]) for n in range(70)]
  alone = {text: opened.encode([text])[0] for text in texts[:3]}
  for text, rows in zip(texts, opened.encode(texts), strict=True):
    np.testing.assert_allclose(rows, alone[text], atol=1e-5)


def test_a_long_text_is_read_in_windows(opened, direct, model, torch):
  words = "sad not happy i am sad mm anger sad i happy cloud nine".split()
  # Fifteen pieces; a window has twelve: `happy` is the first and second one of
  # the border.
  (cut,) = opened.pieces([" ".join(words)])
  assert [len(window) for window in cut.windows] == [14, 5]
  assert [list(each) for each in cut.places[9:]] == [
    *([11], [12, 15], [16], [17])
  ]
  (rows,) = opened.encode([" ".join(words)])
  first, _ = direct(" ".join([*words[:10], "hap"]), -1)
  with torch.no_grad():
    second = model(torch.tensor(cut.windows[1:])).last_hidden_state[0].numpy()
  expected = [
    *(*first[1:3], first[3:5].mean(axis=0), *first[5:12]),
    *((first[12] + second[1]) / 2, second[2], second[3]),
  ]
  np.testing.assert_allclose(rows, expected, atol=1e-5)


def embedded_by(opened, texts=TEXTS, oov="skip"):
  return encoded_texts.EncodedTexts(opened, texts, oov)


def open_text(folder, texts=TEXTS, oov="skip", emotions=("angry",), **changes):
  choice = text_features.Choice(
    oov=oov, encoder=encoders.EncoderChoice(str(folder), **changes)
  )
  return text_features.open_text(choice, texts, emotions)


def test_texts_are_embedded_with_their_words(folder, opened):
  found = open_text(folder)
  assert found.modality.dim == 16 and found.has_words
  assert found.modality.columns[:2] == ("encoded_00", "encoded_01")
  # The words that usually stand for an emotion.
  assert found.emotions.words == ("angry",)
  expected = dict(zip(TEXTS, opened.encode(TEXTS), strict=True))
  for text in reversed(TEXTS):
    embedded = found.embed(text)
    np.testing.assert_allclose(embedded.rows, expected[text], atol=1e-5)
    assert len(embedded.words) == len(embedded.rows) == len(embedded.tokens)
  # A word without a piece is left out, and the numbers of words go on.
  embedded = found.embed("not \x07 sad")
  assert embedded.words == ["not", "sad"]
  np.testing.assert_array_equal(embedded.tokens, [0, 2])
  padded = embedded_by(opened, oov="zero").embed("not \x07 sad")
  assert padded.words == ["not", "\x07", "sad"]
  np.testing.assert_array_equal(padded.tokens, [0, 1, 2])
  np.testing.assert_array_equal(padded.rows[[0, 2]], embedded.rows)
  assert not padded.rows[1].any()
  assert found.embed("I don't am happy?!").words == [
    *("I", "don't", "am", "happy", "?", "!")
  ]


def test_the_account_counts_words_and_pieces(folder, opened):
  texts = [*TEXTS, "happiness happiness happiness happiness happy"]
  found = embedded_by(opened, iter(texts))
  emotions = encoded_texts.emotion_vectors(opened, ["x"], {"x": ("\x07",)})
  account = found.account(emotions)
  counted = [len(text_lib.tokenise(text)) for text in texts]
  assert account["tokens"] == sum(counted)
  assert (account["oov_tokens"], account["oov_types"]) == (1, 1)
  own = account["encoder"]
  # `"unheard"` is no piece, nor are its quotes; both "sad" count.
  assert own["unknown_pieces"] == 3 and own["texts_in_windows"] == 1
  assert own["pieces"] == sum(
    len(window) for text in texts for window in next(opened.pieces([text]))[0]
  )
  assert own["layer"] == 2 and own["max_length"] == LIMIT
  assert account["emotions_without_vector"] == ["x"]
  assert str(folder) not in json.dumps(account)


def test_blocks_are_the_same_in_any_order(opened, monkeypatch):
  monkeypatch.setattr(encoded_texts, "_BLOCK", 2)
  texts = [f"{'sad ' * (n % 3)}happy {'not ' * (n % 2)}" for n in range(6)]
  one, other = embedded_by(opened, texts), embedded_by(opened, texts)
  forwards = {text: one.embed(text).rows for text in texts}
  for text, rows in zip(texts, opened.encode(texts), strict=True):
    np.testing.assert_allclose(forwards[text], rows, atol=1e-5)
  copy = pickle.loads(pickle.dumps(other))
  for text in reversed(texts):
    np.testing.assert_array_equal(copy.embed(text).rows, forwards[text])
  np.testing.assert_array_equal(other.embed(texts[0]).rows, forwards[texts[0]])


def test_sentences_are_one_row_without_words(folder, direct):
  # The layer by its number from the front.
  found = open_text(folder, pooling="sentence", layer=1)
  embedded = found.embed("sad")
  assert embedded.words is None and not found.has_words
  np.testing.assert_array_equal(embedded.tokens, [-1])
  expected = by_hand(direct, "sad", 1, "sentence")
  np.testing.assert_allclose(embedded.rows, expected, atol=1e-5)
  assert found.embed("").rows.shape == (0, 16)


def test_emotions_are_encoded_like_words(opened, direct):
  words = {"joy": ("on cloud nine",), "low": ("\x07", "sad"), "x": ("\x07",)}
  found = encoded_texts.emotion_vectors(opened, tuple(words), words)
  assert found.words == ("on cloud nine", "sad", "")
  joy = np.mean(by_hand(direct, "on cloud nine", -1, "mean"), axis=0)
  np.testing.assert_allclose(found.vectors[0], joy, atol=1e-5)
  sad = by_hand(direct, "sad", -1, "mean")[0]
  np.testing.assert_allclose(found.vectors[1], sad, atol=1e-5)
  assert not found.vectors[2].any()


def test_the_digest_is_of_the_weights_and_the_vocabulary(
  folder, opened, tmp_path
):
  same = tmp_path / "renamed"
  shutil.copytree(folder, same)
  weights = safetensors.numpy.load_file(same / "model.safetensors")
  # Behind every layer: no vector depends on it.
  weights["pooler.dense.bias"] += 1
  safetensors.numpy.save_file(
    weights, same / "model.safetensors", {"format": "pt"}
  )
  assert encoder(same).identity() == opened.identity()
  assert opened.identity() != encoder(folder, layer=1).identity()
  weights["encoder.layer.0.output.dense.weight"][3, 5] += 1e-3
  safetensors.numpy.save_file(
    weights, same / "model.safetensors", {"format": "pt"}
  )
  assert encoder(same).digest != opened.digest
  shutil.copy(folder / "model.safetensors", same)
  text = (same / "tokenizer.json").read_text()
  (same / "tokenizer.json").write_text(text.replace('"##py"', '"##pz"'))
  assert encoder(same).digest != opened.digest


def remove(name):
  return lambda path: (path / name).unlink()


def overwrite(name, content):
  return lambda path: (path / name).write_bytes(content)


def change_config(**changes):
  def change(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))

  return change


@pytest.mark.parametrize(
  "damage, changes, match",
  [
    (remove("config.json"), {}, "cannot be loaded"),
    (remove("model.safetensors"), {}, "cannot be loaded"),
    (remove("tokenizer.json"), {}, "has no vocabulary"),
    (overwrite("config.json", b"{"), {}, "cannot be loaded"),
    (overwrite("model.safetensors", b"\0" * 20), {}, "cannot be loaded"),
    (overwrite("tokenizer.json", b"[]"), {}, "cannot be loaded"),
    (change_config(num_hidden_layers=3), {}, "lacks weights of its model"),
    (change_config(hidden_size=18), {}, "cannot be loaded|lacks weights"),
    (None, {"layer": 3}, "--text_layer=3, expected -3 to 2"),
    (None, {"layer": -4}, "--text_layer=-4, expected -3 to 2"),
    (None, {"max_length": 15}, "--text_max_length=15, expected 3 to 14"),
    (None, {"max_length": 2}, "--text_max_length=2, expected 3 to 14"),
  ],
)
def test_an_encoder_that_is_none_is_named(
  folder, tmp_path, damage, changes, match
):
  path = folder
  if damage is not None:
    path = tmp_path / "damaged"
    shutil.copytree(folder, path)
    damage(path)
  with pytest.raises(UserError, match=match) as caught:
    encoder(path, **changes)
  assert "\n" not in str(caught.value)


def test_a_name_that_is_not_there_is_named(transformers, monkeypatch, tmp_path):
  monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
  with pytest.raises(UserError, match="no/such-model cannot be loaded"):
    encoder("no/such-model")
  with pytest.raises(UserError, match="cannot be loaded"):
    encoder(tmp_path / "nothing")


def test_a_missing_extra_is_one_line(folder, monkeypatch):
  real = errors.importlib.import_module

  def absent(name):
    if name == "transformers":
      raise ImportError("no", name=name)
    return real(name)

  monkeypatch.setattr(errors.importlib, "import_module", absent)
  with pytest.raises(UserError, match=r"pip install 'mmer_jax\[encoders\]'"):
    encoder(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  path = tmp_path_factory.mktemp("table") / "said.csv"
  lines = ["id,text,emotion,mood"]
  for row, text in enumerate(("I don't am happy", "not sad.", "", "sad", "mm")):
    lines.append(f"{row},{text},{('happy', 'sad')[row % 2]},{row + 0.5}")
  path.write_text("\n".join(lines) + "\n")
  return path


SPEC = """
import ml_collections
def get_config():
  return ml_collections.ConfigDict({"label": "{emotion}", "text": "{text}",
    "features": {"acoustic": ("mood",)}})
"""


def run(command, *arguments):
  """A command in this process, with flags of its own."""
  values = flags.FlagValues()
  command.define_flags(values)
  values([command.__name__, *map(str, arguments)])
  verb = convert.convert if command is convert else encode_words.encode
  verb(values)


def run_convert(table, out, *arguments):
  spec = table.parent / "spec.py"
  spec.write_text(SPEC)
  run(
    *(convert, "--source=utterances", f"--spec={spec}", f"--input={table}"),
    *("--file_format=array_record", f"--output={out}", *arguments),
  )


@pytest.fixture(scope="module")
def converted(folder, table, tmp_path_factory):
  out = tmp_path_factory.mktemp("shards") / "encoded"
  run_convert(table, out, f"--text_encoder={folder}", "--text_max_length=5")
  return out


def test_a_conversion_records_its_encoder(folder, converted):
  manifest = manifest_lib.load_manifest(converted)
  identity = manifest["identity"]
  assert "word_vectors_sha256" not in identity
  assert identity["text_encoder"].endswith("layer=2 pooling=mean")
  assert manifest["text"]["encoder"]["texts_in_windows"] == 1
  assert manifest["modalities"]["lexical"]["dim"] == 16
  assert manifest["converter"]["options"]["text_encoder"] == "bert"
  assert str(folder.parent) not in json.dumps(manifest)
  read = {e["id"]: e for _, e in shards.read_examples(converted)}
  said = [word.decode() for word in read["0"]["words"]]
  assert said == ["I", "don't", "am", "happy"]
  # A text without a word is absent.
  assert [len(read[str(row)]["lexical"]) for row in range(5)] == [4, 3, 0, 1, 1]
  assert manifest["counts"]["present"] == {"lexical": 4, "acoustic": 5}


def test_the_words_of_emotions_are_the_shards_own(folder, converted, tmp_path):
  out = tmp_path / "words.txt"
  run(
    *(encode_words, f"--text_encoder={folder}", "--text_max_length=5"),
    *("--words=on cloud nine,am", f"--output={out}"),
  )
  read = word_vectors_lib.read(out, {"happy", "sad", "on_cloud_nine", "am"})
  emotions = manifest_lib.load_emotion_vectors(converted)
  assert emotions.words == ("happy", "sad")
  for word, vector in zip(emotions.words, emotions.vectors, strict=True):
    np.testing.assert_allclose(read.vectors[word], vector, atol=1e-6)
  assert len(read.vectors) == 4
  for arguments, match in (
    ((f"--text_encoder={folder}", f"--output={out}"), "exists"),
    ((f"--text_encoder={folder}",), "--output is missing"),
    ((f"--output={out}",), "--text_encoder is missing"),
    (
      (f"--text_encoder={folder}", "--words=a,,b", f"--output={out}.2"),
      "words with commas",
    ),
    (
      (f"--text_encoder={folder}", "--words=\x07", f"--output={out}.2"),
      "has no piece in bert",
    ),
  ):
    with pytest.raises(UserError, match=match):
      run(encode_words, *arguments)
  assert not out.with_name("words.txt.2").exists()


def test_the_closing_line_counts_texts_in_parts(
  folder, table, tmp_path, capsys
):
  run_convert(
    *(table, tmp_path / "out", f"--text_encoder={folder}"),
    *("--text_max_length=5", "--text_pooling=sentence"),
  )
  shown = " ".join(capsys.readouterr().out.split())
  assert "1 text of more than 5 pieces encoded in parts" in shown
  (example, *_) = [e for _, e in shards.read_examples(tmp_path / "out")]
  assert "words" not in example or not len(example["words"])
  manifest = manifest_lib.load_manifest(tmp_path / "out")
  assert manifest["modalities"]["lexical"]["max_length"] == 1


def test_two_conversions_differ_by_their_encoder(
  folder, table, converted, word_vectors, tmp_path
):
  run_convert(table, tmp_path / "two", f"--word_vectors={word_vectors}")
  differing = {
    fact["what"]
    for fact in compare.compare(converted, tmp_path / "two")
    if not fact["same"]
  }
  assert {"text_encoder", "lexical columns", "fingerprint"} <= differing


@pytest.mark.parametrize(
  "arguments, match",
  [
    (
      ("--text_encoder=a", "--word_vectors=b.txt"),
      "--word_vectors=b.txt and --text_encoder=a are both given",
    ),
    (
      ("--word_vectors=b.txt", "--text_layer=3"),
      "--text_layer does nothing without --text_encoder",
    ),
    (("--text_pooling=last",), "--text_pooling does nothing without"),
  ],
)
def test_flags_that_contradict_are_refused(table, tmp_path, arguments, match):
  with pytest.raises(UserError, match=match):
    run_convert(table, tmp_path / "out", *arguments)
  assert not (tmp_path / "out").exists()
