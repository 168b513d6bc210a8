"""Converts a corpus of features into shards, with a manifest.

For instance:

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/iemocap.py:4 --input=iemocap_utterances.npz \
    --word_vectors=glove.840B.300d.txt --output=shards/iemocap4

  python -m data_prep.convert --source=cmu_processed --input=cmu-mosei \
    --word_vectors=glove.840B.300d.txt --drop_preset=facet_emotion_scores \
    --output=shards/mosei

  python -m data_prep.convert --source=synthetic --preset=tiny \
    --output=shards/tiny
"""

import os
import pathlib
from collections.abc import Callable, Sequence

import rich.console
from absl import flags
from ml_collections import config_flags

from data_prep import columns, nonfinite, text, write
from data_prep import corpus as corpus_lib
from data_prep.sources import cmu_processed, synthetic, utterances
from mmer_jax import errors
from mmer_jax.errors import UserError

# TensorFlow, where TFDS loads it, reports on its host; nobody here asked.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_SOURCE = flags.DEFINE_enum(
  "source",
  None,
  ["utterances", "cmu_processed", "synthetic"],
  "What the input is.",
)
_INPUT = flags.DEFINE_string(
  "input", None, "The corpus: a file or a folder. Not for synthetic."
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "The folder to create. Must not exist, or be empty."
)
_NONFINITE = flags.DEFINE_enum(
  "nonfinite",
  "zero",
  nonfinite.POLICIES,
  "What becomes of NaN and infinite values: 0; the nearest finite value of the"
  " column (training split where there is one; NaN becomes 0); the frame goes;"
  " the conversion ends. Recorded, with counts by column.",
)
_NUM_SHARDS = flags.DEFINE_integer(
  "num_shards", 0, "0 chooses by size.", lower_bound=0
)
_FILE_FORMAT = flags.DEFINE_enum(
  "file_format",
  "tfrecord",
  write.FILE_FORMATS,
  "tfrecord is written with TensorFlow, array_record without.",
)
_SPEC = config_flags.DEFINE_config_file(
  "spec", None, "utterances: the columns' meaning, FILE[:VARIANT]."
)
_WORD_VECTORS = flags.DEFINE_string(
  "word_vectors",
  None,
  "utterances, cmu_processed: vectors in GloVe's text format, .gz allowed.",
)
_OOV = flags.DEFINE_enum(
  "oov",
  "skip",
  text.OOV_POLICIES,
  "utterances: a word without a vector is left out, or a row of zeros.",
)
_LABELS = flags.DEFINE_enum(
  "labels",
  "auto",
  cmu_processed.LABEL_FILES,
  "cmu_processed: ey_*.h5 (emotions) or y_*.h5; auto prefers ey.",
)
_LABEL_TYPE = flags.DEFINE_enum(
  "label_type",
  "auto",
  ["auto", "single", "multi"],
  "cmu_processed: auto is multi for ey_*.h5, single for y_*.h5.",
)
_EMOTIONS = flags.DEFINE_list(
  "emotions",
  None,
  "cmu_processed: the label columns' names, where the layout does not fix"
  " them.",
)
_SENTIMENT_BINS = flags.DEFINE_string(
  "sentiment_bins",
  None,
  "cmu_processed: LOW,HIGH. A score below LOW is negative, above HIGH positive,"
  " from LOW to HIGH neutral. Default 2.5,3.5 where all scores are in 1..5.",
)
_DROP_COLUMNS = flags.DEFINE_list(
  "drop_columns",
  None,
  "utterances, cmu_processed: features to leave out, visual:Anger,visual:Joy.",
)
_DROP_PRESET = flags.DEFINE_enum(
  "drop_preset",
  None,
  list(columns.PRESETS),
  "utterances, cmu_processed: a named set of features to leave out."
  " facet_emotion_scores: FACET's own guesses of the emotions.",
)
_PRESET = flags.DEFINE_string(
  "preset", "tiny", f"synthetic: {', '.join(synthetic.PRESETS)}."
)
_SEED = flags.DEFINE_integer("seed", 0, "synthetic.")
_NUM_EXAMPLES = flags.DEFINE_integer(
  "num_examples", 0, "synthetic: 0 for the preset's own."
)

# The flags that belong to some sources only.
_OWN = {
  "utterances": {
    "input",
    "spec",
    "word_vectors",
    "oov",
    "drop_columns",
    "drop_preset",
  },
  "cmu_processed": {
    "input",
    "word_vectors",
    "labels",
    "label_type",
    "emotions",
    "sentiment_bins",
    "drop_columns",
    "drop_preset",
  },
  "synthetic": {"preset", "seed", "num_examples"},
}


def main(argv: Sequence[str]) -> None:
  """Converts; see the module's examples."""
  del argv
  source = _required(_SOURCE.name, _SOURCE.value)
  output = pathlib.Path(_required(_OUTPUT.name, _OUTPUT.value))
  _refuse_foreign_flags(source)
  write.refuse_existing(output)
  corpus = _BUILD[source]()
  if source != "synthetic":
    corpus = columns.drop(corpus, _DROP_COLUMNS.value or [], _DROP_PRESET.value)
  manifest = write.write(
    corpus,
    output,
    write.Options(_NONFINITE.value, _NUM_SHARDS.value, _FILE_FORMAT.value),
    rich.console.Console(stderr=True),
  )
  counts = manifest["counts"]
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{output}: {counts['examples']} utterances"
    f" ({counts['labelled']} labelled) in {len(manifest['shards'])} shards,"
    f" fingerprint {manifest['fingerprint'][:12]}"
  )


def _required(name: str, value: str | None) -> str:
  if not value:
    raise UserError(f"--{name} is missing; see --help for examples")
  return value


def _input() -> pathlib.Path:
  path = pathlib.Path(_required(_INPUT.name, _INPUT.value))
  if not path.exists():
    raise UserError(f"--input={path} does not exist")
  return path


def _word_vectors() -> pathlib.Path | None:
  return pathlib.Path(_WORD_VECTORS.value) if _WORD_VECTORS.value else None


def _refuse_foreign_flags(source: str) -> None:
  for name in sorted(set().union(*_OWN.values()) - _OWN[source]):
    if flags.FLAGS[name].present:
      owners = " and ".join(k for k, v in _OWN.items() if name in v)
      raise UserError(
        f"--{name} does nothing with --source={source}; it belongs to {owners}"
      )


def _utterances() -> corpus_lib.Corpus:
  if _SPEC.value is None:
    raise UserError(
      "--source=utterances needs --spec=FILE, a description of the columns;"
      " see data_prep/specs"
    )
  return utterances.build(_SPEC.value, _input(), _word_vectors(), _OOV.value)


def _cmu_processed() -> corpus_lib.Corpus:
  return cmu_processed.build(
    _input(),
    word_vectors=_word_vectors(),
    label_file=_LABELS.value,
    label_type=_LABEL_TYPE.value,
    emotions=tuple(_EMOTIONS.value or ()),
    sentiment_bins=_SENTIMENT_BINS.value,
  )


def _synthetic() -> corpus_lib.Corpus:
  return synthetic.build(_PRESET.value, _SEED.value, _NUM_EXAMPLES.value)


_BUILD: dict[str, Callable[[], corpus_lib.Corpus]] = {
  "utterances": _utterances,
  "cmu_processed": _cmu_processed,
  "synthetic": _synthetic,
}


if __name__ == "__main__":
  errors.run(main)
