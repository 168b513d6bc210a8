"""Small drawn files in the layouts of corpora that nobody may hand on."""

import csv
import gzip
import pathlib
from collections.abc import Sequence

import h5py
import numpy as np
import soundfile

from tests.data_prep.sources import (
  ami_files,
  csd_files,
  drawn_pickles,
  iemocap_files,
)
from tests.end_to_end import import_torch_test

WORDS = ("so", "you", "know", "what", "we", "did", "today", "right", "well")
EMOTION_WORDS = (
  *("neutral", "happy", "happiness", "sad", "sadness", "angry", "anger"),
  *("exciting", "frustrating", "surprising", "fear", "disgust", "joy"),
  *("surprise", "amazed"),
)
VECTOR_DIM = 25
IEMOCAP_LABELS = ("neu", "hap", "sad", "ang", "exc", "fru", "sur", "xxx")
MELD_LABELS = (
  *("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
)


def write_all(folder: pathlib.Path) -> None:
  """Writes every file that the commands of the documents name."""
  rng = np.random.default_rng(0)
  vectors = word_vectors(folder / "glove.twitter.27B.25d.txt", rng)
  iemocap(folder / "iemocap_utterances.npz", rng)
  meld(folder / "MELD" / "data" / "MELD", rng)
  ami(folder / "ami_turns.csv.gz", rng)
  iemocap_release(folder / "IEMOCAP_full_release", rng)
  ami_annotations(folder / "ami_public_manual_1.6.2", rng)
  cmu(folder / "cmu-mosei", rng)
  csd(folder, rng)
  word_aligned(folder / "word_aligned.npz", rng)
  recordings(folder, rng)
  meld_media(folder / "MELD.Raw" / "train" / "train_splits", rng)
  emodb(folder / "EMO-DB" / "wav", rng)
  openface(folder / "openface.csv", rng)
  arrays(folder, rng)
  pickles(folder)
  state_dict(folder / "model.npz", vectors)


def sentence(rng: np.random.Generator) -> str:
  return " ".join(rng.choice(WORDS, size=rng.integers(4, 8)))


def word_vectors(
  path: pathlib.Path, rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """GloVe's text format; returns what a reader of the file gets."""
  vectors = {
    word: rng.normal(size=VECTOR_DIM).round(4).astype(np.float32)
    for word in (*WORDS, *EMOTION_WORDS)
  }
  lines = [
    " ".join([word, *(f"{each:.4f}" for each in vector)])
    for word, vector in vectors.items()
  ]
  path.write_text("\n".join(lines) + "\n", encoding="utf-8")
  return vectors


def iemocap(path: pathlib.Path, rng: np.random.Generator) -> None:
  """Five sessions of two speakers, all labels."""
  rows = [
    (f"Ses0{session}{gender}_impro01_{turn:03}", session, gender, turn)
    for session in range(1, 6)
    for gender in "FM"
    for turn in range(16)
  ]
  np.savez(
    path,
    utt_id=np.array([row[0] for row in rows]),
    speaker=np.array([f"Ses0{row[1]}{row[2]}" for row in rows]),
    session=np.array([f"Ses0{row[1]}" for row in rows]),
    dialog_id=np.array([f"Ses0{row[1]}_impro01" for row in rows]),
    emotion=np.array([IEMOCAP_LABELS[row[3] % 8] for row in rows]),
    text=np.array([sentence(rng) for _ in rows]),
    audio_egemaps47=rng.normal(size=(len(rows), 47)).astype(np.float32),
    vad=np.array([(turn % 5 + 1, 5 - turn % 5, 3) for *_, turn in rows]),
  )


def iemocap_release(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """Two sessions of two speakers, with sound and aligned words."""
  names = [
    f"Ses0{session}F_impro01_{letter}{turn:03}"
    for session in (1, 2)
    for letter in "FM"
    for turn in range(len(IEMOCAP_LABELS))
  ]
  iemocap_files.release(
    folder,
    [
      iemocap_files.utterance(name, IEMOCAP_LABELS[number % 8], "so what.")
      for number, name in enumerate(names)
    ],
  )
  for name in names:
    iemocap_files.wdseg(folder, name, [("SO(2)", 2, 9), ("WHAT", 10, 24)])
    iemocap_files.wav(folder, name, 0.3, rng)


def ami_annotations(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """A meeting of two people."""
  people = {"A": ("MEE006", "0"), "B": ("FEE005", "1")}
  ami_files.meetings(folder, {"ES2002a": people})
  for agent in people:
    words = [
      (word, start, start + 0.5)
      for start, word in enumerate(rng.choice(WORDS, size=60).tolist())
    ]
    ami_files.words(folder, f"ES2002a.{agent}", *words)
    ami_files.segments(folder, f"ES2002a.{agent}", (0, 60, 0, 59))


def csd(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """Twelve recordings of CMU-MOSEI, three segments each, and their folds."""
  names = [f"video_{number}" for number in range(12)]
  entries = {
    "TimestampedWords": [csd_files.words_of("sp", *WORDS) for _ in names],
    "COVAREP": [csd_files.frames_of(50, 74) for _ in names],
    "VisualFacet42": [csd_files.frames_of(50, 35) for _ in names],
    "Labels": [
      (
        np.column_stack([np.zeros(3), rng.integers(0, 3, size=(3, 6))]),
        [[0.0, 2.0], [2.0, 3.5], [3.5, 5.0]],
      )
      for _ in names
    ],
  }
  (folder / "CMU_MOSEI").mkdir()
  for key, values in entries.items():
    csd_files.write_csd(
      folder / "CMU_MOSEI" / f"CMU_MOSEI_{key}.csd",
      key,
      dict(zip(names, values, strict=True)),
    )
  (folder / "cmu_mosei_std_folds.py").write_text(
    f"standard_train_fold={names[:6]}\nstandard_valid_fold={names[6:9]}\n"
    f"standard_test_fold={names[9:]}\n"
  )


def meld(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """The three official files of texts and labels."""
  folder.mkdir(parents=True)
  for name in ("train", "dev", "test"):
    with (folder / f"{name}_sent_emo.csv").open("w", encoding="utf-8") as file:
      rows = csv.writer(file)
      rows.writerow(
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"
        ",Season,Episode,StartTime,EndTime".split(",")
      )
      for row in range(21):
        label = MELD_LABELS[row % len(MELD_LABELS)]
        rows.writerow(
          [row, sentence(rng), "Joey", label, "neutral", row // 7, row % 7]
          + [1, 1, "00:00:01,000", "00:00:02,000"]
        )


def ami(path: pathlib.Path, rng: np.random.Generator) -> None:
  """Transcribed turns without labels."""
  with gzip.open(path, "wt", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["meeting", "turn", "speaker", "text"])
    for row in range(40):
      rows.writerow(["ES2002a", row, "Marketing", sentence(rng)])


def cmu(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """CMU's processed HDF5 files of three splits and six emotions."""
  folder.mkdir()
  dims = {"text_{}_emb": VECTOR_DIM, "audio_{}": 74, "video_{}": 35}
  for split, size in (("train", 24), ("valid", 12), ("test", 12)):
    for name, dim in dims.items():
      with h5py.File(folder / f"{name.format(split)}.h5", "w") as file:
        file["d1"] = rng.normal(size=(size, 4, dim))
    with h5py.File(folder / f"ey_{split}.h5", "w") as file:
      file["d1"] = rng.integers(0, 2, size=(size, 6))


def word_aligned(path: pathlib.Path, rng: np.random.Generator) -> None:
  """Frames inside words: 12 utterances of three words of two frames."""
  np.savez(
    path,
    audio=rng.normal(size=(12, 5, 2, 3)).astype(np.float32),
    word_embeddings=rng.normal(size=(12, VECTOR_DIM, 3)).astype(np.float32),
    sentence_len=np.full(12, 3),
    label=np.arange(12) % 2,
    label_names=np.array(["happy", "sad"]),
    name=np.array([f"utterance_{row}" for row in range(12)]),
  )


def recordings(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """Eight tones of four speakers and a list of them."""
  time = np.arange(8000) / 16000
  lines = ["wav,text,speaker,label"]
  kinds = (("happy", 240), ("sad", 110)) * 4
  for row, (label, pitch) in enumerate(kinds):
    sound = np.sin(2 * np.pi * pitch * time) + 0.01 * rng.normal(size=8000)
    soundfile.write(folder / f"{row}.wav", 0.5 * sound, 16000)
    lines.append(f"{row}.wav,{sentence(rng)},s{row // 2},{label}")
  (folder / "recordings.csv").write_text("\n".join(lines) + "\n")


def pickles(folder: pathlib.Path) -> None:
  """Writes a pickle of MulT, and MISA's lists of MOSEI."""
  drawn_pickles.save(folder, drawn_pickles.mult(), "mosei_senti_data.pkl")
  lists = folder / "MISA" / "datasets" / "MOSEI"
  lists.mkdir(parents=True)
  for seed, name in enumerate(("train", "dev", "test")):
    samples = drawn_pickles.misa(seed, width=7)
    drawn_pickles.save(lists, samples, f"{name}.pkl")


def arrays(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """Arrays of two modalities for each utterance, and a table of labels."""
  lines = ["id,transcript,emotion,speaker"]
  (folder / "lld").mkdir()
  with h5py.File(folder / "faces.h5", "w") as file:
    for row in range(8):
      label = ("happy", "sad")[row % 2]
      lines.append(f"u{row},{sentence(rng)},{label},s{row % 4}")
      np.save(folder / "lld" / f"u{row}.npy", rng.normal(size=(row + 1, 5)))
      file[f"u{row}/feat"] = rng.normal(size=(row + 2, 3))
  (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def meld_media(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """The sound of some of MELD's utterances, as .wav."""
  folder.mkdir(parents=True)
  for row in range(4):
    sound = 0.1 * rng.normal(size=3200)
    soundfile.write(folder / f"dia0_utt{row}.wav", sound, 16000)


def emodb(folder: pathlib.Path, rng: np.random.Generator) -> None:
  """Noise under names of EMO-DB."""
  folder.mkdir(parents=True)
  for name in ("03a01Fa", "03a01Ta", "08b10Wa", "08b10Na"):
    sound = 0.1 * rng.normal(size=3200)
    soundfile.write(folder / f"{name}.wav", sound, 16000)


def openface(path: pathlib.Path, rng: np.random.Generator) -> None:
  """Ten frames of two action units."""
  lines = ["frame, face_id, timestamp, confidence, success, AU01_r, AU12_r"]
  for row, (first, second) in enumerate(rng.uniform(0, 5, size=(10, 2))):
    lines.append(f"{row}, 0, {row / 30:.3f}, 0.9, 1, {first:.2f}, {second:.2f}")
  path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def state_dict(path: pathlib.Path, vectors: dict[str, np.ndarray]) -> None:
  """A published PyTorch MTEE of six emotions, for the shapes of `cmu`."""
  emotions = ("anger", "disgust", "fear", "happy", "sad", "surprise")
  dims = {"lexical": VECTOR_DIM, "acoustic": 74, "visual": 35}
  stacked = np.stack([vectors[emotion] for emotion in emotions])
  np.savez(path, **import_torch_test.state_dict(stacked, dims=dims))


def encoder(
  folder: pathlib.Path, pieces: Sequence[str] = WORDS, max_length: int = 32
) -> None:
  """Saves a random BERT of two layers, as transformers does."""
  import torch
  import transformers

  folder.mkdir()
  marks = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
  vocabulary = folder / "vocab.txt"
  vocabulary.write_text("\n".join((*marks, *pieces)) + "\n")
  tokeniser = transformers.BertTokenizerFast(
    vocab=str(vocabulary), model_max_length=max_length
  )
  torch.manual_seed(0)
  model = transformers.BertModel(
    transformers.BertConfig(
      vocab_size=len(marks) + len(pieces),
      hidden_size=16,
      num_hidden_layers=2,
      num_attention_heads=2,
      intermediate_size=24,
      max_position_embeddings=max_length,
      initializer_range=0.5,
    )
  )
  vocabulary.unlink()
  tokeniser.save_pretrained(folder)
  model.save_pretrained(folder)
