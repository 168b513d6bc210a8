"""A model whose answer is easy to check by hand."""

import numpy as np

from mmer_jax.serving import model as model_lib

MODALITIES = {"lexical": (3, 8), "acoustic": (4, 1)}
EMOTIONS = ("a", "b", "c")


def spec(decision="softmax", **changes):
  """A spec of three emotions; lexical has up to 8 frames, acoustic one."""
  threshold = None if decision == "softmax" else 0.5
  modalities = {
    name: {
      "dim": dim,
      "columns": [f"c{column}" for column in range(dim)],
      "max_length": length,
      "padding": "none",
      "normalised": False,
      "mean": [0.0] * dim,
      "std": [1.0] * dim,
    }
    for name, (dim, length) in MODALITIES.items()
  }
  made = {
    "system": "fake",
    "decision": decision,
    "open_vocabulary": False,
    "aligned": False,
    "acoustic_word": False,
    "modalities": modalities,
    "unused_modalities": {},
    "explain": {},
    "ensemble": False,
    "emotions": [
      {"name": name, "vector": [0.0], "threshold": threshold}
      for name in EMOTIONS
    ],
    "thresholds": {"new_emotion": threshold},
  }
  return {**made, **changes}


def logits(lexical=(), acoustic=(0.0,)):
  """(frames, sum of lexical column 0, acoustic column 0) of one utterance."""
  lexical = np.float64(np.asarray(lexical, np.float32).reshape(-1, 3)[:8])
  return np.array(
    [len(lexical), lexical[:, 0].sum(), np.float32(np.ravel(acoustic)[0])],
    np.float64,
  )


def softmax(values):
  shifted = np.exp(values - values.max())
  return shifted / shifted.sum()


def probs(lexical=(), acoustic=(0.0,)):
  return softmax(logits(lexical, acoustic))


def make(*, log_probs=False, **changes):
  """A model whose logits are those of `logits`.

  Args:
    log_probs: Whether its function returns them, as new exports do.
    **changes: Of the spec.
  """

  def call(tensors, inputs):
    mask = inputs["mask"]["lexical"]
    lexical, acoustic = (
      np.where(inputs["mask"][m], inputs["features"][m][..., 0], np.float64(0))
      for m in ("lexical", "acoustic")
    )
    columns = [mask.sum(axis=1), lexical.sum(axis=1), acoustic.sum(axis=1)]
    values = np.stack(columns, axis=1)
    shifted = values - values.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    outputs = {
      "probs": np.exp(logs).astype(np.float32),
      "per_modality": {"lexical": values},
      "explain": {"frame": lexical},
    }
    return outputs | ({"log_probs": logs} if log_probs else {})

  return model_lib.Model(
    spec(**{"explain": {"frame": ["lexical"]}, **changes}), {}, call
  )
