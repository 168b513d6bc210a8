"""IEMOCAP, one row per utterance: transcript and acoustic functionals.

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/iemocap.py:4 --input=iemocap_utterances.npz \
    --word_vectors=glove.840B.300d.txt --output=shards/iemocap4

Variants: 4 (excited merged into happy, as in most papers), 6, all, and
4_improvised and 4_scripted, the dialogues of one kind alone. The same scripts
are played in every session: with a session left out, a third of the scripted
test utterances stand word for word in the training rows, so that what reads
the text may know the script. Report lexical results on 4_improvised too.
4_vad, 6_vad and all_vad add the raters' means of valence, activation and
dominance, from 1 to 5; seven that are off that scale count as not given.

Rows whose label is not among the variant's are unlabelled. IEMOCAP has no
official split: the protocols hold out sessions or speakers.
"""

import ml_collections

# Label in the file to emotion.
_EMOTIONS = {
  "4": (
    ("neu", "neutral"),
    ("hap", "happy"),
    ("exc", "happy"),
    ("sad", "sad"),
    ("ang", "angry"),
  ),
  "6": (
    ("neu", "neutral"),
    ("hap", "happy"),
    ("sad", "sad"),
    ("ang", "angry"),
    ("exc", "excited"),
    ("fru", "frustrated"),
  ),
  "all": (
    ("neu", "neutral"),
    ("hap", "happy"),
    ("sad", "sad"),
    ("ang", "angry"),
    ("exc", "excited"),
    ("fru", "frustrated"),
    ("sur", "surprised"),
    ("fea", "fear"),
    ("dis", "disgust"),
  ),
}
# Names of dialogues: Ses01F_impro01, Ses01F_script01_1.
_KINDS = {"improvised": "*_impro*", "scripted": "*_script*"}
_RATED = "vad"
_VARIANTS = (
  *_EMOTIONS,
  *(f"4_{kind}" for kind in _KINDS),
  *(f"{classes}_{_RATED}" for classes in _EMOTIONS),
)
# No agreement between the annotators, and "other".
_NO_EMOTION = ("xxx", "oth")


def get_config(variant: str = "4") -> ml_collections.ConfigDict:
  """Returns the spec of a variant: 4, 6, all, 4_improvised, 4_scripted.

  Args:
    variant: One of these; 4, 6 and all with ratings as 4_vad.
  """
  if variant not in _VARIANTS:
    raise ValueError(
      f"unknown variant {variant!r} of specs/iemocap.py, expected one of"
      f" {', '.join(_VARIANTS)}"
    )
  classes, _, kind = variant.partition("_")
  label_values = _EMOTIONS[classes]
  known = {value for value, _ in label_values}
  others = [value for value, _ in _EMOTIONS["all"] if value not in known]
  config = ml_collections.ConfigDict()
  config.name = f"iemocap_{variant}"
  config.id = "{utt_id}"
  config.dialogue = "{dialog_id}"
  config.text = "{text}"
  config.label = "{emotion}"
  config.label_values = label_values
  config.unlabelled = (*others, *_NO_EMOTION)
  config.features = {"acoustic": ("audio_egemaps47",)}
  if kind == _RATED:
    config.rating_columns = tuple(
      (name, f"vad[{place}]", 1.0, 5.0)
      for place, name in enumerate(("valence", "activation", "dominance"))
    )
    config.off_scale = "unrated"
  elif kind:
    config.rows = (("{dialog_id}", _KINDS[kind]),)
  return config.lock()
