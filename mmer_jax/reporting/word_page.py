"""Writes the page of `word_maps`: utterances with the weight of every word.

A word is painted by how often its attention exceeds an equal share, 1 / n of an
utterance of n words: uniform attention, which says nothing, paints nothing,
however few the words are.
"""

import html
import math
from collections.abc import Sequence
from typing import Any

from mmer_jax.reporting import colours

# Full colour at so many doublings of an equal share.
_DOUBLINGS = 3
_BAR = 22
_STYLE = """
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 60rem; background: var(--page); color: var(--text);
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; }
h2 { font-size: 1.2rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.utterance { margin: 1.4rem 0; }
.about { color: var(--soft); font-size: .85rem; }
summary { color: var(--accent); cursor: pointer; font-size: .85rem; }
table { border-collapse: collapse; font-size: .85rem; margin: .3rem 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .4rem; text-align: right; vertical-align: bottom;
  border-bottom: 1px solid var(--line); font-weight: 400; }
th:first-child { text-align: left; min-width: 5rem; }
th[scope=col] { color: var(--soft); overflow-wrap: normal; }
.word { display: inline-block; margin: .1rem; padding: 0 .25rem;
  border-radius: 3px; text-align: center; vertical-align: bottom;
  background: color-mix(in srgb, var(--attention) var(--share), transparent); }
.bars { height: 24px; }
.bar { display: inline-block; width: 8px; vertical-align: bottom; }
.acoustic { background: var(--acoustic); }
.lexical { background: var(--lexical); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; }
"""


def page(content: dict[str, Any]) -> str:
  """Writes the utterances as one HTML page, those predicted rightly first.

  Args:
    content: What `word_maps.word_maps` returns.
  """
  parts = [
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    "<title>Attention per word</title>",
    f"<style>{colours.style_sheet()}{_STYLE}</style>\n</head>\n<body>",
    "<h1>Attention per word</h1>",
    f"<p class='about'>{html.escape(content['run'])},"
    f" {html.escape(content['split'])} split.</p>",
    _legend(any(e["acoustic"] is not None for e in content["utterances"])),
  ]
  for title, right in (("Right", True), ("Wrong", False)):
    entries = [
      entry
      for entry in content["utterances"]
      if (entry["true"] == entry["chosen"]) == right
    ]
    parts.append(f"<h2>{title}: {len(entries)}</h2>")
    parts += [_utterance(entry) for entry in entries]
  return "\n".join(parts) + "\n</body>\n</html>\n"


def _legend(with_shares: bool) -> str:
  """Explains the paint and, where there are any, the bars."""
  samples = " ".join(
    f"<span class='word' style='--share:{100 * paint(2**k, 1):.0f}%'>"
    f"{'up to' if k == 0 else ''} {2**k} x</span>"
    for k in range(_DOUBLINGS + 1)
  )
  text = (
    "<p class='legend'>Paint: how much more attention a word has than an equal"
    f" share, one part in as many as the utterance has words: {samples} and"
    " more. Unpainted words have an equal share or less."
  )
  if with_shares:
    text += (
      " Bars over a word: what the model takes from its"
      " <span class='key acoustic'></span> sound and from its"
      " <span class='key lexical'></span> text; together 100 %."
    )
  return text + " The numbers are below each utterance.</p>"


def paint(weight: float, equal: float) -> float:
  """Computes how strongly a word is painted, from 0 to 1.

  Args:
    weight: The attention of the word.
    equal: The attention that each word would have if all had the same.
  """
  if weight <= equal:
    return 0.0
  return min(math.log2(weight / equal) / _DOUBLINGS, 1.0)


def _utterance(entry: dict[str, Any]) -> str:
  """Writes an utterance: its words, what was predicted, and the numbers."""
  shares = entry["acoustic"] or [None] * len(entry["words"])
  equal = 1 / max(len(entry["words"]), 1)
  weighed = list(zip(entry["words"], entry["attention"], shares, strict=True))
  words = [_word(word, weight, equal, share) for word, weight, share in weighed]
  if entry.get("cut"):
    words.append(
      f" <span class='about'>and {entry['cut']} more, which the model did not"
      " read (config.data.max_length)</span>"
    )
  ranked = sorted(entry["probabilities"].items(), key=lambda item: -item[1])
  classes = ", ".join(
    f"{html.escape(name)} {100 * value:.0f} %" for name, value in ranked
  )
  return (
    f"<div class='utterance'><div>{''.join(words)}</div><div class='about'>"
    f"{html.escape(entry['id'])}: true {html.escape(entry['true'])}, predicted"
    f" <b>{html.escape(entry['chosen'])}</b> ({classes})</div>"
    f"{_numbers(weighed, equal)}</div>"
  )


def _numbers(
  weighed: Sequence[tuple[str, float, float | None]], equal: float
) -> str:
  """Writes a table of the weights of words, for whoever points at nothing."""
  heading = ["word", "attention", "x equal share"]
  if any(share is not None for _, _, share in weighed):
    heading += ["sound, %", "text, %"]
  lines = [
    "".join(f"<th scope='col'>{each}</th>" for each in heading),
  ]
  for word, weight, share in weighed:
    cells = [f"{weight:.3f}", f"{weight / equal:.1f}"]
    if share is not None:
      cells += [f"{100 * share:.0f}", f"{100 - 100 * share:.0f}"]
    lines.append(
      f"<th scope='row'>{html.escape(word)}</th>"
      + "".join(f"<td>{cell}</td>" for cell in cells)
    )
  rows = "".join(f"<tr>{line}</tr>" for line in lines)
  return (
    f"<details><summary>The numbers</summary><table>{rows}</table></details>"
  )


def _word(word: str, weight: float, equal: float, share: float | None) -> str:
  """Writes a word, painted, with bars over it where modalities are weighed."""
  title = f"attention {weight:.3f}, {weight / equal:.1f} x an equal share"
  bars = ""
  if share is not None:
    title += f"; {100 * share:.0f} % sound, {100 - 100 * share:.0f} % text"
    bars = "<div class='bars'>" + "".join(
      f"<span class='bar {name}' style='height:{_BAR * part:.1f}px'></span>"
      for name, part in (("acoustic", share), ("lexical", 1 - share))
    )
    bars += "</div>"
  return (
    f"<span class='word' title='{title}'"
    f" style='--share:{100 * paint(weight, equal):.0f}%'>"
    f"{bars}{html.escape(word)}</span>"
  )
