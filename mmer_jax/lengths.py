r"""Draws histograms of the lengths of the utterances and words of shards.

Example:
  python -m mmer_jax.lengths --data_dir=data/iemocap4 --out=figures

Words and acoustic frames of every utterance and, where the shards say which
word a frame belongs to, frames of every word: Aguilar et al. 2019, appendix A,
which takes config.data.max_length and config.model.word_frames from them.
Writes OUT/lengths.json, .svg and .png. Needs matplotlib: pip install
'mmer_jax[report]'.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli
from mmer_jax.reporting import lengths, plots


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("data_dir", None, "A shard folder.")
  flags.DEFINE_string("out", None, "The folder of the figure.")
  flags.mark_flags_as_required(["data_dir", "out"])


def main(argv: Sequence[str]) -> None:
  """Draws as the flags say."""
  del argv
  content = lengths.lengths(pathlib.Path(flags.FLAGS.data_dir))
  drawn = plots.save(content, pathlib.Path(flags.FLAGS.out))
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  console.print(f"figure: {drawn}", markup=False)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
