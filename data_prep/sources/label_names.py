"""Gives labels other names, and takes some for no label at all."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from data_prep.sources import spoken
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError


class Names(NamedTuple):
  """Says what labels become.

  Attributes:
    mapped: Label to its new name; others keep theirs.
    unlabelled: Labels that mean that there is none.
  """

  mapped: Mapping[str, str]
  unlabelled: Sequence[str]

  def options(self) -> dict[str, Any]:
    """Returns what the manifest records of the names."""
    return {
      "label_map": dict(self.mapped),
      "unlabelled": list(self.unlabelled),
    }


NONE = Names({}, ())


def read(label_map: Sequence[str], unlabelled: Sequence[str]) -> Names:
  """Reads the values of `--label_map` and `--unlabelled`.

  Raises:
    UserError: A pair is none, or a label has two meanings.
  """
  mapped: dict[str, str] = {}
  for pair in label_map:
    label, equals, name = (part.strip() for part in pair.partition("="))
    if not (label and equals and name):
      raise UserError(
        f"--label_map has {pair!r}, expected LABEL=EMOTION; --unlabelled=LABEL"
        " for a label that means none"
      )
    if label in mapped or label in unlabelled:
      raise UserError(
        f"--label_map and --unlabelled name the label {label!r} twice; expected"
        " one meaning"
      )
    mapped[label] = name
  return Names(mapped, tuple(label.strip() for label in unlabelled))


def require_used(names: Names, used: Collection[str]) -> None:
  """Raises a `UserError` for a label that is renamed, and that no row has."""
  for flag, known in (
    ("label_map", names.mapped),
    ("unlabelled", names.unlabelled),
  ):
    for label in known:
      if label not in used:
        raise UserError(
          f"--{flag} names the label {label!r}, which no row has; there are"
          f" {', '.join(sorted(used)) or 'no labels'}"
          f"{errors.did_you_mean(label, used)}"
        )


def apply(
  names: Names, utterances: Sequence[spoken.Utterance]
) -> tuple[list[spoken.Utterance], dict[str, int]]:
  """Renames the labels of utterances.

  Returns:
    The utterances, and a tally of those that became unlabelled.

  Raises:
    UserError: A label that the names know occurs nowhere.
  """
  require_used(names, {each.label for each in utterances if each.label})
  renamed, tally = [], {}
  for each in utterances:
    if each.label in names.unlabelled:
      what = f"unlabelled, their label is {each.label!r}"
      tally[what] = tally.get(what, 0) + 1
      renamed.append(each._replace(label=""))
    else:
      label = names.mapped.get(each.label, each.label)
      renamed.append(each._replace(label=label))
  return renamed, tally


def emotions(
  utterances: Sequence[spoken.Utterance],
  named: Sequence[str],
  order: Sequence[str],
  where: str,
) -> tuple[str, ...]:
  """Names the emotions, and checks that the labels are among them.

  Args:
    utterances: With their labels renamed.
    named: `--emotions`; empty for those that are used.
    order: How those that are used are ordered; any other follow, sorted.
    where: What was read, for messages.

  Raises:
    UserError: A label is not among those named, or there is no label and
      nothing named.
  """
  used = {each.label for each in utterances if each.label}
  known = [name for name in dict.fromkeys(order) if name in used]
  found = tuple(named) or (*known, *sorted(used.difference(known)))
  for each in utterances:
    if each.label and each.label not in found:
      raise UserError(
        f"{each.where}: label {each.label!r} is not one of --emotions"
        f" {', '.join(found)}{errors.did_you_mean(each.label, found)};"
        f" --label_map={each.label}=EMOTION renames it,"
        f" --unlabelled={each.label} takes it for none"
      )
  if not found:
    raise UserError(
      f"{where} has no label, so that nothing names the emotions; pass"
      " --emotions=happy,sad, as the model that will be used has them"
    )
  return found
