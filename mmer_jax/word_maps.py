r"""Writes a page that shows how much attention a model pays to each word.

Example:
  python -m mmer_jax.word_maps --workdir=runs/h_mm_4 --split=test --count=20

For models that read words (multiview's h_mm_*). A word is painted where it has
more attention than an equal share; the bars over it are the acoustic (left) and
the lexical (right) share, where the model weighs modalities. Aguilar et al.
2019, Figures 3, 7 and 8. Writes WORKDIR/figures/word_maps.html and .json.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli, workdir
from mmer_jax.evaluation import evaluate
from mmer_jax.reporting import word_maps, word_page


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", None, "A workdir of `mmer_jax.train`.")
  flags.DEFINE_enum(
    "split", "test", evaluate.SPLITS, "The split of the utterances."
  )
  flags.DEFINE_integer("run", 0, "The number of the workdir's run.")
  flags.DEFINE_integer("count", 20, "How many utterances.", lower_bound=1)
  flags.DEFINE_string(
    "out", "", "The folder of the page; WORKDIR/figures by default."
  )
  flags.mark_flag_as_required("workdir")


def main(argv: Sequence[str]) -> None:
  """Writes the page as the flags say."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  out = pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else folder / "figures"
  content = word_maps.word_maps(
    folder,
    split=flags.FLAGS.split,
    run=flags.FLAGS.run,
    count=flags.FLAGS.count,
  )
  out.mkdir(parents=True, exist_ok=True)
  workdir.write_json(out / "word_maps.json", content)
  workdir.write_text(out / "word_maps.html", word_page.page(content))
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  console.print(f"figure: {out / 'word_maps.html'}", markup=False)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
