"""Draws small files in the layout of AMI's annotations."""

_HEAD = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
_NITE = 'xmlns:nite="http://nite.sourceforge.net/"'


def words(folder, name, *elements):
  """Words as (text, start, end[, attributes]), others by their tags."""
  lines = []
  for number, element in enumerate(elements):
    key = f'nite:id="{name}.words{number}"'
    if isinstance(element, str):
      lines.append(f'<{element} {key} starttime="1" endtime="1"/>')
      continue
    text, start, end, *more = element
    times = "" if start is None else f'starttime="{start}" endtime="{end}"'
    lines.append(f"<w {key} {times} {' '.join(more)}>{text}</w>")
  return _write(folder / "words" / f"{name}.words.xml", name, lines)


def segments(folder, name, *ranges):
  """Segments as (start, end, number of the first element, of the last)."""
  lines = []
  for number, (start, end, first, last) in enumerate(ranges):
    href = f"{name}.words.xml#id({name}.words{first})"
    if last != first:
      href += f"..id({name}.words{last})"
    lines.append(
      f'<segment nite:id="{name}.s{number}" transcriber_start="{start}"'
      f' transcriber_end="{end}"><nite:child href="{href}"/></segment>'
    )
  return _write(folder / "segments" / f"{name}.segments.xml", name, lines)


def meetings(folder, people):
  """Meeting to agent to (global name, channel)."""
  lines = []
  for meeting, agents in people.items():
    lines.append(f'<meeting observation="{meeting}">')
    for agent, (name, channel) in agents.items():
      more = "" if channel is None else f'channel="{channel}"'
      lines.append(
        f'<speaker nxt_agent="{agent}" global_name="{name}" role="PM" {more}/>'
      )
    lines.append("</meeting>")
  return _write(folder / "corpusResources" / "meetings.xml", "meetings", lines)


def _write(path, name, lines):
  path.parent.mkdir(parents=True, exist_ok=True)
  body = "\n".join(lines)
  text = f'{_HEAD}<nite:root nite:id="{name}" {_NITE}>\n{body}\n</nite:root>\n'
  path.write_text(text, encoding="iso-8859-1")
  return path
