"""The report: one page that everybody can read."""

import html.parser
import shutil

import numpy as np
import pytest

from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import tables as tables_lib
from mmer_jax.reporting import page as page_lib


class _Page(html.parser.HTMLParser):
  """The tags of a page with their attributes, and its text."""

  def __init__(self, page):
    super().__init__()
    self.tags, self.open, self.text = [], [], ""
    self.feed(page)
    assert not self.open, self.open

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in ("meta", "img"):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag, tag

  def handle_data(self, data):
    self.text += " " + data


def test_the_report_is_one_page_that_everybody_can_read(trained, tmp_path):
  """A workdir, and the same as the program of a paper's table."""
  table = tmp_path / "table <5>"
  shutil.copytree(trained, table / "mtee")
  result = workdir.read_json(trained / "results" / "validation.json")
  ours = [{"mean": 0.5, "std": 0.1, "ci95": [0.4, 0.6], "n": 2}, None]
  row = {"name": "MTEE & co", "program": "mtee", "paper": [0.655, None]}
  content = {
    "title": "A table",
    "notes": "None.",
    "split": "test",
    "dataset": result["dataset"],
    "failed": {},
    "programs": {"mtee": {"runs": 2}},
    "sections": [
      {
        "title": "All",
        "columns": ["AUC", "F1"],
        "rows": [{**row, "ours": ours, "difference": [ours[0], ours[0]]}],
        "against": "LF-LSTM",
      }
    ],
  }
  workdir.write_json(table / "table.json", content)
  # As `evaluate --modalities=lexical` leaves it.
  lexical = {**result, "protocol": {**result["protocol"]}}
  lexical["protocol"]["modalities"] = ["lexical"]
  workdir.write_json(
    table / "mtee" / "results" / "validation-lexical.json", lexical
  )
  out = tmp_path / "report"
  text = page_lib.write([trained, table], out).read_text()
  page = _Page(text)
  words = " ".join(page.text.split())
  for metric in ("accuracy", "auc"):
    assert tables_lib.percent(result["summary"][metric]) in words
    assert f"{100 * result['majority_baseline'][metric]:.1f}" in words
  assert "MTEE & co" in words and "65.5" in words and "50.0 ± 10.0" in words
  # Where the paper printed nothing, it has no column.
  printed = [a for t, a in page.tags if t == "th" and "class" in a]
  assert [a["class"] for a in printed if a["class"] != "text"] == ["paper"]
  assert "table <5>/mtee" in words and "<5>" not in text
  assert result["dataset"]["fingerprint"] in words
  assert "by which checkpoints were chosen" in words
  for name in result["protocol"]["emotions"]:
    assert name in words

  # Nothing is fetched, and everything has a name.
  for tag, attributes in page.tags:
    assert tag not in ("script", "link", "iframe", "object")
    for key in ("src", "href"):
      assert attributes.get(key, "#").startswith(("#", "data:image/svg")), tag
    if tag == "img":
      assert len(attributes["alt"]) > 40
    if tag == "th":
      assert attributes["scope"] in ("col", "row", "colgroup")
    if attributes.get("tabindex") and tag == "div":
      assert attributes["aria-label"]
  assert "url(" not in text and "@import" not in text
  names = [
    attributes["id"] for _, attributes in page.tags if "id" in attributes
  ]
  assert len(set(names)) == len(names)
  links = {a["href"][1:] for tag, a in page.tags if tag == "a"}
  assert links <= set(names)
  tags = [tag for tag, _ in page.tags]
  assert tags.count("table") == tags.count("caption") > 8
  headings = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]
  assert headings[0] == 1 and headings.count(1) == 1
  steps = np.diff(headings)
  assert steps.max() == 1
  for rule in ("prefers-color-scheme: dark", "@media print", ":focus-visible"):
    assert rule in text
  drawn = {path.name for path in (out / "figures" / "mtee").iterdir()}
  assert {"losses.png", "losses.svg", "losses.json"} <= drawn

  with pytest.raises(errors.UserError, match="two folders called mtee"):
    page_lib.write([trained, trained], out)
  with pytest.raises(errors.UserError, match="run.json is missing"):
    page_lib.write([tmp_path], out)


def test_a_report_says_what_it_could_not_draw(trained, tmp_path):
  folder = tmp_path / "moved"
  shutil.copytree(trained, folder)
  config = workdir.read_json(folder / "config.json")
  config["data"]["dir"] = str(tmp_path / "gone")
  workdir.write_json(folder / "config.json", config)
  text = page_lib.write([folder], tmp_path / "report").read_text()
  assert "Some figures need the shards" in text and "gone" in text
  assert "Distances between emotions" not in text
