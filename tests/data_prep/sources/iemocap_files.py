"""Draws small folders in the layout of IEMOCAP's release."""

import numpy as np

CATEGORIES = {
  "neu": "Neutral",
  "hap": "Happiness",
  "sad": "Sadness",
  "ang": "Anger",
  "exc": "Excited",
  "fru": "Frustration",
  "sur": "Surprise",
  "fea": "Fear",
  "dis": "Disgust",
  "oth": "Other",
  "xxx": "Other",
}


def utterance(name, label="neu", text="I am happy.", **changes):
  """What is known of an utterance."""
  return {
    "id": name,
    "label": label,
    "text": text,
    "start": 1.0,
    "end": 2.5,
    "vad": (2.5, 3.0, 3.5),
    "agree": 2,
    **changes,
  }


def block(each):
  """The lines of an utterance in a file of evaluations."""
  vad = ", ".join(f"{value:.4f}" for value in each["vad"])
  head = (
    f"[{each['start']:.4f} - {each['end']:.4f}]\t{each['id']}"
    f"\t{each['label']}\t[{vad}]"
  )
  lines = [head]
  for rater in range(1, 4):
    chosen = CATEGORIES[each["label"]]
    if rater > each["agree"]:
      chosen = "Neutral" if chosen != "Neutral" else "Fear; Surprise"
    lines.append(f"C-E{rater}:\t{chosen};\t(a; comment)")
  letter = each["id"].rpartition("_")[2][0]
  # The actor is always of the label's opinion.
  lines.append(f"C-{letter}1:\t{CATEGORIES[each['label']]};\t()")
  lines.append("A-E1:\tval 3; act 2; dom  2;\t()")
  lines.append("A-E2:\tval 3; act 2; dom  ;\t()")
  lines.append(f"A-{letter}1:\tval 5; act 5; dom  5;\t()")
  return lines


def release(folder, utterances):
  """Writes a release of some utterances; returns its folder."""
  dialogues = {}
  for each in utterances:
    dialogues.setdefault(each["id"].rpartition("_")[0], []).append(each)
  for name, own in dialogues.items():
    dialog = folder / f"Session{int(name[3:5])}" / "dialog"
    evaluations, transcripts = (
      dialog / part for part in ("EmoEvaluation", "transcriptions")
    )
    for part in ("Attribute", "Categorical", "Self-evaluation"):
      (evaluations / part).mkdir(parents=True, exist_ok=True)
      (evaluations / part / f"{name}_e2.txt").write_text("not to be read")
    transcripts.mkdir(exist_ok=True)
    (evaluations / f"._{name}.txt").write_bytes(b"\0\5\26\7 of macOS")
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for each in own:
      lines += [*block(each), ""]
    (evaluations / f"{name}.txt").write_text("\n".join(lines) + "\n")
    lines = [
      f"{each['id']} [{each['start']:08.4f}-{each['end']:08.4f}]:"
      f" {each['text']}"
      for each in own
    ]
    lines[1:1] = [f"{name}_MXX0 [007.1000-007.4000]: Yeah.", "M: sorry."]
    (transcripts / f"{name}.txt").write_text("\n".join(lines) + "\n")
  return folder


def wdseg(folder, name, words):
  """Writes an alignment: words as (word, first frame, last frame)."""
  dialogue = name.rpartition("_")[0]
  path = folder / f"Session{int(name[3:5])}" / "sentences" / "ForcedAlignment"
  path = path / dialogue / f"{name}.wdseg"
  path.parent.mkdir(parents=True, exist_ok=True)
  lines = ["\t  SFrm  EFrm    SegAScr Word"]
  lines += [f"\t{a:6} {b:5}     -18346 {word}" for word, a, b in words]
  lines.append(" Total score:    -443534")
  path.write_text("\n".join(lines) + "\n")
  return path


def wav(folder, name, seconds, rng, rate=16000):
  """Writes a recording of noise that grows."""
  import soundfile

  path = folder / f"Session{int(name[3:5])}" / "sentences" / "wav"
  path = path / name.rpartition("_")[0] / f"{name}.wav"
  path.parent.mkdir(parents=True, exist_ok=True)
  count = int(seconds * rate)
  samples = rng.normal(size=count) * np.linspace(0.01, 0.2, count)
  soundfile.write(path, samples, rate)
  return path
