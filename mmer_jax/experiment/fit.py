"""Settles what a config leaves open by the shards that it is given.

A config of one's own corpus (`configs/own/`) cannot know the modalities, the
emotions or the speakers: it says `auto`, or -1 for the batch size, and this
fills in values once the command line has named the shards. What is written to
`config.json` is settled, so that whatever reads a workdir reads values. A key
that the command line sets is left as it is.
"""

import pathlib
from typing import NamedTuple

import ml_collections

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import partition, ratings, schema, split_file
from mmer_jax.experiment import fit_protocol, fit_system

AUTO = "auto"
# Rows of a batch: about a thirtieth of the corpus, a power of two.
_BATCH_SIZES = (8, 16, 32, 64, 128)
_BATCHES = 32


class Facts(NamedTuple):
  """Holds what a config is settled by.

  Attributes:
    shapes: What systems are settled by.
    absent: Modalities of the shards that no utterance has.
    emotions: Those that any labelled utterance has, in the shards' order; of a
      regression the ratings that are learnt.
    unused: Emotions of the shards that none has.
    unnamed: Emotion to its utterances, of those that have no word vector.
    decision: `softmax`, `binary` or `regression`.
    unrated: Utterances that lack a rating of those that are learnt.
    rows: The utterances; None where there are no shards.
  """

  shapes: fit_system.Shapes
  absent: tuple[str, ...]
  emotions: tuple[str, ...]
  unused: tuple[str, ...]
  unnamed: dict[str, int]
  decision: str
  unrated: int
  rows: partition.Rows | None


def fit_to_corpus(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Settles a config by its shards, in place.

  Args:
    config: A config of `configs/`, with overrides; without `config.data.dir`
      the shapes of `config.benchmark` stand in for shards.

  Returns:
    Sentences for people: what was settled, and what it costs. None where the
    config leaves nothing open.

  Raises:
    UserError: The shards cannot be read, or nothing fits them.
  """
  with config.unlocked():
    notes = _use_split_file(config)
    if not is_open(config):
      return notes
    facts = read_facts(config) if config.data.dir else _made_up(config)
    about_emotions = _fit_emotions(config, facts)
    if about_emotions:
      # Other rows are labelled now.
      facts = read_facts(config)
    notes += _fit_data(config, facts) + about_emotions
    if config.protocol.split == AUTO:
      notes += fit_protocol.fit(config.protocol, facts.rows, config.data.dir)
    notes += fit_system.fit(config, facts.shapes)
    if config.training.select == AUTO:
      rated = config.protocol.decision == "regression"
      config.training.select = "mae" if rated else "unweighted_accuracy"
    if config.training.batch_size == -1:
      config.training.batch_size = _batch_size(facts.rows)
  return notes


def is_open(config: ml_collections.ConfigDict) -> bool:
  """Tells whether a config leaves anything to the corpus."""
  return (
    AUTO
    in (
      config.protocol.split,
      config.protocol.decision,
      config.training.select,
    )
    or AUTO in config.data.modalities
    or config.training.batch_size == -1
    or fit_system.is_open(config)
  )


def _use_split_file(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Makes a split file the protocol, with the digest of what it holds."""
  protocol = config.protocol
  if not protocol.split_file:
    return ()
  before, protocol.split = protocol.split, "file"
  if not protocol.split_digest:
    path = pathlib.Path(protocol.split_file)
    protocol.split_digest = split_file.digest(path)
  if before in (AUTO, "file"):
    return ()
  return (
    f"config.protocol.split_file is used in the place of protocol {before}",
  )


def read_facts(config: ml_collections.ConfigDict) -> Facts:
  """Reads the shards of a config once, without keeping features."""
  folder = pathlib.Path(config.data.dir)
  manifest = manifest_lib.load_manifest(folder)
  decision = config.protocol.decision
  if decision == AUTO:
    single = manifest["label_type"] == "single"
    decision = "softmax" if single else "binary"
    if not manifest["counts"]["labelled"] and manifest.get("ratings"):
      decision = "regression"
  regression = decision == "regression"
  present = manifest["counts"]["present"]
  known = [name for name in schema.MODALITIES if name in present]
  corpus = corpus_lib.load_corpus(
    config.data.dir,
    modalities=known,
    emotions=() if regression else config.data.emotions,
    max_length=dict.fromkeys(known, 0),
    resident=False,
    decision=decision,
    without_emotion=config.data.without_emotion,
  )
  rows = partition.Rows.from_corpus(corpus)
  counts = (corpus.labels[corpus.labelled] > 0).sum(axis=0).tolist()
  pairs = list(zip(corpus.emotions, counts, strict=True))
  if regression:
    corpus = ratings.as_targets(corpus, config.data.ratings)
    rows = rows._replace(
      labelled=corpus.labelled, labels=ratings.levels(corpus)
    )
    pairs = [(name, len(corpus.labels)) for name in corpus.emotions]
  features = (folder / manifest_lib.FEATURES).read_text(encoding="utf-8")
  return Facts(
    fit_system.Shapes(
      where=config.data.dir,
      frames={name: corpus.shapes[name][0] for name in known if present[name]},
      vector_dim=corpus.vectors.shape[1],
      aligned='"acoustic_word"' in features,
    ),
    absent=tuple(name for name in known if not present[name]),
    emotions=tuple(name for name, count in pairs if count),
    unused=tuple(name for name, count in pairs if not count),
    unnamed={}
    if regression
    else {
      name: count
      for (name, count), vector in zip(pairs, corpus.vectors, strict=True)
      if count and not vector.any()
    },
    decision=decision,
    unrated=int((~corpus.labelled).sum()) if regression else 0,
    rows=rows,
  )


def _made_up(config: ml_collections.ConfigDict) -> Facts:
  """Takes the shapes of `config.benchmark` for those of a corpus."""
  lengths = config.data.max_length
  return Facts(
    fit_system.Shapes(
      where="config.benchmark",
      frames={name: lengths[name] or 1 for name in schema.MODALITIES},
      vector_dim=config.benchmark.vector_dim,
      aligned=True,
    ),
    absent=(),
    emotions=tuple(config.data.emotions),
    unused=(),
    unnamed={},
    decision="softmax",
    unrated=0,
    rows=None,
  )


def _fit_data(
  config: ml_collections.ConfigDict, facts: Facts
) -> tuple[str, ...]:
  """Settles modalities and decision."""
  notes = []
  if AUTO in config.data.modalities:
    config.data.modalities = tuple(facts.shapes.frames)
    if not facts.shapes.frames:
      raise errors.UserError(
        f"{facts.shapes.where} has no utterance with features, expected one"
        " modality at least; convert the corpus again"
      )
    notes += [
      f"no utterance has {name}: it is not read" for name in facts.absent
    ]
  if config.protocol.decision == AUTO:
    config.protocol.decision = facts.decision
  head = (
    f"fitted to {facts.shapes.where}: {' + '.join(config.data.modalities)},"
    f" decision {config.protocol.decision}"
  )
  if facts.decision == "regression" and facts.rows is not None:
    config.data.ratings = facts.emotions
    head += f" of {', '.join(facts.emotions)}"
    if facts.unrated:
      count = len(facts.rows.labelled)
      notes.append(
        f"not rated, and not learnt from: {facts.unrated} of {count} utterances"
      )
  return (head, *notes)


def _fit_emotions(
  config: ml_collections.ConfigDict, facts: Facts
) -> tuple[str, ...]:
  """Leaves out the emotions that nothing can be learnt of."""
  if config.data.emotions or facts.decision == "regression":
    return ()
  notes = []
  left_out = list(facts.unused)
  if facts.unused:
    names = ", ".join(facts.unused)
    notes.append(f"no labelled utterance is {names}: not learnt")
  if config.system == "mtee" and facts.shapes.vector_dim:
    left_out += facts.unnamed
    notes += [
      f"{name} has no word vector, which mtee reads emotions by: left out,"
      f" {count} utterances; give it one by config.data.words and"
      " config.data.word_vectors, and name all in config.data.emotions"
      for name, count in facts.unnamed.items()
    ]
  if left_out:
    config.data.emotions = tuple(
      name for name in facts.emotions if name not in left_out
    )
  return tuple(notes)


def _batch_size(rows: partition.Rows | None) -> int:
  """Chooses the rows of a batch by those of the corpus."""
  count = int(rows.labelled.sum()) if rows is not None else 0
  fitting = [size for size in _BATCH_SIZES if size * _BATCHES <= count]
  return fitting[-1] if fitting else _BATCH_SIZES[0]
