"""MELD's official text and label files.

  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/meld.py --input=MELD/data/MELD \
    --word_vectors=glove.840B.300d.txt --output=shards/meld

Variants: emotion (7 classes), sentiment (3).
"""

import ml_collections

_EMOTIONS = {
  "emotion": (
    ("neutral", ("neutral",)),
    ("joy", ("joy", "happiness", "happy")),
    ("surprise", ("surprise", "surprised")),
    ("anger", ("anger", "angry")),
    ("sadness", ("sadness", "sad")),
    ("disgust", ("disgust", "disgusted", "disgusting")),
    ("fear", ("fear", "afraid")),
  ),
  "sentiment": (
    ("negative", ("negative", "bad")),
    ("neutral", ("neutral",)),
    ("positive", ("positive", "good")),
  ),
}


def get_config(variant: str = "emotion") -> ml_collections.ConfigDict:
  """Returns the spec of a variant: emotion or sentiment."""
  if variant not in _EMOTIONS:
    raise ValueError(
      f"unknown variant {variant!r} of specs/meld.py, expected one of"
      f" {', '.join(_EMOTIONS)}"
    )
  emotions = tuple(name for name, _ in _EMOTIONS[variant])
  config = ml_collections.ConfigDict()
  config.name = f"meld_{variant}"
  config.label_type = "single"
  config.files = (
    ("train", "train_sent_emo.csv"),
    ("dev", "dev_sent_emo.csv"),
    ("test", "test_sent_emo.csv"),
  )
  # Dialogues are numbered from 0 in every file.
  config.id = "{file}_dia{Dialogue_ID}_utt{Utterance_ID}"
  config.speaker = "{Speaker}"
  config.session = ""
  config.dialogue = "{file}_dia{Dialogue_ID}"
  config.split = "{file}"
  config.split_values = (
    ("train", "train"),
    ("dev", "validation"),
    ("test", "test"),
  )
  config.text = "{Utterance}"
  config.label = "{Emotion}" if variant == "emotion" else "{Sentiment}"
  config.label_values = tuple((name, name) for name in emotions)
  config.unlabelled = ()
  config.label_columns = ()
  config.emotions = emotions
  config.emotion_words = _EMOTIONS[variant]
  config.features = ml_collections.ConfigDict()
  config.crop = ml_collections.ConfigDict({"min_words": 0, "max_words": 0})
  return config.lock()
