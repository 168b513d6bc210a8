"""Compares what shards are: whether two folders hold the same data."""

from mmer_jax.base import errors


def check_fingerprint(
  got: str | None,
  expected: str | None,
  *,
  what: str,
  fix: str,
) -> None:
  """Refuses shards that are not those of a training.

  Args:
    got: The fingerprint of the shards; None where there are none.
    expected: The fingerprint of those that were trained on.
    what: What the shards are called, as `the shards in DIR`.
    fix: What the user may do, as an imperative.

  Raises:
    UserError: The fingerprints differ.
  """
  if got != expected:
    prints = [each[:12] if each else "none" for each in (got, expected)]
    raise errors.UserError(
      f"{what} have fingerprint {prints[0]}, the workdir was trained on"
      f" {prints[1]}; {fix}"
    )
