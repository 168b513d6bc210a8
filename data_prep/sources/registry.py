"""Lists the sources of the command line and builds the corpus it names.

Some flags belong to some sources only: each source lists its own, and one that
does nothing with the chosen source is refused.
"""

from absl import flags

from data_prep.corpus import columns, scales
from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from data_prep.sources import (
  cmu_processed,
  recordings,
  synthetic,
  utterances,
  word_aligned,
)
from data_prep.sources import source as source_lib
from data_prep.sources.ami import source as ami
from data_prep.sources.csd import command as csd
from data_prep.sources.folder import source as folder
from data_prep.sources.iemocap import source as iemocap
from data_prep.sources.meld import source as meld
from data_prep.sources.pickles import source as pickles
from mmer_jax.base.errors import UserError


def _utterances(values: flags.FlagValues) -> corpus_lib.Corpus:
  if values.spec is None:
    raise UserError(
      "--source=utterances needs --spec=FILE, a description of the columns;"
      " see data_prep/specs"
    )
  return utterances.build(
    values.spec,
    source_lib.input_path(values),
    text_features.choose(values),
    values.positive_above,
    scales.from_flags(values),
  )


def _cmu_processed(values: flags.FlagValues) -> corpus_lib.Corpus:
  names = list(values.name_columns or ())
  implied = columns.PRESET_NAMES.get(values.drop_preset)
  return cmu_processed.build(
    source_lib.input_path(values),
    word_vectors=source_lib.word_vectors(values),
    label_file=values.labels,
    label_type=values.label_type,
    emotions=tuple(values.emotions or ()),
    sentiment_bins=values.sentiment_bins,
    positive_above=values.positive_above,
    name_columns=[*names, implied] if implied else names,
  )


def _synthetic(values: flags.FlagValues) -> corpus_lib.Corpus:
  return synthetic.build(
    values.preset, values.seed, values.num_examples, values.rated
  )


def _word_aligned(values: flags.FlagValues) -> corpus_lib.Corpus:
  return word_aligned.build(source_lib.input_path(values))


_DROP = ("drop_columns", "drop_preset")
SOURCES = {
  "utterances": source_lib.Source(
    _utterances,
    frozenset(
      {
        *("input", "spec", "positive_above", *text_features.FLAGS, *_DROP),
        *scales.FLAGS,
      }
    ),
  ),
  "cmu_processed": source_lib.Source(
    _cmu_processed,
    frozenset(
      {
        *("input", "word_vectors", "labels", "label_type", "emotions"),
        *("sentiment_bins", "positive_above", "name_columns", *_DROP),
      }
    ),
  ),
  "recordings": source_lib.Source(
    recordings.build, recordings.FLAGS.union(_DROP), recordings.define
  ),
  "ami": source_lib.Source(ami.build, ami.FLAGS.union(_DROP), ami.define),
  "csd": source_lib.Source(csd.build, csd.FLAGS.union(_DROP), csd.define),
  "folder": source_lib.Source(
    folder.build, folder.FLAGS.union(_DROP), folder.define
  ),
  "iemocap": source_lib.Source(iemocap.build, iemocap.FLAGS.union(_DROP)),
  "meld": source_lib.Source(meld.build, meld.FLAGS.union(_DROP), meld.define),
  "pickle": source_lib.Source(
    pickles.build_from_flags, pickles.FLAGS.union(_DROP), pickles.define
  ),
  "synthetic": source_lib.Source(
    _synthetic, frozenset({"preset", "seed", "num_examples", "rated"})
  ),
  "word_aligned": source_lib.Source(
    _word_aligned, frozenset({"input", *_DROP})
  ),
}


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the source that the flags name."""
  return SOURCES[values.source].build(values)


def refuse_foreign(values: flags.FlagValues) -> None:
  """Raises a `UserError` for a flag that the chosen source does not read."""
  own = SOURCES[values.source].flags
  every = frozenset().union(*(source.flags for source in SOURCES.values()))
  for name in sorted(every - own):
    if values[name].present:
      owners = " and ".join(k for k, v in SOURCES.items() if name in v.flags)
      raise UserError(
        f"--{name} does nothing with --source={values.source}; it belongs to"
        f" {owners}"
      )
