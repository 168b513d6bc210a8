"""Records what a workdir was trained with, and compares it with a call."""

import hashlib
import json
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from mmer_jax.base import environment, errors, json_shape, workdir
from mmer_jax.data import duplicates, identity
from mmer_jax.experiment import build, records, runs

# Keys that do not change what a run computes (beyond rounding): a workdir
# may be resumed, and its results compared, with other values of them.
PLACEMENT_KEYS = ("benchmark", "checkpoint", "mesh")
# Where files lie.
_PATHS = {
  "data": ("dir", "word_vectors"),
  "protocol": ("split_file",),
  "unlabelled": ("dir",),
}
# What is read of run.json: see `base.json_shape`.
_DESCRIPTION = {
  "system": str,
  "config_sha256": str,
  "dataset": {"name": str, "fingerprint": str},
  "emotions": [{"name": str, "vector": [(float, int)]}],
  "vectors_sha256": str,
  "modalities": {...: {"dim": int, "length": int}},
  "stages": [str],
  "runs": [{"run": int, "seed": int, "fold": str}],
  "environment": dict,
  "command": str,
}


def config_digest(config: ml_collections.ConfigDict) -> str:
  """Digests what a config computes (SHA-256): no folders, no devices."""
  content = comparable(json.loads(config.to_json()))
  text = json.dumps(content, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def comparable(config: dict[str, Any]) -> dict[str, Any]:
  """Drops the keys of a config that may differ between two calls."""
  config = workdir.drop_added(config)
  kept = {k: v for k, v in config.items() if k not in PLACEMENT_KEYS}
  for section, paths in _PATHS.items():
    # An older version's may lack one: a difference like any other.
    if not isinstance(config.get(section), dict):
      continue
    other = (*paths, "resident")
    kept[section] = {k: v for k, v in config[section].items() if k not in other}
  return kept


def fix_paths(config: ml_collections.ConfigDict) -> None:
  """Makes the paths absolute, so that a workdir can be moved about."""
  for section, keys in _PATHS.items():
    for key in keys:
      path = config[section][key]
      if path:
        with config.unlocked():
          config[section][key] = str(pathlib.Path(path).absolute())


def describe(
  experiment: build.Experiment,
  mesh_shape: Mapping[str, int],
  notes: Sequence[str] = (),
) -> dict[str, Any]:
  """Makes the content of `run.json`: the runs, and what predicting needs.

  Args:
    experiment: The runs.
    mesh_shape: Devices along each axis.
    notes: What was settled by the corpus, in sentences for people.
  """
  corpus = experiment.corpus
  overlaps = count_overlaps(experiment.records, corpus.digests)
  return {
    "system": experiment.config.system,
    "config_sha256": config_digest(experiment.config),
    "dataset": corpus.dataset,
    "identity": corpus.identity,
    "emotions": [
      {"name": name, "vector": vector.tolist()}
      for name, vector in zip(corpus.emotions, corpus.vectors, strict=True)
    ],
    "vectors_sha256": runs.vectors_digest(experiment.runs.vectors),
    "modalities": {
      modality: {"dim": dim, "length": length}
      for modality, (length, dim) in corpus.shapes.items()
    },
    "stages": [stage.name for stage in experiment.system.stages],
    "runs": [
      {**_describe_run(record, corpus.columns["id"]), "overlap": overlap}
      for record, overlap in zip(experiment.records, overlaps, strict=True)
    ],
    "mesh": dict(mesh_shape),
    "environment": environment.environment(),
    "command": shlex.join(sys.argv),
    "failed": [],
    "warnings": list(experiment.warnings),
    **({"notes": list(notes)} if notes else {}),
  }


def read_description(folder: pathlib.Path) -> dict[str, Any]:
  """Reads the `run.json` of a workdir.

  Raises:
    UserError: It is missing, or not what `describe` makes.
  """
  file = folder / "run.json"
  description = workdir.read_json(file)
  if fault := json_shape.mismatch(description, _DESCRIPTION):
    raise errors.UserError(
      f"{file} is not what `python -m mmer_jax.train` writes ({fault}); train"
      " into a new workdir"
    )
  return description


def read_config(
  folder: pathlib.Path, description: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """Reads the config that a workdir was trained with.

  Args:
    folder: The workdir.
    description: Its `run.json`.

  Raises:
    UserError: `config.json` is missing, or was changed since.
  """
  config = workdir.read_config(folder)
  if config_digest(config) != description["config_sha256"]:
    raise errors.UserError(
      f"{folder / 'config.json'} is not the config that {folder / 'run.json'}"
      " describes: it was changed since the training; undo the change, or train"
      " into a new workdir"
    )
  return config


def _describe_run(record: records.RunRecord, ids: np.ndarray) -> dict[str, Any]:
  """Describes a run: what distinguishes it, and how many rows it has."""
  return {
    "run": record.run,
    "seed": record.seed,
    "fold": record.fold.name,
    "setting": record.setting,
    "unseen": list(record.unseen),
    "samples": [ids[rows].tolist() for rows in record.samples],
    "rows": {
      "train": len(record.fold.train),
      "validation": len(record.fold.validation),
      "test": len(record.fold.test),
      "unlabelled": len(record.pool),
    },
  }


def count_overlaps(
  run_records: Sequence[records.RunRecord],
  digests: Sequence[Mapping[str, bytes]],
) -> list[dict[str, Any]]:
  """Counts utterances that stand on two sides of each run's split.

  Args:
    run_records: The runs.
    digests: For each utterance those of its text and of its features.

  Returns:
    For each run what is the same (`text`, a modality) to, for two sides such as
    `test in train`, how many of the first the second has too, and how many the
    first has.
  """
  counted: dict[bytes, dict[str, Any]] = {}
  overlaps = []
  for record in run_records:
    sides = np.full(len(digests), "", dtype="<U10")
    for side in ("train", "validation", "test"):
      sides[getattr(record.fold, side)] = side
    # Runs of one fold share its count.
    key = sides.tobytes()
    if key not in counted:
      counted[key] = duplicates.count_shared(digests, sides.tolist())
    overlaps.append(counted[key])
  return overlaps


def check_workdir(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Refuses a folder of another kind, or a workdir that another config began.

  Raises:
    UserError: The folder holds something else, or a key that changes what is
      computed has another value.
  """
  if not (folder / "config.json").exists():
    _check_empty(folder)
    return
  before = comparable(workdir.read_config(folder).to_dict())
  now = comparable(config.to_dict())
  # Its defaults may be another version's.
  if all(_without_repair(each) for each in (before, now)):
    before.pop("repair")
    now.pop("repair")
  changed = sorted(differing_keys("config", before, now))
  if changed:
    raise errors.UserError(
      f"{folder} was begun with another config ({'; '.join(changed)}); use"
      " the same config to resume it, or another --workdir"
    )


def _without_repair(config: Mapping[str, Any]) -> bool:
  """Tells whether a training has neither modality check nor proxies."""
  methods = ("training", "inference")
  repair = config.get("repair")
  return isinstance(repair, dict) and all(
    repair.get(key) == "none" for key in methods
  )


def _check_empty(folder: pathlib.Path) -> None:
  """Refuses to write a workdir among files that are none of a training."""
  if not folder.exists():
    return
  if not folder.is_dir():
    raise errors.UserError(
      f"--workdir={folder} is a file, expected a folder; choose another"
    )
  # Files that a kill left half-written begin with a dot.
  names = sorted(
    each.name for each in folder.iterdir() if not each.name.startswith(".")
  )
  if names:
    raise errors.UserError(
      f"--workdir={folder} holds {names[0]} and no config.json of a training,"
      " expected a new folder, or a workdir to resume; choose another"
    )


def differing_keys(key: str, before: Any, now: Any) -> Iterator[str]:
  """Yields one phrase for each key whose value has changed."""
  if isinstance(before, dict) and isinstance(now, dict):
    for name in before.keys() | now.keys():
      yield from differing_keys(
        f"{key}.{name}", before.get(name), now.get(name)
      )
  elif before != now:
    yield f"{key} was {before!r}, now {now!r}"


def check_data(experiment: build.Experiment, folder: pathlib.Path) -> None:
  """Refuses a workdir that was begun on other data.

  Raises:
    UserError: The fingerprint of shards or word vectors is another.
  """
  if not (folder / "run.json").exists():
    return
  description = read_description(folder)
  if description["vectors_sha256"] != runs.vectors_digest(
    experiment.runs.vectors
  ):
    raise errors.UserError(
      f"{folder} was begun with other word vectors of the emotions; use the"
      " same config.data.word_vectors, or another --workdir"
    )
  now, before = experiment.corpus.dataset, description["dataset"]
  fix = "use those that it was begun on, or another --workdir"
  identity.check_fingerprint(
    now["fingerprint"],
    before["fingerprint"],
    what=f"the shards for {folder}",
    fix=fix,
  )
  identity.check_fingerprint(
    now.get("unlabelled", {}).get("fingerprint"),
    before.get("unlabelled", {}).get("fingerprint"),
    what=f"the unlabelled shards for {folder}",
    fix=fix,
  )
