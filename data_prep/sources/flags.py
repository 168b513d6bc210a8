"""Defines the command line of a conversion."""

import sys

from absl import flags
from ml_collections import config_flags

from data_prep.corpus import columns, nonfinite, scales, text
from data_prep.features import alignment, encoders
from data_prep.readers import sound
from data_prep.sources import cmu_processed, registry, synthetic_presets
from data_prep.sources.pickles import labels as pickle_labels
from data_prep.writing import examples

# The flags are those of the command that defines them; --help lists them there.
flags.disclaim_key_flags()


def define(values: flags.FlagValues) -> None:
  """Defines every flag of a conversion."""
  _define_common(values)
  _define_work(values)
  _define_features(values)
  _define_labels(values)
  _define_ratings(values)
  _define_variant(values)
  _define_synthetic(values)
  for source in registry.SOURCES.values():
    if source.define is not None:
      source.define(values)
      # --help shows them too.
      flags.adopt_module_key_flags(
        sys.modules[source.define.__module__], values
      )


def _define_common(values: flags.FlagValues) -> None:
  """Defines the flags of every source."""
  flags.DEFINE_enum(
    "source",
    None,
    list(registry.SOURCES),
    "What the input is.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "input",
    None,
    "The corpus: a file or a folder; of csd also files separated by commas. Not"
    " for synthetic.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "output",
    None,
    "The folder to create. Must not exist, or be empty.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "nonfinite",
    "zero",
    nonfinite.POLICIES,
    "What becomes of NaN and infinite values: 0; the nearest finite value of"
    " the column (training split where there is one; NaN becomes 0); the frame"
    " is dropped; the conversion ends. Counted by column in the manifest.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num_shards", 0, "0 chooses by size.", lower_bound=0, flag_values=values
  )
  flags.DEFINE_enum(
    "file_format",
    "tfrecord",
    examples.FILE_FORMATS,
    "tfrecord is written with TensorFlow, array_record without.",
    flag_values=values,
  )


def _define_work(values: flags.FlagValues) -> None:
  """Defines the flags that say who does the work."""
  flags.DEFINE_integer(
    "workers",
    0,
    "Processes that make and encode utterances; what comes out does not depend"
    " on it. 0: one for the first five seconds of work, then one per core.",
    lower_bound=0,
    flag_values=values,
  )
  flags.DEFINE_string(
    "runner",
    None,
    "Apache Beam does the work in the place of --workers, on the machines of"
    " this runner: DirectRunner, DataflowRunner, FlinkRunner, SparkRunner.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "beam_options",
    None,
    "--runner: Beam's options, without their dashes:"
    " direct_num_workers=4,direct_running_mode=multi_processing.",
    flag_values=values,
  )


def _define_features(values: flags.FlagValues) -> None:
  """Defines the flags of text and features."""
  config_flags.DEFINE_config_file(
    "spec",
    None,
    "utterances, folder: the columns' meaning, FILE[:VARIANT].",
    flag_values=values,
  )
  flags.DEFINE_string(
    "word_vectors",
    None,
    "utterances, folder, cmu_processed, recordings, iemocap, ami, csd: vectors"
    " in GloVe's text format, .gz allowed.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "oov",
    "skip",
    text.OOV_POLICIES,
    "utterances, recordings, iemocap, ami, csd: a word without a vector is left"
    " out, or a row of zeros.",
    flag_values=values,
  )
  define_encoder(values)
  _define_sound(values)
  flags.DEFINE_list(
    "name_columns",
    None,
    "cmu_processed, pickle, csd: what the features are, facet_42; they have"
    " numbers for names otherwise. --drop_preset names what it drops.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "drop_columns",
    None,
    "utterances, cmu_processed: features to leave out,"
    " visual:Anger,visual:Joy.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "drop_preset",
    None,
    list(columns.PRESETS),
    "utterances, cmu_processed: a named set of features to leave out."
    " facet_emotion_scores: FACET's own guesses of the emotions.",
    flag_values=values,
  )


def _define_sound(values: flags.FlagValues) -> None:
  """Defines the flags of features of sound."""
  flags.DEFINE_enum(
    "acoustic",
    "is10",
    list(sound.ACOUSTIC),
    "recordings, meld, iemocap, ami: a set of openSMILE's features. "
    + "; ".join(f"{key}: {e.dim} {e.what}" for key, e in sound.ACOUSTIC.items())
    + ". Descriptors come each 10 ms, functionals once a recording.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "acoustic_rows",
    alignment.FRAMES,
    alignment.ROWS,
    "Where the words of acoustic frames are known (iemocap, ami, word_aligned):"
    " frames, or their mean in each word, beside the lexical rows.",
    flag_values=values,
  )


def define_encoder(values: flags.FlagValues) -> None:
  """Defines the flags of an encoder of text."""
  flags.DEFINE_string(
    "text_encoder",
    None,
    "In the place of --word_vectors: an encoder that transformers loads, a"
    " folder or a name on the Hugging Face hub. Each word gets a vector that"
    " knows its neighbours; words for emotions are encoded alike.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "text_layer",
    -1,
    "--text_encoder: whose outputs; 0 the embeddings, -1 the last layer.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "text_pooling",
    "mean",
    encoders.POOLINGS,
    "--text_encoder: what of its pieces a word is, or sentence: one vector for"
    " a text, the mean of all its pieces.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "text_max_length",
    0,
    "--text_encoder: the most pieces at once, a longer text is read in parts; 0"
    " for as many as the encoder takes.",
    lower_bound=0,
    flag_values=values,
  )


def _define_labels(values: flags.FlagValues) -> None:
  """Defines the flags of labels that a layout does not name."""
  flags.DEFINE_enum(
    "labels",
    "auto",
    [*cmu_processed.LABEL_FILES, *pickle_labels.CHOICES],
    "cmu_processed: ey_*.h5 (emotions) or y_*.h5; auto prefers ey. pickle:"
    " sentiment or emotions, of files with both; auto prefers emotions.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "label_type",
    "auto",
    ["auto", "single", "multi"],
    "cmu_processed: auto is multi for ey_*.h5, single for y_*.h5. pickle: auto"
    " is single where every utterance has one class. csd: auto is multi, single"
    " for sentiment.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "emotions",
    None,
    "cmu_processed, pickle: the label columns' names, where the layout does not"
    " fix them. recordings, folder, ami: all emotions, where labels are"
    " not to say. csd: those of the label columns that are read, by name.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "label_map",
    None,
    "recordings, folder: other names of labels, angry=anger,scared=fear; those"
    " that are not named stay.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "unlabelled",
    None,
    "recordings, folder: labels that mean that there is none, xxx,oth.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "sentiment_bins",
    None,
    "cmu_processed, pickle, csd: LOW,HIGH. A score below LOW is negative, above"
    " HIGH positive, from LOW to HIGH neutral. Default 2.5,3.5 where all scores"
    " of cmu_processed are in 1..5; 0,0 where all of the others are in -3..3.",
    flag_values=values,
  )
  flags.DEFINE_float(
    "positive_above",
    None,
    "utterances, folder, cmu_processed, pickle, csd: an emotion is present"
    " where its label column is above this; 0 where it is not given. For"
    " scores.",
    flag_values=values,
  )


def _define_ratings(values: flags.FlagValues) -> None:
  """Defines the flags of ratings."""
  flags.DEFINE_list(
    "rating_columns",
    None,
    "utterances, folder, recordings, csd: columns of numbers on a scale, as"
    " NAME:LOW:HIGH or NAME=COLUMN:LOW:HIGH, valence:1:5,arousal=act:1:5;"
    " COLUMN[0] is the first number of a column of vectors. Blank cells are"
    " unrated. csd: empty for none in the place of sentiment.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "off_scale",
    scales.ERROR,
    scales.OFF_SCALE,
    "--rating_columns: what becomes of a value outside of its scale; unrated"
    " ones are counted.",
    flag_values=values,
  )


def _define_variant(values: flags.FlagValues) -> None:
  """Defines which of a corpus's own sets of labels is read."""
  flags.DEFINE_string(
    "variant",
    None,
    "iemocap: 4 (excited is happy, the default), 6 or all emotions; improvised"
    " or scripted dialogues alone; both as in 4_improvised. meld: emotion, its"
    " default, or sentiment.",
    flag_values=values,
  )


def _define_synthetic(values: flags.FlagValues) -> None:
  """Defines the flags of the synthetic corpora."""
  flags.DEFINE_string(
    "preset",
    "tiny",
    f"synthetic: {', '.join(synthetic_presets.PRESETS)}.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "seed", 0, "synthetic, ami: the seed of every draw.", flag_values=values
  )
  flags.DEFINE_integer(
    "num_examples", 0, "synthetic: 0 for the preset's own.", flag_values=values
  )
  flags.DEFINE_bool(
    "rated",
    False,
    "synthetic: ratings beside the emotions, valence and activation; sentiment"
    " where the preset is mosei or tiny_mosei.",
    flag_values=values,
  )
