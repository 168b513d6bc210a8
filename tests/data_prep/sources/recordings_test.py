"""From recordings to predictions, with sounds that are made here."""

import csv
import json

import numpy as np
import pytest
import rich.console
import soundfile
from absl import flags

import mmer_jax
from configs import quickstart
from data_prep.features import text_features
from data_prep.sources import flags as source_flags
from data_prep.sources import label_names, recordings, registry
from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards
from mmer_jax.evaluation import train_and_evaluate
from mmer_jax.serving import export, predictions

RATE = 16000
TEXTS = {"happy": "i am happy", "sad": "i do am sad"}
LIST = "recordings.csv"


def speech(seconds, pitch, seed):
  """Voiced syllables: pulses at a drifting pitch through three formants."""
  rng = np.random.default_rng(seed)
  time = np.arange(int(seconds * RATE)) / RATE
  drift = pitch * (
    1 + 0.08 * np.sin(2 * np.pi * 1.3 * time + rng.uniform(0, 6))
  )
  phase = np.cumsum(drift) / RATE
  sound = np.diff(np.floor(phase), prepend=0) + 0.01 * rng.normal(
    size=len(time)
  )
  for formant, width in ((650, 80), (1200, 110), (2500, 160)):
    grow = np.exp(-np.pi * width / RATE)
    response = grow ** np.arange(400) * np.cos(
      2 * np.pi * formant / RATE * np.arange(400)
    )
    sound = np.convolve(sound, response)[: len(time)]
  syllables = np.clip(np.sin(2 * np.pi * 3.5 * time), 0.05, None)
  sound = sound * syllables
  return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.fixture
def listed(tmp_path):
  """Writes a list and its recordings; more columns by name."""

  def write(sounds, rate=RATE, header="wav,text,speaker,label", lines=None):
    for name, sound in sounds.items():
      soundfile.write(tmp_path / name, sound, rate, subtype="FLOAT")
    lines = lines or [f"{name},i am,,happy" for name in sounds]
    (tmp_path / LIST).write_text("\n".join([header, *lines]))
    return tmp_path / LIST

  return write


def build(path, word_vectors=None, **changes):
  return recordings.build_corpus(
    path,
    **{
      "acoustic": "compare2013",
      "choice": text_features.Choice(word_vectors),
      **changes,
    },
  )


@pytest.mark.long
def test_recordings_become_predictions(listed, word_vectors, convert, tmp_path):
  names = [("happy", "sad")[number % 2] for number in range(10)]
  path = listed(
    {
      f"{number}.wav": speech(0.4, {"happy": 240, "sad": 110}[name], number)
      for number, name in enumerate(names)
    },
    lines=[
      f"{number}.wav,{TEXTS[name]},s{number},{name}"
      for number, name in enumerate(names)
    ],
  )
  out = tmp_path / "shards"
  done = convert(
    "--source=recordings",
    f"--input={path}",
    f"--word_vectors={word_vectors}",
    "--file_format=array_record",
    f"--output={out}",
  )
  assert done.returncode == 0, done.stderr
  manifest = manifest_lib.load_manifest(out)
  acoustic = manifest["modalities"]["acoustic"]
  assert acoustic["dim"] == 1582 and acoustic["max_length"] == 1
  assert acoustic["columns"][0] == "pcm_loudness_sma_maxPos"
  assert manifest["converter"]["options"]["rate_hz"] == RATE
  assert manifest["counts"]["by_emotion"] == {"happy": 5, "sad": 5}
  examples = {e["id"]: e for _, e in shards.read_examples(out)}
  pitch = acoustic["columns"].index("F0final_sma_percentile99.0")
  for number, name in enumerate(names):
    hz = examples[f"{number}.wav"]["acoustic"][0, pitch]
    assert (150 < hz < 300) == (name == "happy"), (number, hz)

  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.data.dir = str(out)
    config.data.modalities = ("lexical", "acoustic")
    config.protocol.split = "random"
    config.protocol.folds = ()
    config.protocol.allow_speaker_overlap = True
    config.model.hidden.lexical = 3
    config.model.layers = 1
  train_and_evaluate.train_and_evaluate(
    config, tmp_path / "run", console=rich.console.Console(quiet=True)
  )
  count = predictions.predict_file(
    mmer_jax.load(tmp_path / "run"), out, tmp_path / "out.jsonl", explain=True
  )
  rows = [
    json.loads(line)
    for line in (tmp_path / "out.jsonl").read_text().splitlines()
  ]
  assert count == len(rows) == 10
  for row in rows:
    np.testing.assert_allclose(sum(row["probs"].values()), 1, rtol=1e-5)
    name = names[int(row["id"].removesuffix(".wav"))]
    assert row["explain"]["words"] == TEXTS[name].split()
  check_texts_and_recordings(tmp_path, path, examples)


def check_texts_and_recordings(folder, path, examples):
  """A workdir, and an export that holds vectors, predict from the list."""
  ids = list(examples)
  streams = {
    modality: [examples[name][modality] for name in ids]
    for modality in ("lexical", "acoustic")
  }
  trained = mmer_jax.load(folder / "run")
  expected = trained.predict(streams)
  number = ids.index("1.wav")
  text, wav = TEXTS["sad"], path.parent / "1.wav"
  found = trained.predict(text=text, audio=wav)
  np.testing.assert_allclose(found.probs, expected.probs[number], atol=1e-6)
  predictions.predict_file(trained, path, folder / "listed.csv")
  with (folder / "listed.csv").open(newline="") as file:
    rows = {row["id"]: row for row in csv.DictReader(file)}
  for name, probs in zip(ids, expected.probs, strict=True):
    given = [float(rows[name][f"prob:{each}"]) for each in trained.emotions]
    np.testing.assert_allclose(given, probs, atol=1e-6)

  spec = export.export(
    folder / "run", folder / "model", platforms=["cpu"], ship_word_vectors=True
  )
  assert spec["features_from"]["sound"]["rate_hz"] == RATE
  exported = mmer_jax.load(folder / "model")
  alone = exported.predict(text=text, audio=wav)
  np.testing.assert_allclose(alone.probs, found.probs, atol=1e-6)
  page = (folder / "model" / "README.md").read_text()
  assert "`word_vectors.txt` holds the vectors of the words" in page
  assert "set `is10`, of recordings of 16000 Hz" in page
  export.refresh(folder / "model")
  again = mmer_jax.load(folder / "model").predict(text=text)
  np.testing.assert_allclose(
    again.probs, exported.predict(text=text).probs, atol=1e-6
  )
  shipped = folder / "model" / "word_vectors.txt"
  shipped.write_text(shipped.read_text().replace("1", "2", 1))
  with pytest.raises(errors.UserError, match="word_vectors.txt is not the fi"):
    mmer_jax.load(folder / "model")


def test_frames_and_their_deltas_stand_side_by_side(listed, word_vectors):
  path = listed(
    {
      "mono.wav": speech(0.5, 120, 0),
      "stereo.wav": np.stack([speech(0.5, 120, 0)] * 2, axis=1),
    },
    header="wav,text",
    lines=["mono.wav,I don't", "stereo.wav,"],
  )
  corpus = build(path, word_vectors, emotions=("happy", "sad"))
  one, two = corpus.examples()
  columns = corpus.modalities["acoustic"].columns
  assert len(columns) == one.streams["acoustic"].shape[1] == 130
  assert 40 <= len(one.streams["acoustic"]) <= 50
  # A channel twice is the same sound.
  np.testing.assert_allclose(
    one.streams["acoustic"], two.streams["acoustic"], rtol=1e-4, atol=1e-4
  )
  assert one.words == ["i", "do", "n't"] and two.words == []
  assert one.labels is None and corpus.emotions == ("happy", "sad")
  assert one.id == "mono.wav" and list(corpus.modalities)[0] == "lexical"
  # Frame by frame a delta is the slope of its descriptor (2 frames each way).
  energy = one.streams["acoustic"][:, columns.index("pcm_RMSenergy_sma")]
  delta = one.streams["acoustic"][:, columns.index("pcm_RMSenergy_sma_de")]
  slope = (
    sum(
      k
      * (
        energy[2 + k : len(energy) - 2 + k]
        - energy[2 - k : len(energy) - 2 - k]
      )
      for k in (1, 2)
    )
    / 10
  )
  np.testing.assert_allclose(delta[2:-2], slope, atol=1e-5)
  # A second pass yields the same.
  again = next(iter(corpus.examples()))
  np.testing.assert_array_equal(
    again.streams["acoustic"], one.streams["acoustic"]
  )


@pytest.mark.parametrize(
  "header, line, match",
  [
    ("wav,label", "a.wav,happy", "no column 'text'; it has wav, label"),
    ("text,label", "i am,happy", "no column 'wav'"),
    ("wav,text,label", "b.wav,i am,happy", "line 2: .*b.wav is not a file"),
    ("wav,text,label", ",i am,happy", "line 2: wav is empty"),
    ("wav,text", "a.wav,i am", "no label, so that nothing names the emotions"),
  ],
)
def test_a_list_that_is_not_one_is_named(
  listed, word_vectors, header, line, match
):
  path = listed({"a.wav": speech(0.3, 120, 0)}, header=header, lines=[line])
  with pytest.raises(errors.UserError, match=match):
    build(path, word_vectors)


def test_without_word_vectors_a_list_needs_no_text(listed):
  path = listed(
    {"a.wav": speech(0.3, 120, 0)}, header="wav,label", lines=["a.wav,happy"]
  )
  corpus = build(path, acoustic="egemaps")
  assert list(corpus.modalities) == ["acoustic"] and not corpus.has_words
  (example,) = corpus.examples()
  assert example.words is None and example.streams.keys() == {"acoustic"}


def test_labels_are_renamed_and_some_mean_none(listed):
  labels = ["ang", "hap", "exc", "xxx", "", "xxx"]
  names = [f"{row}.wav" for row in range(len(labels))]
  path = listed(
    dict.fromkeys(names, speech(0.3, 120, 0)),
    header="wav,speaker,label",
    lines=[
      f"{name},s{row % 2},{label}"
      for row, (name, label) in enumerate(zip(names, labels, strict=True))
    ],
  )
  renamed = label_names.read(["hap=happy", "exc = happy", "ang=angry"], ["xxx"])
  corpus = build(path, acoustic="egemaps", names=renamed)
  assert corpus.emotions == ("angry", "happy")
  read = [
    None if e.labels is None else corpus.emotions[int(e.labels.argmax())]
    for e in corpus.examples()
  ]
  assert read == ["angry", "happy", "happy", None, None, None]
  assert corpus.tally == {"unlabelled, their label is 'xxx'": 2}
  with pytest.raises(
    errors.UserError,
    match="--label_map .*'anger', .* there are ang, .*mean 'ang",
  ):
    build(path, names=label_names.read(["anger=angry"], []))
  with pytest.raises(
    errors.UserError, match="--unlabelled names the label 'xx'"
  ):
    build(path, names=label_names.read([], ["xx"]))
  with pytest.raises(errors.UserError, match="'xxx' is not one of --emotions"):
    build(
      path, names=renamed._replace(unlabelled=()), emotions=("happy", "angry")
    )


def test_columns_are_found_by_usual_names_or_named(listed, word_vectors):
  header = "path,Transcript,actor,emotion,set,mood"
  sounds = {"a.wav": speech(0.3, 120, 0)}
  path = listed(sounds, header=header, lines=["a.wav,i am,s1,happy,dev,bad"])
  corpus = build(path, word_vectors, acoustic="egemaps")
  (example,) = corpus.examples()
  assert example.id == "a.wav" and example.speaker == "s1"
  assert example.split == "validation" and example.words == ["i", "am"]
  assert corpus.emotions == ("happy",) and corpus.notes == (
    "read by the columns' names: wav from 'path', label from 'emotion', text"
    " from 'Transcript', speaker from 'actor', split from 'set';"
    " --ROLE_column=NAME names another",
    "column 'mood' is not read",
  )
  columns = {"label": "mood", "speaker": "", "split": "", "id": "actor"}
  corpus = build(path, word_vectors, acoustic="egemaps", columns=columns)
  (example,) = corpus.examples()
  assert corpus.emotions == ("bad",) and example.id == "s1"
  assert example.speaker == example.split == ""
  assert "column 'emotion' is not read" in corpus.notes
  with pytest.raises(
    errors.UserError, match="no column 'feeling'; it has path"
  ):
    build(path, columns={"label": "feeling"})
  with pytest.raises(
    errors.UserError, match="no column 'wav'.*--wav_column=NA"
  ):
    build(path, columns={"wav": ""})
  # Rows of .jsonl say themselves what they have.
  lines = ['{"wav": "a.wav", "label": "sad", "x": 1}', '{"wav": "a.wav"}']
  rows = path.with_suffix(".jsonl")
  rows.write_text("\n".join(lines))
  corpus = build(rows, acoustic="egemaps")
  assert [e.labels is None for e in corpus.examples()] == [False, True]
  assert corpus.notes == ("column 'x' is not read",)
  with pytest.raises(errors.UserError, match="line 1: no column 'file'"):
    build(rows, columns={"wav": "file"})


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--ratings=a.txt"], "does nothing without --recipe=msp_improv"),
    (["--recipe=emodb", "--text_column=a"], "--text_column does nothing with"),
    (["--label_column=a,b"], "names 2 columns, expected one"),
  ],
)
def test_flags_that_do_not_go_together_are_refused(arguments, message):
  values = flags.FlagValues()
  source_flags.define(values)
  start = ["convert", "--source=recordings", "--input=.", "--word_vectors="]
  values([*start, *arguments])
  registry.refuse_foreign(values)
  with pytest.raises(errors.UserError, match=message):
    registry.build(values)


@pytest.mark.parametrize(
  ("label_map", "unlabelled", "message"),
  [
    (["ang"], [], "has 'ang', expected LABEL=EMOTION"),
    (["ang="], [], "has 'ang=', expected LABEL=EMOTION; --unlabelled=LABEL"),
    (["a=b", "a=c"], [], "name the label 'a' twice"),
    (["a=b"], ["a"], "name the label 'a' twice"),
  ],
)
def test_a_label_map_that_is_none_is_named(label_map, unlabelled, message):
  with pytest.raises(errors.UserError, match=message):
    label_names.read(label_map, unlabelled)


def test_recordings_that_are_none_are_named(listed):
  good = speech(0.3, 120, 0)
  broken = good.copy()
  broken[100] = np.nan
  for sound, match in (
    (good[:0], "b.wav is empty"),
    (broken, "b.wav holds samples that are not finite"),
    (good[:800], "lasts 50 ms, expected 100 ms"),
  ):
    path = listed({"a.wav": good, "b.wav": sound})
    with pytest.raises(errors.UserError, match=f"line 3: .*{match}"):
      list(build(path).examples())
  (path.parent / "b.wav").write_bytes(b"RIFF of something else")
  with pytest.raises(errors.UserError, match="cannot be read as sound"):
    list(build(path).examples())
  soundfile.write(path.parent / "b.wav", good, 8000)
  with pytest.raises(errors.UserError, match="has 8000 Hz, .* has 16000 Hz"):
    list(build(path).examples())
  with pytest.raises(
    errors.UserError, match="'happy' is not one of --emotions"
  ):
    build(path, emotions=("sad",))


def test_splits_sessions_and_dialogues_are_the_lists_own(listed):
  path = listed(
    {f"{name}.wav": speech(0.3, 120, 0) for name in "abc"},
    header="wav,text,split,session,dialogue,label,mood",
    lines=[
      "a.wav,i am,train,1,d1,happy,good",
      "b.wav,i am,dev,1,d2,sad,bad",
      "c.wav,i am,,2,d3,,",
    ],
  )
  corpus = build(path, acoustic="is10")
  read = [(e.split, e.session, e.dialogue) for e in corpus.examples()]
  assert read == [
    ("train", "1", "d1"),
    ("validation", "1", "d2"),
    ("", "2", "d3"),
  ]
  assert corpus.notes == ("column 'mood' is not read",)
  folder = path.parent
  with pytest.raises(
    errors.UserError, match=r"no list .*--recipe=ravdess\|crem"
  ):
    build(folder)
  assert corpus.modalities["acoustic"].frame_rate_hz is None
  assert build(path).modalities["acoustic"].frame_rate_hz == 100
  path.write_text(path.read_text().replace("train", "fold1"))
  with pytest.raises(errors.UserError, match="line 2: split 'fold1', expected"):
    build(path)
