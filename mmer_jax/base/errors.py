"""How a verb ends when its user made a mistake: one line, exit status 2."""


class UserError(ValueError):
  """A mistake of the user's: what, got, expected and the fix, on one line."""
