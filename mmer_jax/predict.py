r"""Predicts the emotions of utterances with an export or a workdir.

Example:
  python -m mmer_jax.predict --model=models/mtee --input=data/iemocap4 \
    --out=predictions.jsonl --explain
  python -m mmer_jax.predict --model=models/mtee --text="I am so happy"
  python -m mmer_jax.predict --model=models/mtee --wav=a.wav --text="well, well"
  python -m mmer_jax.predict --model=models/mtee --input=recordings.csv \
    --out=predictions.csv

--text and --wav become features as those of the training did: the same
tokeniser, word vectors or encoder, the same set of openSMILE. They print a
table where there is no --out. Each may be given several times; the first text
then belongs to the first recording.

--input is a shard folder of `data_prep.convert`; a table with the columns of
the one that was converted (text, recordings, features; labels are not read); or
a file of features as they are, not normalised:

- .jsonl: one object per line, {"id": ..., "lexical": [[...], ...], "acoustic":
  [...] or null}; `words` may name those of the lexical frames;
- .npz: `id` (n,) if any, and modality to (n, d), or (n, t, d); zeros are frames
  at the end too: where utterances are padded, MODALITY_lengths (n,) or
  MODALITY_mask (n, t) says so;
- .csv, .tsv, .arff, also .gz: `id` if any, and `acoustic:NAME` for each
  column of feature_spec.json; features of whole utterances alone. A row whose
  columns of a modality are all empty lacks that modality.

--out is .jsonl, .csv or .parquet (which needs pyarrow): a row per utterance, in
the order of the input, with its id, what is predicted, and the probability of
every emotion.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli, errors
from mmer_jax.serving import load, predictions, terminal


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("model", None, "An export, or a finished workdir.")
  flags.DEFINE_string(
    "input", None, "Shards, or a table: .jsonl, .npz, .csv, .tsv or .arff."
  )
  flags.DEFINE_multi_string(
    "text", [], "What is said in an utterance; again for the next one."
  )
  flags.DEFINE_multi_string(
    "wav", [], "The recording of an utterance; again for the next one."
  )
  flags.DEFINE_string(
    "out",
    None,
    "A .jsonl, .csv or .parquet file. With --text and --wav a table on the"
    " terminal where it is not given.",
  )
  flags.DEFINE_list(
    "modalities", [], "The model sees these alone; all by default."
  )
  flags.DEFINE_list(
    "emotions",
    [],
    "These alone, in this order. With an open vocabulary (mtee) they may be"
    " new, as NAME or NAME=WORD.",
  )
  flags.DEFINE_string(
    "word_vectors",
    "",
    "File of word vectors, for text that the model holds no vectors for, and"
    " for new --emotions.",
  )
  flags.DEFINE_string(
    "text_encoder",
    "",
    "The encoder of text, a folder or a name, where it is not to be found"
    " under the name of the training.",
  )
  flags.DEFINE_bool(
    "explain", False, "Add scores per modality and what else the system knows."
  )
  flags.DEFINE_bool(
    "check_scale",
    True,
    "Refuse features that are far from those of the training.",
  )
  flags.mark_flag_as_required("model")


def main(argv: Sequence[str]) -> None:
  """Predicts as the flags say; prints predictions, or how many there were."""
  del argv
  values = flags.FLAGS
  _check_flags(values)
  words = pathlib.Path(values.word_vectors) if values.word_vectors else None
  model = load.load(
    values.model, word_vectors=words, text_encoder=values.text_encoder or None
  )
  console = rich.console.Console(soft_wrap=True, highlight=False, markup=False)
  out = pathlib.Path(values.out) if values.out else None
  request = predictions.Request(
    modalities=values.modalities,
    emotions=values.emotions,
    words=words,
    explain=values.explain,
    check_scale=values.check_scale,
  )
  if values.input:
    count = predictions.predict_file(
      model, pathlib.Path(values.input), out, **request._asdict()
    )
  else:
    found = predictions.predict_items(
      model, values.text, values.wav, out, request
    )
    count = len(found)
    for number, row in enumerate(found if out is None else ()):
      given = [each[number] for each in (values.text, values.wav) if each]
      title = " + ".join(given)
      console.print(terminal.table(model.spec, row, title))
  if out is not None:
    console.print(f"{out}: {count} utterances")


def _check_flags(values: flags.FlagValues) -> None:
  """Refuses flags that do not say what is to be predicted, and where to."""
  items = [name for name in ("text", "wav") if getattr(values, name)]
  if values.input and items:
    raise errors.UserError(
      f"--input and --{items[0]} are both given; predict them one by one"
    )
  if not values.input and not items:
    raise errors.UserError(
      "--input is missing, or --text or --wav; see --help for an example"
    )
  if values.input and not values.out:
    raise errors.UserError("--out is missing; see --help for an example")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
