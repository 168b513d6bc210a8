"""Describes a folder in the layout of CMU's processed data."""

import pathlib
from typing import Any

import numpy as np

from data_prep.readers import hdf5_arrays
from data_prep.sources import cmu_processed


def describe_cmu(folder: pathlib.Path) -> dict[str, Any]:
  """Describes every split: labels, and shapes and frames by modality."""
  auto = cmu_processed.LABEL_FILES[0]
  prefix, splits = cmu_processed.find(folder, auto)
  described = {}
  for split in splits:
    labels = split.labels.read(0, split.labels.shape[0])
    described[split.name] = {
      "utterances": split.labels.shape[0],
      "labels": {
        "shape": list(split.labels.shape),
        "min": float(np.nanmin(labels)),
        "max": float(np.nanmax(labels)),
        "positive": np.atleast_1d((labels > 0).sum(axis=0)).tolist(),
      },
      "modalities": {
        name: _frames(array) for name, array in split.features.items()
      },
      "without": [m for m in cmu_processed.FILES if m not in split.features],
    }
  return {
    "kind": "cmu_processed",
    "label_files": f"{prefix}_*.h5",
    "splits": described,
  }


def _frames(array: hdf5_arrays.Array) -> dict[str, Any]:
  present, real, nonfinite = 0, 0, 0
  columns = np.zeros(array.shape[2], np.int64)
  for frames in array.blocks():
    rows = frames.any(axis=1)
    present += bool(rows.any())
    real += int(rows.sum())
    bad = ~np.isfinite(frames)
    nonfinite += int(bad.sum())
    columns += bad.sum(axis=0)
  return {
    "shape": list(array.shape),
    "key": array.key,
    "present": present,
    "real_frames": real,
    "nonfinite": nonfinite,
    "nonfinite_columns": np.flatnonzero(columns).tolist(),
  }
