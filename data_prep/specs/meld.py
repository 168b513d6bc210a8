"""MELD's official text and label files.

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/meld.py --input=MELD/data/MELD \
    --word_vectors=glove.840B.300d.txt --output=shards/meld

Variants: emotion (7 classes), sentiment (3).
"""

import ml_collections

_EMOTIONS = {
  "emotion": (
    *("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
  ),
  "sentiment": ("negative", "neutral", "positive"),
}
_COLUMNS = {"emotion": "{Emotion}", "sentiment": "{Sentiment}"}
# Never "scared", which stands for fear elsewhere.
_WORDS = (("fear", ("fear", "afraid")),)


def get_config(variant: str = "emotion") -> ml_collections.ConfigDict:
  """Returns the spec of a variant: emotion or sentiment."""
  if variant not in _EMOTIONS:
    raise ValueError(
      f"unknown variant {variant!r} of specs/meld.py, expected one of"
      f" {', '.join(_EMOTIONS)}"
    )
  emotions = _EMOTIONS[variant]
  config = ml_collections.ConfigDict()
  config.name = f"meld_{variant}"
  config.files = (
    ("train", "train_sent_emo.csv"),
    ("dev", "dev_sent_emo.csv"),
    ("test", "test_sent_emo.csv"),
  )
  # Dialogues are numbered from 0 in every file.
  config.id = "{file}_dia{Dialogue_ID}_utt{Utterance_ID}"
  config.dialogue = "{file}_dia{Dialogue_ID}"
  config.text = "{Utterance}"
  config.label = _COLUMNS[variant]
  config.unlabelled = ()
  config.emotions = emotions
  config.emotion_words = tuple(pair for pair in _WORDS if pair[0] in emotions)
  return config.lock()
