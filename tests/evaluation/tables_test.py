"""Results as people see them."""

from mmer_jax.evaluation import tables
from tests.evaluation import made_up


def test_tables_are_percent_with_one_decimal():
  got = made_up.result()
  page = tables.markdown(got)
  entry = got["summary"]["accuracy"]
  half = 100 * (entry["ci95"][1] - entry["mean"])
  cell = f"{100 * entry['mean']:.1f} ± {half:.1f}"
  baseline = 100 * got["majority_baseline"]["accuracy"]
  over_folds = tables.percent_over_folds(entry)
  assert f"| accuracy | {cell} | {over_folds} | 4 | {baseline:.1f} |" in page
  assert "| sad |" in page
  assert "percent" in str(tables.to_rich(got).caption)


def test_an_interval_that_is_cut_is_printed_by_its_ends():
  entry = {"mean": 0.95, "std": 0.1, "ci95": [0.8, 1.0], "n": 3}
  assert tables.percent(entry) == "95.0 (80.0 to 100.0)"
  assert tables.percent({**entry, "ci95": [0.9, 1.0]}) == "95.0 ± 5.0"
  assert tables.percent({**entry, "ci95": [None, None]}) == "95.0"


def test_a_run_that_failed_is_named_with_its_reason():
  got = made_up.result(failed=1)
  (line,) = tables.failures(got)
  assert "run 1: its loss is not finite at step 3" in line
  assert line in tables.markdown(got)
  assert tables.failures(made_up.result()) == []
