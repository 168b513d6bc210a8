"""AMI's transcribed turns: speech without labels.

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/ami.py --input=ami_turns.csv.gz \
    --word_vectors=glove.840B.300d.txt --output=shards/ami

The emotions are those that a model of IEMOCAP's four classes would be asked
about; no row is labelled.

Variants: `full` (every turn), `iemocap` and `meld` (unlabelled rows beside
those corpora: Liang et al. 2020, section 4.2, crops segments of 7.2 s and 3.5 s
around three consecutive words, so that none is silent). The file has no times:
20 and 9 words stand for them, as many as IEMOCAP's utterances of those lengths
have on average, and turns of less than three words are left out. AMI's own
annotations have times: `--source=ami --crop=7.2` needs no spec.
"""

import ml_collections

# Fewest and most words.
_CROPS = {"full": (0, 0), "iemocap": (3, 20), "meld": (3, 9)}


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Returns the spec of a variant: full, iemocap or meld."""
  if variant not in _CROPS:
    raise ValueError(
      f"unknown variant {variant!r} of specs/ami.py, expected one of"
      f" {', '.join(_CROPS)}"
    )
  config = ml_collections.ConfigDict()
  config.name = "ami"
  config.id = "{meeting}_{turn}"
  # Roles, not people: the same role is another person in another meeting.
  config.speaker = "{meeting} {speaker}"
  config.session = "{meeting}"
  config.dialogue = "{meeting}"
  config.text = "{text}"
  config.label = ""
  config.emotions = ("neutral", "happy", "sad", "angry")
  fewest, most = _CROPS[variant]
  config.crop = {"min_words": fewest, "max_words": most}
  return config.lock()
