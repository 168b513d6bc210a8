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
    ["opened", "majority class", "closed", "majority class"],
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
