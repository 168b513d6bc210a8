"""Reads who takes part in AMI's meetings: `corpusResources/meetings.xml`.

An agent is a letter within a meeting; `global_name` is the person, the same in
all of his meetings.
"""

import pathlib
from typing import NamedTuple

from data_prep.sources.ami import nxt
from mmer_jax.base.errors import UserError

FILE = pathlib.PurePath("corpusResources", "meetings.xml")


class Person(NamedTuple):
  """Holds who an agent of a meeting is.

  Attributes:
    name: The person's global name.
    channel: The number of his headset; None where the file does not say.
  """

  name: str
  channel: str | None


def read(folder: pathlib.Path) -> dict[tuple[str, str], Person]:
  """Reads the people by meeting and agent; none where there is no such file.

  An agent without a global name is left out.

  Raises:
    UserError: The file cannot be read, or names nobody.
  """
  path = folder / FILE
  if not path.is_file():
    return {}
  people = {}
  for meeting in nxt.parse(path).iter("meeting"):
    observation = meeting.get("observation")
    for speaker in meeting.iter("speaker"):
      agent, name = speaker.get("nxt_agent"), speaker.get("global_name")
      if observation and agent and name:
        people[observation, agent] = Person(name, speaker.get("channel"))
  if not people:
    raise UserError(
      f"{path} has no speaker with nxt_agent and global_name in a meeting with"
      " observation; is it damaged?"
    )
  return people
