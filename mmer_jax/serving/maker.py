"""Makes the features of texts, recordings and tables for a model.

They go through the code that converted the corpus of its training: this is the
one module of the library that imports `data_prep`, and it is imported where
somebody predicts from something else than features.
"""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import text as text_lib
from data_prep.features import encoders, text_features
from data_prep.sources import request
from data_prep.writing import closing
from data_prep.writing import manifest as manifest_writer
from mmer_jax.base import errors
from mmer_jax.data import identity as identity_lib
from mmer_jax.serving import files, inputs
from mmer_jax.serving import origin as origin_lib
from mmer_jax.serving import utterances as utterances_lib
from mmer_jax.serving import words as words_lib

_PATH = (str, os.PathLike)
# A text or the path of a recording; None for an absent one.
Text = str | None
Audio = str | os.PathLike[str] | None


class Made(NamedTuple):
  """Holds features that were made.

  Attributes:
    utterances: In the order given.
    modalities: Those that were made; the others are absent.
    has_given: Whether there are features among them that a table gave.
  """

  utterances: Iterator[inputs.Utterance]
  modalities: tuple[str, ...]
  has_given: bool = False


class Maker:
  """Makes features as those that a model was trained on."""

  def __init__(self, spec: dict[str, Any], ways: files.Ways) -> None:
    """Takes the content of `feature_spec.json`, and where vectors may be."""
    self._spec = spec
    self._origin = spec.get("features_from")
    self._ways = ways
    self._reader = words_lib.Reader(spec, ways)
    self._encoder: encoders.Encoder | None = None

  def of_items(self, texts: Sequence[Text], audio: Sequence[Audio]) -> Made:
    """Makes the features of utterances that are given one by one.

    Args:
      texts: What is said in each; None where that is not known.
      audio: A file of sound or of video of each; None for none.

    Raises:
      UserError: The model reads something else, a file cannot be read, or what
        features are made with is missing.
    """
    texts = [each if each and each.strip() else None for each in texts]
    has_text = any(each is not None for each in texts)
    has_sound = any(each is not None for each in audio)
    if has_text:
      self._require_text()
    if has_sound:
      self._require_sound()
    if not has_text and not has_sound:
      ids = map(str, range(1, 1 + len(texts)))
      return Made((inputs.Utterance(each, {}) for each in ids), ())
    corpus = request.of_items(
      self._require_origin(),
      self._choice() if has_text else text_features.Choice(),
      texts,
      [None if each is None else pathlib.Path(each) for each in audio],
    )
    return self._made(corpus)

  def join(
    self, given: utterances_lib.Given, text: Any, audio: Any
  ) -> utterances_lib.Given:
    """Adds the features of texts and recordings to those that were given.

    Args:
      given: Other features of the same utterances, if any.
      text: What is said in one utterance, or in each of some.
      audio: The recording of one utterance, or of each of some.

    Raises:
      UserError: They do not fit together, or cannot be made.
    """
    single = isinstance(text, str) or isinstance(audio, _PATH)
    texts, files_ = _lists(text, audio)
    made = self.of_items(texts, files_)
    utterances = list(made.utterances)
    if single and not given.features:
      self.require_any(utterances[0], texts)
    parts = [each or {} for each in given[:3]]
    words = given.acoustic_word
    if single:
      parts = [{m: [each] for m, each in part.items()} for part in parts]
      words = None if words is None else [words]
    for modality in made.modalities:
      if modality in parts[0]:
        raise errors.UserError(
          f"{modality} features are given, and text or audio that becomes"
          " them; leave one out"
        )
      parts[0][modality] = [each.features[modality] for each in utterances]
    for each, modality in ((text, "lexical"), (audio, "acoustic")):
      if each is not None:
        parts[0].setdefault(modality, [None] * len(utterances))
    return utterances_lib.Given(*parts, words, made.modalities, single)

  def require_any(
    self, utterance: inputs.Utterance, texts: Sequence[Text]
  ) -> None:
    """Refuses an utterance that has nothing to predict from.

    Args:
      utterance: The one that was given.
      texts: Its text, if any.

    Raises:
      UserError: It has no frame of any modality.
    """
    if _is_there(utterance):
      return
    written = (texts[0] or "").strip() if texts else ""
    shown = repr(written)[:60] if written else "an empty text"
    raise errors.UserError(
      f"{shown} has no word that the model knows, so that there is nothing to"
      f" predict from; --word_vectors=FILE, {words_lib.which_file(self._spec)},"
      " may know more"
    )

  def reads(self, columns: Sequence[str]) -> bool:
    """Tells whether a table is of texts and recordings, by its columns.

    The model's own features, by their names, come first.
    """
    if self._origin is None:
      return False
    known = self._spec["modalities"]
    wanted = request.columns(self._origin)
    exact = [column for column in columns if column in wanted]
    features = [c for c in columns if c.partition(":")[0] in known]
    if exact or not features:
      return bool(wanted)
    return False

  def of_table(self, path: pathlib.Path) -> Made:
    """Makes the features of a table with the columns of the one converted.

    Raises:
      UserError: It lacks them, or what features are made with is missing.
    """
    origin = self._require_origin()
    known = self._spec["modalities"]
    reads_text = "lexical" in known and origin["text"]
    choice = self._choice() if reads_text else text_features.Choice()
    if "acoustic" not in known or not origin_lib.can_hear(self._spec):
      origin = {**origin, "sound": None}
    made = self._made(request.of_table(origin, choice, path))
    absent = [name for name in known if name not in made.modalities]
    if absent:
      logging.warning(
        "%s has no %s features; all its utterances are predicted without",
        path.name,
        " and no ".join(absent),
      )
    return made._replace(has_given=bool(request.features(origin)))

  def _made(self, corpus: corpus_lib.Corpus) -> Made:
    """Checks that features mean what those of the training mean."""
    known = self._spec["modalities"]
    made = tuple(name for name in corpus.modalities if name in known)
    self._check_sound(corpus)
    orders = identity_lib.check(
      manifest_writer.identity(corpus),
      self._spec.get("identity") or {},
      made,
      where="the texts, recordings or rows",
      fix="give what those of the training were made with",
    )
    for note in (*corpus.notes, *self._words(corpus)):
      logging.warning("%s", note)
    return Made(self._utterances(corpus, made, orders), made)

  def _utterances(
    self,
    corpus: corpus_lib.Corpus,
    made: Sequence[str],
    orders: dict[str, list[int]],
  ) -> Iterator[inputs.Utterance]:
    count, without = 0, 0
    for example in request.examples(self._require_origin(), corpus):
      features: dict[str, np.ndarray | None] = {}
      for modality in made:
        frames = example.streams.get(modality)
        if frames is not None and modality in orders:
          frames = frames[:, orders[modality]]
        features[modality] = frames
      made_one = inputs.Utterance(example.id, features, example.words or ())
      count, without = count + 1, without + (not _is_there(made_one))
      yield made_one
    if without and count > 1:
      logging.warning(
        "%d of %d utterances have no word that the model knows, and nothing"
        " else: what is predicted of them says nothing of them",
        without,
        count,
      )
    for what, count in corpus.tally.items():
      logging.warning("%d row(s) %s", count, what)

  def _words(self, corpus: corpus_lib.Corpus) -> list[str]:
    """Says how many words have no vector, and what has more."""
    parts = closing.words(corpus.text)
    if not parts or self._reader.is_whole or self._encoder is not None:
      return parts
    more = (
      "the model holds the words of its training's texts;"
      f" --word_vectors=FILE, {words_lib.which_file(self._spec)}, has more"
    )
    return [*parts[:-1], f"{parts[-1]}: {more}"]

  def _choice(self) -> text_features.Choice:
    """Chooses how texts become features, as the training's were."""
    text = self._require_origin()["text"]
    if text["tokeniser"] != text_lib.TOKENISER:
      raise errors.UserError(
        f"the model's texts were cut by the tokeniser {text['tokeniser']},"
        f" expected {text_lib.TOKENISER}; convert the corpus again and train"
      )
    described = text.get("encoder")
    if described is None:
      return text_features.Choice(oov=text["oov"], reader=self._reader)
    chosen = encoders.EncoderChoice(
      self._ways.text_encoder or described["name"],
      described["layer"],
      described["pooling"],
      described["max_length"],
    )
    self._encoder = self._encoder or encoders.Encoder(chosen)
    return text_features.Choice(None, text["oov"], chosen, opened=self._encoder)

  def _require_origin(self) -> dict[str, Any]:
    if self._origin is None:
      raise errors.UserError(
        "the model does not say how its features were made: an earlier version"
        " exported it; export its workdir again, or give features"
      )
    return self._origin

  def _require_text(self) -> None:
    """Refuses text that the model does not read, or not so."""
    self._require_modality("text", "lexical")
    if not self._require_origin()["text"]:
      raise errors.UserError(_foreign(self._origin, "text", "lexical"))

  def _require_sound(self) -> None:
    """Refuses recordings that the model does not read, or not so."""
    self._require_modality("audio", "acoustic")
    if not self._require_origin()["sound"]:
      raise errors.UserError(_foreign(self._origin, "sound", "acoustic"))
    if not origin_lib.can_hear(self._spec):
      raise errors.UserError(
        "audio: the model reads which word each acoustic frame is in, and a"
        " recording alone does not say that; give features, or text alone"
      )

  def _require_modality(self, what: str, modality: str) -> None:
    known = self._spec["modalities"]
    if modality not in known:
      raise errors.UserError(
        f"{what} is given, but the model reads {', '.join(known)}; leave it out"
      )

  def _check_sound(self, corpus: corpus_lib.Corpus) -> None:
    """Refuses another sampling rate, and says where openSMILE is another."""
    sound, options = self._require_origin()["sound"], corpus.options
    if not sound or not options.get("opensmile"):
      return
    if options["rate_hz"] != sound["rate_hz"]:
      raise errors.UserError(
        f"the recordings have {options['rate_hz']} Hz, those of the training"
        f" had {sound['rate_hz']} Hz, and openSMILE's features depend on it;"
        f" resample them: ffmpeg -i IN -ar {sound['rate_hz']} OUT.wav"
      )
    if options["opensmile"] != sound["opensmile"]:
      logging.warning(
        "openSMILE %s made the features of the training, %s is installed",
        sound["opensmile"],
        options["opensmile"],
      )


def _lists(text: Any, audio: Any) -> tuple[list[Text], list[Audio]]:
  """Reads texts and recordings, one or many, as lists of the same length."""
  lists = []
  for name, given, kinds in (("text", text, str), ("audio", audio, _PATH)):
    each = [given] if isinstance(given, kinds) else given
    if each is not None:
      each = list(each) if isinstance(each, list | tuple) else [each]
      wrong = [x for x in each if x is not None and not isinstance(x, kinds)]
      if wrong:
        raise errors.UserError(
          f"{name} holds {str(wrong[0])[:40]!r}, a {type(wrong[0]).__name__};"
          f" expected a {'path' if name == 'audio' else 'text'} or a list of"
          " them, None for an absent one"
        )
    lists.append(each)
  texts, files_ = lists
  if texts is not None and files_ is not None and len(texts) != len(files_):
    raise errors.UserError(
      f"text has {len(texts)} utterances and audio {len(files_)}; expected as"
      " many, with None where one lacks either"
    )
  count = len(files_ if texts is None else texts)
  return texts or [None] * count, files_ or [None] * count


def _is_there(utterance: inputs.Utterance) -> bool:
  """Tells whether an utterance has a frame of any modality."""
  return any(
    frames is not None and len(frames) > 0
    for frames in utterance.features.values()
  )


def _foreign(origin: dict[str, Any], what: str, modality: str) -> str:
  """Says that features of a modality are not made of text or of sound."""
  return (
    f"{what} is given, but the {modality} features of the training were not"
    f" made of {what} when its corpus was converted (--source="
    f"{origin['source']}): they were there before; give features"
  )
