"""AMI's transcribed turns: speech without labels.

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/ami.py --input=ami_turns.csv.gz \
    --word_vectors=glove.840B.300d.txt --output=shards/ami

The emotions are those that a model of IEMOCAP's four classes would be asked
about; no row is labelled.
"""

import ml_collections


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """The spec; full is the only variant."""
  if variant != "full":
    raise ValueError(
      f"unknown variant {variant!r} of specs/ami.py, expected full"
    )
  config = ml_collections.ConfigDict()
  config.name = "ami"
  config.label_type = "single"
  config.files = ()
  config.id = "{meeting}_{turn}"
  # Roles, not people: the same role is another person in another meeting.
  config.speaker = "{meeting} {speaker}"
  config.session = "{meeting}"
  config.dialogue = "{meeting}"
  config.split = ""
  config.split_values = ()
  config.text = "{text}"
  config.label = ""
  config.label_values = ()
  config.unlabelled = ()
  config.label_columns = ()
  config.emotions = ("neutral", "happy", "sad", "angry")
  config.emotion_words = (
    ("neutral", ("neutral",)),
    ("happy", ("happy", "happiness")),
    ("sad", ("sad", "sadness")),
    ("angry", ("angry", "anger")),
  )
  config.features = ml_collections.ConfigDict()
  return config.lock()
