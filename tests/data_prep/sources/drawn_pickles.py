"""Small pickles in the layouts of published code; all contents are drawn."""

import pickle

import numpy as np

from data_prep.features import text_features
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import source

SIZES = {"train": 4, "valid": 3, "test": 2}


def save(folder, content, name="drawn.pkl", protocol=4):
  path = folder / name
  path.write_bytes(pickle.dumps(content, protocol))
  return path


def build(path, word_vectors=None, text="auto", **changes):
  """A corpus, by what the command line would say of labels."""
  return source.build(
    path,
    labels_lib.Choice(**changes),
    text_features.Choice(word_vectors),
    text,
  )


def examples(corpus):
  return {example.id: example for example in corpus.examples()}


def padded_left(rng, n, t, d):
  """Rows off zero behind at least one row of zeros."""
  values = (rng.normal(size=(n, t, d)) + 5).astype(np.float32)
  for row in values:
    row[: rng.integers(1, t)] = 0
  return values


def mult(seed=0, lengths=(6, 6, 6)):
  """MulT: scores, ids of video, start and end."""
  rng = np.random.default_rng(seed)
  text, audio, vision = lengths
  return {
    split: {
      "text": padded_left(rng, n, text, 5),
      "audio": padded_left(rng, n, audio, 4).astype(np.float64),
      "vision": padded_left(rng, n, vision, 3),
      "labels": rng.uniform(-3, 3, (n, 1, 1)),
      "id": np.array([[f"{split}{i}", "1.5", "3"] for i in range(n)]),
    }
    for split, n in SIZES.items()
  }


def mult_iemocap(seed=0):
  """MulT's IEMOCAP: no and yes of four emotions, no ids."""
  content = mult(seed)
  rng = np.random.default_rng(seed)
  for part in content.values():
    del part["id"]
    yes = np.eye(4)[rng.integers(0, 4, len(part["labels"]))]
    part["labels"] = np.stack([1 - yes, yes], axis=-1)
  return content


def mmsa(seed=0, aligned=True):
  """MMSA: text by BERT's mask, sound and vision by their lengths."""
  rng = np.random.default_rng(seed)
  content = {}
  for split, n in SIZES.items():
    audio, vision = (6, 6) if aligned else (9, 12)
    mask = np.zeros((n, 6), np.float32)
    for row in mask:
      row[: rng.integers(2, 7)] = 1
    ids, segments = rng.integers(1, 99, (n, 6)), np.zeros((n, 6))
    content[split] = {
      "raw_text": np.array([f"i am happy {split} {i}" for i in range(n)]),
      "audio": padded_left(rng, n, audio, 4),
      "vision": padded_left(rng, n, vision, 3),
      "text": (rng.normal(size=(n, 6, 5)) + 5).astype(np.float32),
      "text_bert": np.stack([ids, mask, segments], axis=1),
      "id": [f"{split}{i // 2}$_${i % 2}" for i in range(n)],
      "annotations": ["Neutral"] * n,
      "regression_labels": rng.uniform(-3, 3, n).astype(np.float32),
      "classification_labels": rng.integers(0, 3, n).astype(np.float64),
    }
    if not aligned:
      for name, d in (("audio", 4), ("vision", 3)):
        t = content[split][name].shape[1]
        lengths = [int(x) for x in rng.integers(1, t + 1, n)]
        values = (rng.normal(size=(n, t, d)) + 5).astype(np.float32)
        for row, length in zip(values, lengths, strict=True):
          row[length:] = 0
        content[split] |= {name: values, f"{name}_lengths": lengths}
  return content


def misa(seed=0, n=4, width=1, words=True):
  """MISA: samples of unlike lengths."""
  rng = np.random.default_rng(seed)
  samples = []
  for i in range(n):
    t = int(rng.integers(2, 6))
    inputs = (
      rng.integers(0, 99, t),
      rng.normal(size=(t, 3)) + 5,
      rng.normal(size=(t, 4)) + 5,
    )
    if words:
      inputs += (["i", "am", "happy", "don't", "zzz"][:t],)
    label = rng.uniform(-3, 3, (1, width))
    label[:, 1:] = np.abs(label[:, 1:]) * ((np.arange(1, width) + i) % 2)
    samples.append((inputs, label, f"vid{i // 2}[{i % 2}]"))
  return samples


def dialogues(seed=0):
  """MMGCN's IEMOCAP: nine members by dialogue."""
  rng = np.random.default_rng(seed)
  names = ["Ses01F_impro01", "Ses02M_script01_1", "Ses05F_impro02"]
  counts = {name: int(rng.integers(2, 5)) for name in names}

  def by_dialogue(entry):
    return {
      name: [entry(name, i) for i in range(count)]
      for name, count in counts.items()
    }

  return (
    by_dialogue(lambda name, i: f"{name}_{'FM'[i % 2]}{i:03d}"),
    by_dialogue(lambda name, i: "FM"[i % 2]),
    by_dialogue(lambda name, i: int(rng.integers(0, 6))),
    by_dialogue(lambda name, i: rng.normal(size=5).astype(np.float32)),
    by_dialogue(lambda name, i: rng.normal(size=4).astype(np.float32)),
    by_dialogue(lambda name, i: rng.normal(size=3).astype(np.float32)),
    by_dialogue(lambda name, i: f"i am happy {i}"),
    set(names[:2]),
    set(names[2:]),
  )


def meld_dialogues(seed=0, visual=True):
  """MMGCN's MELD: ten members, numbers for names; nine without visual."""
  ids, _, _, *features, sentences, train, test = dialogues(seed)
  rng = np.random.default_rng(seed)
  number = {name: i for i, name in enumerate(ids)}

  def renamed(member):
    return {number[name]: rows for name, rows in member.items()}

  def drawn(most):
    return {
      number[name]: rng.integers(0, most, len(rows)).tolist()
      for name, rows in ids.items()
    }

  speakers = {
    key: np.eye(9)[rows].tolist() for key, rows in drawn(most=9).items()
  }
  return [
    {number[name]: list(range(len(rows))) for name, rows in ids.items()},
    speakers,
    drawn(most=7),
    *(renamed(member) for member in features[: 3 if visual else 2]),
    renamed(sentences),
    [number[name] for name in sorted(train)],
    [number[name] for name in sorted(test)],
    drawn(most=3),
  ]


MELD_WORDS = ("<pad>", "i", "am", "happy", "you")


def meld_data(seed=0):
  """MELD's data_emotion.p: one word of a text is in no index."""
  rng = np.random.default_rng(seed)
  names = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
  data = [
    {
      "y": names[int(rng.integers(0, 7))],
      "text": " ".join(rng.choice([*MELD_WORDS[1:], "zzz"], size=4)),
      "dialog": str(i // 2),
      "utterance": str(i % 2),
      "split": split,
      "num_words": 4,
    }
    for split, n in (("train", 5), ("val", 3), ("test", 4))
    for i in range(n)
  ]
  return [
    data,
    rng.normal(size=(5, 6)).astype(np.float32),
    {word: 3.0 for word in MELD_WORDS[1:]},
    {word: i for i, word in enumerate(MELD_WORDS)},
    50,
    {name: i for i, name in enumerate(names)},
  ]


def meld_features(seed=0, dim=4):
  """MELD's features: one utterance of training has none."""
  rng = np.random.default_rng(seed)
  return [
    {f"{i // 2}_{i % 2}": rng.normal(size=dim) for i in range(n)}
    for n in (4, 3, 4)
  ]


FAMILIES = {
  "MulT": mult,
  "MulT, not aligned": lambda: mult(lengths=(5, 7, 9)),
  "MulT, IEMOCAP": mult_iemocap,
  "MMSA": mmsa,
  "MMSA, not aligned": lambda: mmsa(aligned=False),
  "MISA": misa,
  "MISA, MOSEI": lambda: misa(width=7),
  "MISA, splits": lambda: {"train": misa(), "dev": misa(1), "test": misa(2)},
  "DialogueRNN": dialogues,
  "DialogueRNN, MELD": meld_dialogues,
  "MELD": meld_data,
}
