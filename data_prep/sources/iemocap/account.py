"""Counts what a release of IEMOCAP holds, beside what is published."""

from collections import Counter
from typing import Any

import numpy as np

from data_prep.sources.iemocap import labels
from data_prep.sources.iemocap import release as release_lib

DIMENSIONS = ("valence", "activation", "dominance")


def describe(release: release_lib.Release) -> dict[str, Any]:
  """Describes a release for the manifest: labels, votes and ratings."""
  evaluations = [each.evaluation for each in release.utterances]
  vad = np.array([each.vad for each in evaluations])
  agreement = Counter(
    "{} of {}".format(*each.agreement())
    for each in evaluations
    if labels.CATEGORIES[each.label]
  )
  return {
    "dialogues": release.dialogues,
    "utterances": len(evaluations),
    "labels": _by_label(release),
    # Raters who chose the label, of all raters.
    "agreement": dict(sorted(agreement.items(), reverse=True)),
    "self_reports": sum(len(each.self_reports) for each in evaluations),
    "ratings": {
      name: {
        "mean": round(float(values.mean()), 4),
        "std": round(float(values.std()), 4),
      }
      for name, values in zip(DIMENSIONS, vad.T, strict=True)
    },
  }


def _by_label(release: release_lib.Release) -> dict[str, int]:
  found = Counter(each.evaluation.label for each in release.utterances)
  return {label: found[label] for label in labels.CATEGORIES}


def tally(
  release: release_lib.Release, variant: labels.Variant
) -> dict[str, int]:
  """Counts the rows that are read beside those that are published."""
  published = sum(labels.PUBLISHED.values())
  counts = {f"rated, published are {published}": len(release.utterances)}
  wanted = variant.published()
  if wanted is not None:
    found = _by_label(release)
    counts[f"of the variant's emotions, published are {wanted}"] = sum(
      found[label] for label in variant.emotion
    )
  return {**counts, **{k: v for k, v in release.tally.items() if v}}


def differences(release: release_lib.Release) -> list[str]:
  """Says in a sentence how the release differs from what is published."""
  found = _by_label(release)
  differ = [
    f"{label} {found[label]} ({count})"
    for label, count in labels.PUBLISHED.items()
    if found[label] != count
  ]
  if not differ:
    return []
  return [
    f"the folder holds {sum(found.values())} rated utterances, the whole"
    f" release {sum(labels.PUBLISHED.values())}; its labels differ:"
    f" {', '.join(differ)}"
  ]
