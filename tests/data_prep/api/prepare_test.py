"""Conversion and inspection from Python, without a command line."""

import pytest
import rich.console
from absl import flags

from data_prep.api import prepare
from data_prep.sources import flags as source_flags
from mmer_jax.base import errors

SPEC = """
import ml_collections

def get_config():
  config = ml_collections.ConfigDict()
  config.label = "{emotion}"
  config.features = {"acoustic": ("f_*",)}
  return config
"""
ROWS = (
  "id,emotion,speaker,f_1,f_2",
  "1,happy,a,1,2",
  "2,sad,b,3,",
  "3,,a,5,6",
  "4,happy,b,7,8",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("prepare")
  (folder / "rows.csv").write_text("\n".join(ROWS))
  (folder / "spec.py").write_text(SPEC)
  return folder


def keywords(folder, **changes):
  return {
    "source": "utterances",
    "spec": folder / "spec.py",
    "input": folder / "rows.csv",
    "word_vectors": "",
    "file_format": "array_record",
    "output": folder / "shards",
    "progress": False,
    **changes,
  }


@pytest.fixture(scope="module")
def made(folder):
  return prepare.convert(**keywords(folder))


def test_what_was_made_says_what_it_is_and_what_was_lost(made, folder):
  assert made.output == folder / "shards"
  assert made.emotions == ("happy", "sad")
  assert made.manifest["counts"]["labelled"] == 3
  shown = repr(made)
  assert "4 utterances (3 labelled)" in shown
  assert made.fingerprint[:12] in shown
  assert "1 acoustic value blank or not finite became 0 (f_2 1)" in shown
  assert "emotions: happy, sad" in shown


def test_a_description_is_tables_in_a_terminal_a_notebook_and_text(
  made, folder, monkeypatch
):
  monkeypatch.setenv("COLUMNS", "100")
  shards = prepare.inspect(made.output)
  assert shards.content["kind"] == "shards" and shards.damaged == []
  assert made.fingerprint in repr(shards)
  assert made.fingerprint in shards._repr_html_()
  console = rich.console.Console(width=100)
  with console.capture() as printed:
    console.print(shards)
  assert made.fingerprint in printed.get()
  assert "4 rows" in repr(prepare.inspect(folder / "rows.csv"))
  with pytest.raises(errors.UserError, match="nowhere does not exist"):
    prepare.inspect(folder / "nowhere")


def test_a_suggested_spec_converts(folder):
  path = folder / "suggested.py"
  path.write_text(prepare.suggest_spec(folder / "rows.csv"))
  made = prepare.convert(
    **keywords(folder, spec=path, output=folder / "suggested")
  )
  assert made.emotions == ("happy", "sad")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"sorce": 1}, "no keyword 'sorce'.*did you mean 'source'"),
    ({"source": "table"}, "source=table: .*utterances"),
    ({"workers": "many"}, "workers=many: invalid literal"),
    ({"preset": "tiny"}, "--preset does nothing with --source=utterances"),
    ({"input": "nowhere.csv"}, "nowhere.csv"),
    ({"output": None}, "--output is missing"),
  ],
)
def test_a_mistake_is_an_exception_of_one_line_and_writes_nothing(
  folder, changes, message
):
  before = sorted(folder.iterdir())
  options = keywords(folder, **{"output": folder / "refused", **changes})
  with pytest.raises(errors.UserError, match=message) as raised:
    prepare.convert(**options)
  assert "\n" not in str(raised.value)
  assert sorted(folder.iterdir()) == before


def test_keywords_mean_what_the_same_flags_mean():
  values = prepare.read_keywords(
    {
      "source": "utterances",
      "drop_columns": ["a", "b,c"],
      "label_map": ("scared=fear",),
      "num_shards": 3,
      "impute": False,
      "spec": None,
    }
  )
  assert values.drop_columns == ["a", "b,c"]
  assert values.label_map == ["scared=fear"]
  assert values.num_shards == 3 and values.impute is False
  assert not values["spec"].present
  # A conversion that was killed goes on, whoever began it.
  typed = flags.FlagValues()
  source_flags.define(typed)
  typed(["convert", "--source=utterances", '--drop_columns=a,"b,c"'])
  assert typed.drop_columns == values.drop_columns


def test_no_flag_of_the_process_is_read_or_changed(made):
  assert "source" not in flags.FLAGS
