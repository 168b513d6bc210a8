"""What stands in one table of the report, and what must not."""

from mmer_jax.evaluation import metric_names, tables
from mmer_jax.reporting import page_overview
from tests.reporting import made_up

ACCURACY = metric_names.SHOWN.index("accuracy")


def system(name, **results):
  return {"name": name, "id": name, "results": results}


def with_accuracy(mean, split="test", fingerprint="f" * 64):
  content = made_up.result(split)
  content["dataset"] = {"name": "toy", "fingerprint": fingerprint}
  for metric in content["summary"].values():
    metric["mean"] = mean
  return content


def bold(table):
  """Names of the rows whose accuracy stands out."""
  return [
    row["name"]
    for row in table["rows"]
    if row["name"] != "majority class" and row["cells"][ACCURACY]["best"]
  ]


def test_validation_never_stands_in_a_table_with_test():
  opened = system(
    "opened",
    test=with_accuracy(0.5),
    validation=with_accuracy(0.7, "validation"),
  )
  closed = system("closed", validation=with_accuracy(0.9, "validation"))
  test, validation = page_overview.overview_tables([opened, closed])
  assert test["split"] == "test" and validation["split"] == "validation"
  names = [[r["name"] for r in e["table"]["rows"]] for e in (test, validation)]
  assert names == [
    ["opened", "majority class"],
    ["opened", "closed", "majority class"],
  ]
  assert test["table"]["rows"][0]["cells"][ACCURACY]["text"].startswith("50.0")
  # The best of validation is best there, and test has none to compare with.
  assert bold(test["table"]) == [] and bold(validation["table"]) == ["closed"]


def test_only_results_of_the_same_shards_are_ranked():
  (entry,) = page_overview.overview_tables(
    [
      system("low", test=with_accuracy(0.4)),
      system("high", test=with_accuracy(0.6)),
      system("elsewhere", test=with_accuracy(0.9, fingerprint="e" * 64)),
    ]
  )
  assert bold(entry["table"]) == ["high"]


def test_a_failed_run_is_counted_and_has_no_numbers():
  content = made_up.result(failed=1)
  (entry,) = page_overview.overview_tables([system("a", test=content)])
  cells = entry["table"]["rows"][0]["cells"]
  assert cells[len(metric_names.SHOWN)] == "3 of 4"
  assert cells[ACCURACY]["text"] == tables.percent(
    content["summary"]["accuracy"]
  )


def test_where_all_runs_failed_there_is_no_number():
  content = made_up.result(failed="all")
  (entry,) = page_overview.overview_tables(
    [system("a", test=content), system("b", test=made_up.result())]
  )
  cells = entry["table"]["rows"][0]["cells"]
  shown = cells[: len(metric_names.SHOWN)]
  assert {cell["text"] for cell in shown} == {"-"}
  assert not any(cell["best"] for cell in shown)
  assert cells[len(shown)] == "0 of 4"


def test_a_majority_of_other_rows_has_a_row_of_its_own():
  other = with_accuracy(0.5)
  other["majority_baseline"] = dict.fromkeys(metric_names.SHOWN, 0.125)
  results = (with_accuracy(0.5), with_accuracy(0.6), other)
  (entry,) = page_overview.overview_tables(
    [system(str(at), test=each) for at, each in enumerate(results)]
  )
  rows = entry["table"]["rows"]
  names = [row["name"] for row in rows]
  assert names == ["0", "1", "majority class", "2", "majority class"]
  assert rows[2]["note"] == "of the 2 workdirs above" and not rows[4]["note"]
  assert rows[4]["cells"][ACCURACY] == "12.5" != rows[2]["cells"][ACCURACY]


def section(columns, names):
  """A section whose numbers tell row and column, the paper's without some."""

  def entry(row, column):
    mean = 0.01 * (10 * row + column)
    return {"mean": mean, "ci95": [None, None], "n": 1}

  return {
    "title": "Section",
    "against": names[0],
    "columns": columns,
    "rows": [
      {
        "name": name,
        "ours": [entry(row, at) for at in range(len(columns))],
        "paper": [None, *[0.5 + 0.01 * row] * (len(columns) - 1)],
        **({"difference": [entry(row, 0)] * len(columns)} if row else {}),
      }
      for row, name in enumerate(names)
    ],
  }


def paper_table(columns, names, split="test"):
  content = {
    **{"title": "Table", "notes": "", "split": split, "failed": {}},
    **{"dataset": {}, "programs": {}, "sections": [section(columns, names)]},
  }
  return page_overview.paper_table(content)["sections"][0]


def test_a_section_that_is_wider_than_long_is_turned():
  long, wide = (
    paper_table(["a", "b"], "xyz"),
    paper_table(["a", "b", "c"], "xy"),
  )
  assert long["corner"] == "row" and long["columns"] == ["a", "b"]
  assert [row["name"] for row in long["rows"]] == ["x", "y", "z"]
  assert long["printed"] == [False, True]
  assert wide["corner"] == "score" and list(wide["columns"]) == ["x", "y"]
  assert [row["name"] for row in wide["rows"]] == ["a", "b", "c"]
  assert wide["printed"] == [True, True]
  # Row y, column c; the paper printed nothing of column a.
  assert wide["rows"][2]["cells"][1] == {"ours": "12.0", "paper": "51.0"}
  assert wide["rows"][0]["cells"][1] == {"ours": "10.0", "paper": ""}
  differences = wide["differences"]
  assert [c["label"] for c in differences["columns"]] == ["score", "y"]
  assert [row["name"] for row in differences["rows"]] == ["a", "b", "c"]
  assert differences["rows"][0]["cells"] == ["10.0"]
  for table in (long, wide):
    assert {len(row["cells"]) for row in table["rows"]} == {
      len(table["columns"])
    }


def test_on_validation_the_papers_numbers_are_left_out():
  table = paper_table(["a", "b"], "xyz", "validation")
  assert table["printed"] == [False, False]
  assert {c["paper"] for row in table["rows"] for c in row["cells"]} == {""}
