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
  assert f"| accuracy | {cell} | 4 | {baseline:.1f} |" in page
  assert "| sad |" in page
  assert "percent" in str(tables.to_rich(got).caption)
