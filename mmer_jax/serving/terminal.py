"""Shows predictions on the terminal, a small table of each utterance."""

from typing import Any

import rich.table

from mmer_jax.serving import rows


def table(spec: dict[str, Any], row: rows.Row, title: str) -> rich.table.Table:
  """Makes the table of an utterance: the most probable emotion first.

  Args:
    spec: The content of `feature_spec.json`.
    row: From `rows.make_row`.
    title: What was predicted.
  """
  made = rich.table.Table(title=title, title_justify="left")
  if "values" in row:
    made.add_column("rating")
    made.add_column("value", justify="right")
    for name, value in row["values"].items():
      made.add_row(name, f"{value:.3f}")
    return made
  for heading in ("emotion", "probability", "decision"):
    right = heading == "probability"
    made.add_column(heading, justify="right" if right else "left")
  predicted = row["predicted"]
  chosen = [predicted] if isinstance(predicted, str) else predicted
  thresholds = {each["name"]: each["threshold"] for each in spec["emotions"]}
  new = spec["thresholds"]["new_emotion"]
  for name, prob in sorted(row["probs"].items(), key=lambda pair: -pair[1]):
    least = thresholds.get(name, new)
    above = "" if least is None else f"above {least:.3g}"
    decision = (above or "predicted") if name in chosen else ""
    made.add_row(name, f"{100 * prob:.1f} %", decision)
  return made
