r"""Predicts the emotions of utterances with an export or a workdir.

Example:
  python -m mmer_jax.predict --model=models/mtee --input=data/iemocap4 \
    --out=predictions.jsonl --explain

--input is a shard folder of `data_prep.convert`, or a file of features as they
are, not normalised:

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

from mmer_jax.base import cli
from mmer_jax.serving import load, predictions


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("model", None, "An export, or a finished workdir.")
  flags.DEFINE_string(
    "input", None, "Shards, or a table: .jsonl, .npz, .csv, .tsv or .arff."
  )
  flags.DEFINE_string("out", None, "A .jsonl, .csv or .parquet file.")
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
    "word_vectors", "", "File of word vectors for new --emotions."
  )
  flags.DEFINE_bool(
    "explain", False, "Add scores per modality and what else the system knows."
  )
  flags.DEFINE_bool(
    "check_scale",
    True,
    "Refuse features that are far from those of the training.",
  )
  flags.mark_flags_as_required(["model", "input", "out"])


def main(argv: Sequence[str]) -> None:
  """Predicts as the flags say and prints how many utterances there were."""
  del argv
  values = flags.FLAGS
  out = pathlib.Path(values.out)
  count = predictions.predict_file(
    load.load(values.model),
    pathlib.Path(values.input),
    out,
    modalities=values.modalities,
    emotions=values.emotions,
    words=pathlib.Path(values.word_vectors) if values.word_vectors else None,
    explain=values.explain,
    check_scale=values.check_scale,
  )
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{out}: {count} utterances"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)
