"""Pages in a browser: nothing is wider than the window."""

import html
import json
import re
import shutil
import subprocess

import pytest

from mmer_jax.reporting import page as page_lib
from tests.reporting import word_maps_test

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What scrolls sideways in its own box may hold something wider; a link for
# keyboards stands outside of the window until it has the focus.
MEASURE = """
<!DOCTYPE html><body><iframe id="frame" style="width:%dpx;height:900px;border:0"
srcdoc="%s"></iframe><pre id="answer"></pre><script>
const frame = document.getElementById("frame");
frame.onload = () => {
  const page = frame.contentDocument;
  for (const each of page.querySelectorAll("details")) each.open = true;
  const width = page.documentElement.clientWidth;
  const wide = [...page.querySelectorAll("body *")].filter(each =>
    !each.closest(".skip") && !each.parentElement.closest(".scroll, pre")
    && (each.getBoundingClientRect().right > width + 0.5
        || each.getBoundingClientRect().left < -0.5));
  const style = page.defaultView.getComputedStyle(page.body);
  document.getElementById("answer").textContent = JSON.stringify({
    width: width,
    scrolled: page.documentElement.scrollWidth,
    wide: wide.map(each => each.outerHTML.slice(0, 200)),
    stuck: [...page.querySelectorAll(".scroll")].filter(each =>
      each.scrollWidth > each.clientWidth && page.defaultView
        .getComputedStyle(each).overflowX != "auto").length,
    background: style.backgroundColor,
    color: style.color,
  });
};
</script></body>
"""


@pytest.fixture(scope="module")
def browser():
  """A browser, or a skip that says what is absent."""
  for name in BROWSERS:
    if shutil.which(name):
      return name
  pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")


def measure(browser, tmp_path, page, width, dark=False):
  """What a browser makes of a page in a window of some width."""
  file = tmp_path / "frame.html"
  file.write_text(MEASURE % (width, html.escape(page)), encoding="utf-8")
  done = subprocess.run(
    [
      browser,
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      f"--user-data-dir={tmp_path / 'profile'}",
      "--virtual-time-budget=10000",
      "--window-size=1400,1000",
      f"--blink-settings=preferredColorScheme={0 if dark else 1}",
      "--dump-dom",
      f"file://{file}",
    ],
    check=True,
    capture_output=True,
    text=True,
    timeout=120,
  )
  (answer,) = re.findall(r'<pre id="answer">(.*?)</pre>', done.stdout, re.S)
  return json.loads(html.unescape(answer))


def check_fits(answer, width):
  assert answer["width"] <= width
  assert answer["wide"] == [] and answer["stuck"] == 0
  assert answer["scrolled"] <= answer["width"]


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
  out = tmp_path_factory.mktemp("report")
  return page_lib.write([trained], out).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_on_the_report_is_wider_than_the_window(
  browser, report, tmp_path, width
):
  check_fits(measure(browser, tmp_path, report, width), width)


def test_pages_follow_the_readers_mode(browser, report, tmp_path):
  words = word_maps_test.page_of(word_maps_test.utterance())
  for page in (report, words):
    light = measure(browser, tmp_path, page, 390)
    dark = measure(browser, tmp_path, page, 390, dark=True)
    assert light["background"] == dark["background"].replace(
      "21, 22, 26", "255, 255, 255"
    )
    assert light["background"] != dark["background"]
    assert light["color"] != dark["color"]


@pytest.mark.parametrize("width", [390, 1200])
def test_a_page_of_words_fits_the_window(browser, tmp_path, width):
  long = word_maps_test.utterance(
    id="x" * 200,
    words=["wo" * 60, *["word"] * 40],
    attention=[1 / 41] * 41,
    acoustic=[0.5] * 41,
  )
  page = word_maps_test.page_of(long)
  check_fits(measure(browser, tmp_path, page, width), width)


def test_a_page_that_is_too_wide_is_noticed(browser, report, tmp_path):
  broken = report.replace("overflow-x: auto", "overflow-x: visible")
  assert measure(browser, tmp_path, broken, 390)["wide"] == []
  assert measure(browser, tmp_path, broken, 390)["stuck"] > 0
  wide = report.replace("<main", "<p style='width: 500px'>too wide</p><main")
  assert len(measure(browser, tmp_path, wide, 390)["wide"]) == 1
