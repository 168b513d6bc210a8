"""Encoders of text that `transformers` loads: a vector for each word.

The words are those of `text.tokenise`, so that masks, word maps and the times
of words are the same as with word vectors. The encoder reads the text as the
tokeniser does (`text.spans`), cuts it into pieces of its own, and a word's
vector is pooled over all pieces that share a character with it: a piece that
goes over two words (`?!` of byte-level vocabularies) belongs to both.

A text of more pieces than the encoder takes is encoded in windows that follow
each other; the pieces of a word on a border are in both. The marks that an
encoder adds ([CLS], [SEP]) belong to no word. They count for `sentence`, the
mean over all pieces of a text, which is what sentence-transformers
(UKPLab/sentence-transformers, modules/pooling) and bert-as-service
(jina-ai/clip-as-service, its REDUCE_MEAN) take.
"""

import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import text as text_lib
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError

POOLINGS = ("mean", "first", "last", "sentence")
SENTENCE = "sentence"
# Where neither the tokeniser nor the model says how much it takes; ours.
_USUAL_LENGTH = 512
# Texts that the model reads at once; ours.
_BATCH = 32


class EncoderChoice(NamedTuple):
  """Says which encoder, and what of it.

  Attributes:
    name: A folder, or a name on the Hugging Face hub.
    layer: Which layer's outputs: 0 for the embeddings, 1 for the first layer,
      -1 for the last.
    pooling: One of `POOLINGS`.
    max_length: The most pieces of a window, those the encoder adds included;
      0 for as many as it takes.
  """

  name: str
  layer: int = -1
  pooling: str = "mean"
  max_length: int = 0

  @property
  def label(self) -> str:
    """The name without the folders above it."""
    path = pathlib.Path(self.name)
    return path.resolve().name if path.is_dir() else self.name


class Pieces(NamedTuple):
  """Holds the pieces of a text.

  Attributes:
    windows: The numbers of the pieces of each window.
    places: Pieces of each word, as their places in the windows behind one
      another; none for a word that the encoder's tokeniser drops.
    unknown: How many pieces are not in the vocabulary.
  """

  windows: list[list[int]]
  places: list[np.ndarray]
  unknown: int


class Encoder:
  """Encodes texts; can be copied into other processes.

  Attributes:
    choice: What it was opened with.
    dim: Numbers of a vector.
    layer: The number of the layer, from 0 for the embeddings.
    max_length: The most pieces of a window.
    digest: SHA-256 of the weights and the tokeniser.
    version: The version of transformers.
  """

  def __init__(self, choice: EncoderChoice) -> None:
    """Opens an encoder.

    Raises:
      UserError: It cannot be loaded, or is no encoder of text.
    """
    self.choice = choice
    self._process = os.getpid()
    self._open()
    self.max_length = self._chosen_length()
    layers = len(self._probe())
    if not -layers <= choice.layer < layers:
      raise UserError(
        f"--text_layer={choice.layer}, expected {-layers} to {layers - 1}:"
        f" {choice.label} has {layers - 1} layers behind its embeddings"
      )
    self.layer = choice.layer % layers
    self.dim = self._probe()[self.layer].shape[-1]
    self.digest = self._digest()

  def _open(self) -> None:
    self._torch = errors.require("torch", "encoders", "--text_encoder")
    transformers = errors.require("transformers", "encoders", "--text_encoder")
    self.version = transformers.__version__
    # Asked for by the tokenisers where a process is split after their use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    self._tokeniser, self._model = _load(transformers, self.choice)
    self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
    self._model.to(self._device).eval()

  def __getstate__(self) -> dict[str, Any]:
    """Leaves the model, which is opened again, out of a copy."""
    opened = ("_torch", "_tokeniser", "_model", "_device")
    return {k: v for k, v in self.__dict__.items() if k not in opened}

  def __setstate__(self, state: dict[str, Any]) -> None:
    """Opens the model again."""
    self.__dict__.update(state)
    self._open()

  def _chosen_length(self) -> int:
    """Decides how many pieces a window has."""
    limit = _limit(self._tokeniser, self._model)
    added = self._tokeniser.num_special_tokens_to_add()
    chosen = self.choice.max_length
    if chosen and not added < chosen <= (limit or chosen):
      raise UserError(
        f"--text_max_length={chosen}, expected {added + 1} to {limit}, which is"
        f" what {self.choice.label} takes; 0 for that"
      )
    return chosen or limit or _USUAL_LENGTH

  def _probe(self) -> tuple[Any, ...]:
    """Encodes a word, to see that the model reads text."""
    try:
      return self._hidden(self._tokeniser("a")["input_ids"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise UserError(
        f"--text_encoder={self.choice.name} is no encoder of text"
        f" ({_reason(error)}); expected a model such as BERT"
      ) from None

  def _digest(self) -> str:
    sha = hashlib.sha256(self._tokeniser.backend_tokenizer.to_str().encode())
    for name, weights in sorted(self._model.named_parameters()):
      # Behind every layer; checkpoints may lack it, and then it is random.
      if "pooler" not in name:
        sha.update(name.encode())
        sha.update(weights.detach().cpu().numpy().astype("<f4").tobytes())
    return sha.hexdigest()

  def identity(self) -> str:
    """Returns what must be the same for vectors to mean the same."""
    return (
      f"sha256={self.digest[:16]} layer={self.layer}"
      f" pooling={self.choice.pooling}"
    )

  def pieces(self, texts: Sequence[str]) -> Iterator[Pieces]:
    """Cuts texts into the encoder's pieces."""
    read = [text_lib.spans(written) for written in texts]
    cut = self._tokeniser(
      [plain for plain, _ in read],
      truncation=True,
      max_length=self.max_length,
      return_overflowing_tokens=True,
      return_offsets_mapping=True,
      return_attention_mask=False,
      return_token_type_ids=False,
    )
    owners = np.asarray(cut["overflow_to_sample_mapping"])
    firsts = np.searchsorted(owners, np.arange(len(texts) + 1))
    unknown = self._tokeniser.unk_token_id
    for number, (_, words) in enumerate(read):
      own = slice(firsts[number], firsts[number + 1])
      windows = cut["input_ids"][own]
      borders = np.concatenate(cut["offset_mapping"][own]).reshape(-1, 2)
      yield Pieces(
        windows,
        _places(borders, words),
        sum(window.count(unknown) for window in windows),
      )

  def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes texts.

    Returns:
      For each text (words, dim) float32, of the words that have pieces; with
      the pooling `sentence` (1, dim), or (0, dim) for a text without words.
    """
    if not texts:
      return []
    cut = list(self.pieces(texts))
    windows = [window for each in cut for window in each.windows]
    outputs = self._outputs(windows)
    encoded = []
    for each in cut:
      rows = np.concatenate([next(outputs) for _ in each.windows])
      encoded.append(_pool(rows, each.places, self.choice.pooling))
    return encoded

  def _outputs(self, windows: Sequence[list[int]]) -> Iterator[np.ndarray]:
    """Runs the model; yields (pieces, dim) of each window, in their order."""
    outputs: list[Any] = [None] * len(windows)
    # Windows of about one length together; equal lengths in their order.
    order = np.argsort([len(window) for window in windows], kind="stable")
    for first in range(0, len(order), _BATCH):
      batch = order[first : first + _BATCH]
      hidden = self._hidden(*(windows[place] for place in batch))[self.layer]
      rows = hidden.float().cpu().numpy()
      for place, each in zip(batch, rows, strict=True):
        outputs[place] = each[: len(windows[place])]
    yield from outputs

  def _hidden(self, *windows: list[int]) -> tuple[Any, ...]:
    """Returns the outputs of every layer, each (b, pieces, dim)."""
    torch = self._torch
    if os.getpid() != self._process:
      # One of several that share the cores; and threads do not live on in a
      # process that was split off.
      torch.set_num_threads(1)
      self._process = os.getpid()
    longest = max(map(len, windows))
    shape = (len(windows), longest)
    ids = np.full(shape, self._tokeniser.pad_token_id or 0, np.int64)
    mask = np.zeros(shape, np.int64)
    for row, window in enumerate(windows):
      ids[row, : len(window)] = window
      mask[row, : len(window)] = 1
    with torch.inference_mode():
      return self._model(
        input_ids=torch.from_numpy(ids).to(self._device),
        attention_mask=torch.from_numpy(mask).to(self._device),
        output_hidden_states=True,
      ).hidden_states


def _load(transformers: Any, choice: EncoderChoice) -> tuple[Any, Any]:
  """Loads the tokeniser and the model of an encoder."""
  transformers.logging.set_verbosity_error()
  transformers.logging.disable_progress_bar()
  local = pathlib.Path(choice.name).is_dir()
  try:
    tokeniser = transformers.AutoTokenizer.from_pretrained(
      choice.name, local_files_only=local
    )
    model, report = transformers.AutoModel.from_pretrained(
      choice.name, local_files_only=local, output_loading_info=True
    )
  except _load_errors() as error:
    raise UserError(
      f"--text_encoder={choice.name} cannot be loaded ({_reason(error)});"
      " expected a folder that transformers has saved, or a name on the"
      " Hugging Face hub"
    ) from None
  missing = [name for name in report["missing_keys"] if "pooler" not in name]
  if missing:
    raise UserError(
      f"--text_encoder={choice.name} lacks weights of its model,"
      f" {sorted(missing)[0]!r} and {len(missing) - 1} others; they would be"
      " random"
    )
  if not tokeniser.is_fast:
    raise UserError(
      f"--text_encoder={choice.name} has a tokeniser that does not say where"
      " its pieces stand in the text; expected a fast one (tokenizer.json)"
    )
  _check_vocabulary(tokeniser, model, choice)
  if model.config.is_encoder_decoder:
    model = model.get_encoder()
  return tokeniser, model.float()


def _check_vocabulary(
  tokeniser: Any, model: Any, choice: EncoderChoice
) -> None:
  """Refuses a tokeniser whose pieces the model does not know."""
  # Without its files a tokeniser is one of marks alone.
  words = set(tokeniser.get_vocab()) - set(tokeniser.all_special_tokens)
  try:
    rows = model.get_input_embeddings().num_embeddings
  except (AttributeError, NotImplementedError):
    raise UserError(
      f"--text_encoder={choice.name} is no encoder of text: its model"
      f" {type(model).__name__} reads no pieces; expected one such as BERT"
    ) from None
  if not words or len(tokeniser) > rows:
    raise UserError(
      f"--text_encoder={choice.name} has no vocabulary of its own:"
      f" {len(words)} pieces and {len(tokeniser) - len(words)} marks,"
      f" expected at most {rows} together; copy its tokeniser's files"
    )


def _load_errors() -> tuple[type[Exception], ...]:
  """Lists what loading raises for files that are not as they should be."""
  safetensors = errors.require("safetensors", "encoders", "--text_encoder")
  return (
    *(AttributeError, ImportError, KeyError, OSError, RuntimeError),
    *(TypeError, ValueError, safetensors.SafetensorError),
  )


def _reason(error: Exception) -> str:
  """Returns the first sentence of an error, in one line."""
  line = " ".join(str(error).split()) or type(error).__name__
  return line if len(line) <= 160 else f"{line[:160]}..."


def _limit(tokeniser: Any, model: Any) -> int | None:
  """Finds how many pieces a model takes; None where nothing says."""
  limits = []
  # An absurd number stands for none.
  if tokeniser.model_max_length < 1 << 20:
    limits.append(int(tokeniser.model_max_length))
  positions = getattr(model.config, "max_position_embeddings", None)
  if positions:
    embeddings = getattr(model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    # RoBERTa's positions begin behind that of the padding.
    limits.append(positions - (0 if padding is None else padding + 1))
  return min(limits, default=None)


def _places(
  borders: np.ndarray, words: Sequence[tuple[int, int]]
) -> list[np.ndarray]:
  """Lists for each word the pieces that share a character with it."""
  starts, ends = borders[:, 0], borders[:, 1]
  # Marks that the encoder adds have no characters.
  real = ends > starts
  return [
    np.flatnonzero(real & (starts < end) & (ends > start))
    for start, end in words
  ]


def _pool(
  rows: np.ndarray, places: Sequence[np.ndarray], pooling: str
) -> np.ndarray:
  """Pools the outputs of pieces to those of words, or of the text."""
  if pooling == SENTENCE:
    return rows.mean(axis=0, keepdims=True) if places else rows[:0]
  places = [each for each in places if len(each)]
  if not places:
    return rows[:0]
  if pooling == "first":
    return rows[[each[0] for each in places]]
  if pooling == "last":
    return rows[[each[-1] for each in places]]
  counts = np.array([len(each) for each in places])
  firsts = np.concatenate([[0], counts[:-1].cumsum()])
  sums = np.add.reduceat(rows[np.concatenate(places)], firsts, axis=0)
  return sums / counts[:, None].astype(np.float32)
