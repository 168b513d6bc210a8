"""Draws a corpus with a planted structure, in the shapes of the real ones.

Each emotion has a place in a space of three affective dimensions. Its word
vector is that place in the word-vector space, through one fixed map with
orthonormal columns; an utterance's affect is the mean place of its emotions
with some variation of its own. From there:

- lexical: a few of the words come from the neighbourhood of the emotion's word
  (now and then of another's), the rest mean nothing;
- acoustic, visual: the affect is shown with an error of the modality's own;
  every frame is a fixed linear map of what is shown, plus the speaker's offset,
  plus noise. The map of a modality has orthonormal columns times a gain.
  Acoustic frames come in words (`acoustic_word`), with silence (-1) between,
  which carries the speaker and noise alone.

So an emotion that was never trained on is recognisable from its word vector
through the planted maps; no modality is sufficient; and averaging over frames
helps. Labels follow the published class counts, some modalities are absent, and
some utterances unlabelled where the corpus has such.

Where a preset says so, annotators err: a share of the labels to train on is
that of another emotion, while everything else shows the true one. Splits named
validation and test are labelled with care.

Where that is asked for, raters place each utterance on scales: its affect with
an error of their own, from other draws, so that nothing else changes. Some do
not answer.

Each utterance is drawn from its own (seed, index): order and number of the
others do not matter.
"""

import functools

import numpy as np

from data_prep.corpus import corpus
from data_prep.sources import synthetic_presets
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# Words about an emotion, and words about nothing; ours.
_RELATED_WORDS = 24
_OTHER_WORDS = 200
# Ours: deviations of an utterance's affect, of words, speakers and frames.
_VARIATION = 0.2
_WORD_NOISE = 0.3
_SPEAKER = 0.3
_NOISE = 1.0
# Ours: the error of a rating, and how often there is none.
_RATING_NOISE = 0.1
_UNRATED = 0.05


class World:
  """Holds what all utterances of a seed share."""

  def __init__(
    self, preset: synthetic_presets.Preset, seed: int, rated: bool = False
  ) -> None:
    """Draws the vectors and maps of a seed; takes whether there are ratings."""
    self.rated = rated
    rng = np.random.default_rng([seed, 0])
    self.preset = preset
    self.seed = seed
    places = np.array(list(preset.places.values()))
    self.places = places / np.linalg.norm(places, axis=1, keepdims=True)
    dims = preset.dims
    # Word vectors of length sqrt(dim / 3), about as the words around them.
    scale = np.sqrt(dims["lexical"] / 3)
    self.to_words = scale * _orthonormal(rng, dims["lexical"])
    self.vectors = (self.places @ self.to_words.T).astype(np.float32)
    shape = (len(places), _RELATED_WORDS, dims["lexical"])
    self.related = self.vectors[:, None] + _WORD_NOISE * rng.normal(size=shape)
    self.other = 0.5 * rng.normal(size=(_OTHER_WORDS, dims["lexical"]))
    self.maps = {
      name: preset.gain
      * np.sqrt(dims[name] / 3)
      * _orthonormal(rng, dims[name])
      for name in ("acoustic", "visual")
    }

  def speaker(self, name: str, modality: str) -> np.ndarray:
    """Draws a speaker's offset in one modality, the same at every call."""
    key = [self.seed, 1, *f"{modality}/{name}".encode()]
    rng = np.random.default_rng(key)
    return _SPEAKER * rng.normal(size=self.preset.dims[modality])


def _orthonormal(rng: np.random.Generator, dim: int) -> np.ndarray:
  return np.linalg.qr(rng.normal(size=(dim, 3)))[0]


def build(
  preset_name: str, seed: int, num_examples: int, rated: bool = False
) -> corpus.Corpus:
  """Builds the synthetic corpus.

  Args:
    preset_name: A key of `synthetic_presets.PRESETS`.
    seed: The seed of the world and of every utterance.
    num_examples: 0 for the preset's own; split sizes go in proportion.
    rated: Whether utterances have ratings, too.
  """
  if preset_name not in synthetic_presets.PRESETS:
    raise UserError(
      f"unknown --preset={preset_name}, expected one of"
      f" {', '.join(synthetic_presets.PRESETS)}"
    )
  if num_examples < 0 or seed < 0:
    raise UserError(
      f"--num_examples={num_examples} and --seed={seed} must not be negative"
    )
  preset = synthetic_presets.PRESETS[preset_name]
  count = num_examples or preset.num_examples
  world = World(preset, seed, rated)
  bounds = _bounds(preset, count)

  make = functools.partial(utterance, world, bounds=bounds)

  return corpus.Corpus(
    name=f"synthetic_{preset_name}",
    source="synthetic",
    layout=f"planted structure in the shapes of preset {preset_name}",
    emotions=preset.emotions,
    label_type=preset.label_type,
    modalities={
      name: corpus.Modality(
        corpus.numbered(name, preset.dims[name]), corpus.NO_PADDING
      )
      for name in schema.MODALITIES
    },
    examples=lambda: map(make, range(count)),
    total=count,
    options={
      **{"preset": preset_name, "seed": seed, "num_examples": count},
      **({"rated": True} if rated else {}),
    },
    vectors=schema.EmotionVectors(
      preset.emotions, preset.emotions, world.vectors
    ),
    make=make,
    has_words=True,
    has_acoustic_word=True,
    ratings=tuple(
      corpus.Rating(name, low, high)
      for name, low, high, _ in (preset.ratings if rated else ())
    ),
  )


def _bounds(
  preset: synthetic_presets.Preset, count: int
) -> list[tuple[int, str]]:
  """Computes the index at which each split ends."""
  ends = np.cumsum(list(preset.sizes.values()))
  ends = np.round(ends * count / ends[-1]).astype(int)
  return list(zip(ends.tolist(), preset.sizes, strict=True))


def utterance(
  world: World, index: int, bounds: list[tuple[int, str]]
) -> corpus.Example:
  """Draws one utterance, from (seed, index) alone."""
  preset = world.preset
  rng = np.random.default_rng([world.seed, 2, index])
  split = next(name for end, name in bounds if index < end)
  session, speaker, dialogue = _speaker(preset, split, index, rng)
  labels = _labels(preset, split, rng)
  affect = _VARIATION * rng.normal(size=3)
  if labels.any():
    affect = affect + labels @ world.places / labels.sum()

  fewest, most = preset.words
  length = int(rng.integers(fewest, most + 1))
  words, lexical = _say(world, labels, length, rng)
  acoustic_word = _timing(preset, length, rng)
  voiced = acoustic_word >= 0
  streams = {
    "lexical": lexical,
    "acoustic": draw_frames(world, "acoustic", affect, speaker, voiced, rng),
    "visual": draw_frames(
      world, "visual", affect, speaker, np.ones(length, bool), rng
    ),
  }
  absent = {
    name for name, share in preset.absent.items() if rng.random() < share
  }
  if absent == set(streams):
    absent = set()
  for name in absent:
    del streams[name]
  if "lexical" in absent:
    # No lexical row for a frame to belong to.
    words, acoustic_word = [], np.full_like(acoustic_word, -1)
  if "acoustic" in absent:
    acoustic_word = acoustic_word[:0]
  share = preset.unlabelled / (preset.unlabelled + sum(preset.sizes.values()))
  if rng.random() < share:
    labels = None
  elif split not in ("validation", "test"):
    labels = _mistake(world, index, labels)
  return corpus.Example(
    id=f"utterance_{index:06d}",
    where=f"synthetic utterance {index}",
    streams={k: v.astype(np.float32) for k, v in streams.items()},
    labels=None if labels is None else labels.astype(np.float32),
    speaker=speaker,
    session=session,
    dialogue=dialogue,
    split=split,
    acoustic_word=acoustic_word,
    words=words,
    ratings=_rate(world, index, affect) if world.rated else None,
  )


def _speaker(
  preset: synthetic_presets.Preset,
  split: str,
  index: int,
  rng: np.random.Generator,
) -> tuple[str, str, str]:
  if preset.sessions:
    session = index % preset.sessions + 1
    speaker = f"Ses{session:02d}_{'FM'[int(rng.integers(2))]}"
    turn = index // preset.sessions
    return str(session), speaker, f"Ses{session:02d}_{turn // 20:03d}"
  # Speakers of one split only, as in CMU-MOSEI.
  return "", f"{split}_{int(rng.integers(50)):02d}", ""


def _labels(
  preset: synthetic_presets.Preset, split: str, rng: np.random.Generator
) -> np.ndarray:
  positives = np.array(preset.positives[split], float)
  if preset.label_type == "multi":
    return (rng.random(len(positives)) < positives / preset.sizes[split]) * 1.0
  chosen = rng.choice(len(positives), p=positives / positives.sum())
  return np.eye(len(positives))[chosen]


def _mistake(world: World, index: int, labels: np.ndarray) -> np.ndarray:
  """Replaces, now and then, the emotion by another, as annotators err."""
  rng = np.random.default_rng([world.seed, 3, index])
  if rng.random() >= world.preset.mislabelled:
    return labels
  others = np.flatnonzero(labels == 0)
  return np.eye(len(labels))[rng.choice(others)]


def _rate(world: World, index: int, affect: np.ndarray) -> np.ndarray:
  """Places an affect on the scales of a preset, as raters see it."""
  rng = np.random.default_rng([world.seed, 4, index])
  seen = np.clip(affect + _RATING_NOISE * rng.normal(size=3), -1, 1)
  given = rng.random(3) >= _UNRATED
  ratings = [
    (low + high) / 2 + (high - low) / 2 * seen[axis] if given[axis] else np.nan
    for _, low, high, axis in world.preset.ratings
  ]
  return np.array(ratings, np.float32)


def _say(
  world: World, labels: np.ndarray, length: int, rng: np.random.Generator
) -> tuple[list[str], np.ndarray]:
  """Draws words and vectors, a few of them about the emotions present."""
  preset, emotions = world.preset, world.preset.emotions
  present = np.flatnonzero(labels)
  words, rows = [], []
  for _ in range(length):
    if len(present) and rng.random() < preset.informative:
      emotion = rng.choice(present)
      if rng.random() < preset.misleading:
        emotion = rng.integers(len(emotions))
      which = rng.integers(_RELATED_WORDS)
      words.append(f"{emotions[emotion]}_{which}")
      rows.append(world.related[emotion, which])
    else:
      which = rng.integers(_OTHER_WORDS)
      words.append(f"word_{which:03d}")
      rows.append(world.other[which])
  return words, np.array(rows)


def _timing(
  preset: synthetic_presets.Preset, length: int, rng: np.random.Generator
) -> np.ndarray:
  """Draws the word of every acoustic frame, -1 for silence."""
  word = []
  for index in range(length):
    word += [index] * int(rng.integers(preset.frames[0], preset.frames[1] + 1))
    if rng.random() < preset.silence:
      word.append(-1)
  return np.array(word, np.int32)


def draw_frames(
  world: World,
  modality: str,
  affect: np.ndarray,
  speaker: str,
  voiced: np.ndarray,
  rng: np.random.Generator,
) -> np.ndarray:
  """Draws the frames of a modality; those that are not voiced are noise."""
  preset = world.preset
  dim = preset.dims[modality]
  shown = affect + preset.expression[modality] * rng.normal(size=3)
  frames = _NOISE * rng.normal(size=(len(voiced), dim))
  frames += world.speaker(speaker, modality)
  frames[voiced] += shown @ world.maps[modality].T
  return frames
