"""What is written and drawn can be told from what is behind it."""

import numpy as np
import pytest
from matplotlib import colors

from mmer_jax.reporting import colours, layouts


def luminance(colour):
  """The relative luminance of WCAG 2.2."""
  parts = np.asarray(colors.to_rgb(colour))
  linear = np.where(
    parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
  )
  return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
  low, high = sorted([luminance(one), luminance(other)])
  return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag():
  # Its own examples: black on white, and #767676, the lightest grey for text.
  assert contrast("#000000", "#ffffff") == pytest.approx(21)
  assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("mode", [colours.LIGHT, colours.DARK])
def test_text_and_lines_can_be_told_from_what_is_behind_them(mode):
  for text in ("text", "soft", "accent", "failed"):
    for behind in ("page", "band"):
      assert contrast(mode[text], mode[behind]) >= 4.5, (text, behind)
  for behind in ("heat", "attention"):
    assert contrast(mode["text"], mode[behind]) >= 4.5, behind
  # WCAG asks for 3 of what is no text.
  assert contrast(mode["fill"], mode["band"]) >= 2.7
  assert contrast(mode["mark"], mode["fill"]) >= 3
  for line in (*colours.SERIES, *layouts.shades(9)):
    assert contrast(line, mode["page"]) >= 3, line


def test_both_modes_have_every_colour():
  assert colours.LIGHT.keys() == colours.DARK.keys()
