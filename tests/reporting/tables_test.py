"""A filled table of a paper, formatted."""

import io

import rich.console

from mmer_jax.reporting import page_overview, tables


def summary(mean, half=None):
  ends = [None, None] if half is None else [mean - half, mean + half]
  return {
    "mean": mean,
    "std": half,
    "ci95": ends,
    "n": 1 if half is None else 2,
  }


def filled():
  difference = [summary(0.05), summary(-0.01, 0.02)]
  return {
    "title": "A paper, Table 1",
    "notes": "A note.",
    "split": "test",
    "dataset": {"name": "toy", "fingerprint": "0123456789abcdef"},
    "failed": {},
    "programs": {"mtee": {"runs": 7}},
    "sections": [
      {
        "title": "All",
        "columns": ["UA", "F1"],
        "against": "theirs",
        "rows": [
          {
            "name": "ours",
            "paper": [0.55, None],
            "ours": [summary(0.6, 0.1), summary(0.5)],
            "difference": difference,
          },
          {"name": "theirs", "paper": [0.01, 0.02], "ours": None},
        ],
      }
    ],
  }


def test_the_papers_number_stands_in_brackets_beside_ours():
  (section,) = filled()["sections"]
  heading, lines = tables.cells(section, "ours", with_paper=True)
  assert heading == ["", "UA", "F1"]
  assert lines == [
    ["ours", "60.0 ± 10.0 [55.0]", "50.0"],
    ["theirs", "- [1.0]", "- [2.0]"],
  ]
  assert tables.cells(section, "difference")[1] == [
    ["ours", "5.0", "-1.0 ± 2.0"]
  ]


def test_the_page_names_data_split_and_failed_runs():
  page = tables.markdown({**filled(), "failed": {"mtee": [1, 3]}})
  assert "`0123456789ab`), test split" in page
  assert "mtee: 2 of 7 runs failed and are left out: 1, 3." in page
  assert "Difference to theirs, run by run:" in page


def test_brackets_are_printed():
  content = filled()
  content["sections"][0]["rows"][0]["name"] = "ours [bold]"
  console = rich.console.Console(width=100, record=True, file=io.StringIO())
  console.print(*tables.to_rich(content))
  text = console.export_text()
  assert "ours [bold]" in text and "[55.0]" in text


def test_validation_never_stands_beside_a_papers_number():
  content = {**filled(), "split": "validation"}
  console = rich.console.Console(width=100, record=True, file=io.StringIO())
  console.print(*tables.to_rich(content))
  overview = page_overview.paper_table(content)
  for text in (tables.markdown(content), console.export_text()):
    assert "60.0 ± 10.0" in text and "55.0" not in text
    assert "are left out" in " ".join(text.split())
  assert overview["sections"][0]["printed"] == [False, False]
  shown = page_overview.paper_table(filled())
  assert shown["sections"][0]["printed"] == [True, True]


def test_a_wide_table_is_turned_for_the_terminal():
  table = filled()
  (section,) = table["sections"]
  (turned,) = tables.to_rich(table)
  assert [str(c.header) for c in turned.columns] == ["", "UA", "F1"]
  section["rows"] = section["rows"][:1]
  (turned,) = tables.to_rich(table)
  assert [str(c.header) for c in turned.columns] == ["", "ours"]
