"""Pages in a browser: nothing is wider than the window, and nothing is lost."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest

from mmer_jax.base import workdir
from mmer_jax.reporting import page as page_lib
from tests.reporting import made_up, word_maps_test

# The first that is found; the variable names another, or none to skip.
VARIABLE = "MMER_BROWSER"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What scrolls sideways in its own box may hold something wider; a link for
# keyboards stands outside of the window until it has the focus.
MEASURE = """
<!DOCTYPE html><body>%s<pre id="answer"></pre><script>
const measure = frame => {
  const page = frame.contentDocument;
  const top = each => each && each.getBoundingClientRect().top;
  const first = top(page.querySelector("tbody td"));
  for (const each of page.querySelectorAll("details")) each.open = true;
  const width = page.documentElement.clientWidth;
  const style = each => page.defaultView.getComputedStyle(each);
  const wide = [...page.querySelectorAll("body *")].filter(each =>
    !each.closest(".skip") && !each.parentElement.closest(".scroll, pre")
    && (each.getBoundingClientRect().right > width + 0.5
        || each.getBoundingClientRect().left < -0.5));
  const scrolled = [...page.querySelectorAll(".scroll")].filter(each =>
    each.scrollWidth > each.clientWidth);
  return {
    width: width,
    first: first,
    scrolled: page.documentElement.scrollWidth,
    wide: wide.map(each => each.outerHTML.slice(0, 200)),
    stuck: scrolled.filter(each => style(each).overflowX != "auto").length,
    tables: scrolled.map(each => each.firstElementChild.className),
    labels: [...page.querySelectorAll("tbody td")].filter(each =>
      each.textContent && !each.closest(".heat")).map(each =>
      page.defaultView.getComputedStyle(each, "::before").content),
    background: style(page.body).backgroundColor,
    color: style(page.body).color,
  };
};
window.onload = () => {
  document.getElementById("answer").textContent = JSON.stringify(
    [...document.querySelectorAll("iframe")].map(measure));
};
</script></body>
"""
FRAME = """
<iframe style="width:%dpx;height:900px;border:0" srcdoc="%s"></iframe>
"""


@pytest.fixture(scope="module")
def browser():
  """A browser, or a skip that says what is absent."""
  names = [os.environ[VARIABLE]] if VARIABLE in os.environ else BROWSERS
  for name in names:
    if shutil.which(name):
      return name
  pytest.skip(f"no browser: none of {', '.join(names)} is installed")


def measure(browser, folder, frames, dark=False):
  """What a browser makes of pages, each in a window of some width."""
  file = folder / "frames.html"
  text = "".join(FRAME % (width, html.escape(page)) for page, width in frames)
  file.write_text(MEASURE % text, encoding="utf-8")
  done = subprocess.run(
    [
      browser,
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      f"--user-data-dir={folder / 'profile'}",
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


EMOTIONS = (
  *("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted"),
  "frustrated_or_annoyed_or_impatient",
)


def wide_workdir(trained, folder):
  """Writes a workdir, never trained, of whatever makes a page wide."""
  content = made_up.result(failed=1, sweep=True, emotions=EMOTIONS)
  content["dataset"]["name"] = "corpus_" * 12
  for each in (*content["runs"], *content["settings"], content):
    each["setting"] = {
      "learning_rate": 1e-5,
      "path": "x/" * 60,
      **each["setting"],
    }
  workdir.write_json(folder / "results" / "test.json", content)
  config = workdir.read_json(trained / "config.json")
  config["data"]["dir"] = "/a_folder" * 30
  workdir.write_json(folder / "config.json", config)
  described = workdir.read_json(trained / "run.json")
  command = "mmer train --workdir=" + "runs/" * 60
  workdir.write_json(
    folder / "run.json",
    {**described, **made_up.description(content), "command": command},
  )
  line = made_up.metrics_line(train_a_term_of_a_long_name=0.5)
  (folder / "metrics.jsonl").write_text(json.dumps(line))
  return folder


@pytest.fixture(scope="module")
def report(trained, tmp_path_factory):
  """A page of a trained workdir and of one that is as wide as can be."""
  folder = tmp_path_factory.mktemp("report")
  wide = wide_workdir(trained, folder / ("workdir_" * 12))
  page = page_lib.write([trained, wide], folder / "page")
  return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def words():
  long = word_maps_test.utterance(
    id="x" * 200,
    words=["wo" * 60, *["word"] * 40],
    attention=[1 / 41] * 41,
    acoustic=[0.5] * 41,
  )
  return word_maps_test.page_of(long)


@pytest.fixture(scope="module")
def measured(browser, report, words, tmp_path_factory):
  """All pages in one browser: starting it takes longest."""
  broken = report.replace("overflow-x: auto", "overflow-x: visible")
  too_wide = report.replace(
    "<main", "<p style='width: 500px'>too wide</p><main"
  )
  frames = {
    "report 390": (report, 390),
    "report 800": (report, 800),
    "report 1000": (report, 1000),
    "report 1200": (report, 1200),
    "words 390": (words, 390),
    "words 1200": (words, 1200),
    "broken 390": (broken, 390),
    "too wide 390": (too_wide, 390),
  }
  folder = tmp_path_factory.mktemp("browser")
  answers = measure(browser, folder, frames.values())
  return dict(zip(frames, answers, strict=True))


@pytest.mark.parametrize(
  "name",
  [
    *("report 390", "report 800", "report 1000", "report 1200"),
    *("words 390", "words 1200"),
  ],
)
def test_nothing_is_wider_than_the_window(measured, name):
  answer = measured[name]
  assert answer["width"] <= int(name.split()[-1])
  assert answer["wide"] == [] and answer["stuck"] == 0
  assert answer["scrolled"] <= answer["width"]


def test_in_a_narrow_window_no_column_is_hidden_behind_an_edge(measured):
  """Rows are cards, whose cells say what they are; only matrices may scroll."""
  narrow, wide = measured["report 390"], measured["report 1200"]
  assert set(narrow["tables"]) <= {"heat"}
  assert len(narrow["labels"]) == len(wide["labels"]) > 100
  assert '"AUC"' in narrow["labels"] and "none" not in narrow["labels"]
  assert set(wide["labels"]) == {"none"}


@pytest.mark.parametrize("width", [390, 1200])
def test_the_first_screen_has_a_number(measured, width):
  assert 0 < measured[f"report {width}"]["first"] < 700


def test_pages_follow_the_readers_mode(
  browser, measured, report, words, tmp_path
):
  frames = [(report, 390), (words, 390)]
  darks = measure(browser, tmp_path, frames, dark=True)
  for name, dark in zip(("report 390", "words 390"), darks, strict=True):
    light = measured[name]
    assert light["background"] == "rgb(255, 255, 255)"
    assert dark["background"] == "rgb(21, 22, 26)"
    assert light["color"] != dark["color"]


def test_a_page_that_is_too_wide_is_noticed(measured):
  assert measured["broken 390"]["wide"] == []
  assert measured["broken 390"]["stuck"] > 0
  assert len(measured["too wide 390"]["wide"]) == 1
