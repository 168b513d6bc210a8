r"""Writes the vectors that an encoder of text gives words or phrases.

The file is in GloVe's text format: `evaluate` and `predict` read new emotions
from it where shards were converted with --text_encoder. The flags of the
encoder must be those of the conversion. A phrase has _ for its blanks. The
words that usually stand for emotions are always among them: by these `predict`
sees that the encoder is that of the training.

Example:
  python -m data_prep.encode_words --text_encoder=bert-base-uncased \
    --words=disgust,disgusted,'on cloud nine' --output=words.txt
"""

import itertools
import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from data_prep.corpus import text
from data_prep.features import encoded_texts, encoders, text_features
from data_prep.sources import flags as source_flags
from data_prep.sources import source as source_lib
from mmer_jax.base import cli, progress
from mmer_jax.base.errors import UserError
from mmer_jax.data import word_vectors


def main(argv: Sequence[str]) -> None:
  """Encodes the words that the command line names."""
  del argv
  encode(flags.FLAGS)


def encode(values: flags.FlagValues) -> None:
  """Encodes the words that some flags name."""
  source_lib.required(values, "text_encoder")
  output = pathlib.Path(source_lib.required(values, "output"))
  if output.exists():
    raise UserError(f"--output={output} exists; choose another file")
  words = [" ".join(word.split()) for word in text.composed(values.words or ())]
  if "" in words:
    raise UserError(
      f"--words={','.join(words)}, expected words with commas between them"
    )
  usual = itertools.chain.from_iterable(text.EMOTION_WORDS.values())
  with progress.doing("loading the encoder"):
    encoder = encoders.Encoder(text_features.encoder_choice(values))
  vectors = {}
  wanted = list(dict.fromkeys((*words, *usual)))
  for word in progress.each(wanted, "encoding", len(wanted), "words"):
    vector = encoded_texts.word_vector(encoder, word)
    if vector is None:
      raise UserError(
        f"--words: {word!r} has no piece in {encoder.choice.label}; choose"
        " another word"
      )
    vectors[word.replace(" ", "_")] = vector
  word_vectors.write(output, vectors)
  rich.console.Console(soft_wrap=True, highlight=False, markup=False).print(
    f"{output}: {len(vectors)} words, {encoder.dim} numbers each,"
    f" {encoder.identity()}"
  )


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command line; importing this module does not."""
  source_flags.define_encoder(values)
  flags.DEFINE_list(
    "words", None, "The words, or phrases, to encode.", flag_values=values
  )
  flags.DEFINE_string("output", None, "The file to write.", flag_values=values)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
