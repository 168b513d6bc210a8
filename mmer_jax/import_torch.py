r"""Turns a published PyTorch MTEE into a workdir of ours.

Example:
  python -c "import numpy, torch; \
    state = torch.load('model.pt', weights_only=True); \
    numpy.savez('model.npz', **{k: v.numpy() for k, v in state.items()})"
  python -m mmer_jax.import_torch --state_dict=model.npz \
    --config=configs/mtee/mosei.py --config.data.dir=DIR --workdir=W

The state dict is that of the implementation that Dai et al. published: names
`RNNs.{0,1,2}.*` for text, audio and visual, `affineAudio.*`,
`affineVisual.*`, `modality_weights.weight`, `textEmoEmbs.weight`. It used no
padding mask: logits agree where nothing is masked.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli
from mmer_jax.evaluation import import_torch


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file(
    "config", None, "The config, as FILE[:VARIANT]."
  )
  flags.DEFINE_string("state_dict", None, "The state dict, as .npz.")
  flags.DEFINE_string("workdir", None, "The new folder to write.")
  flags.mark_flags_as_required(["config", "state_dict", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Imports as the flags say."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  import_torch.write_workdir(
    pathlib.Path(flags.FLAGS.state_dict), flags.FLAGS.config, folder
  )
  rich.console.Console().print(
    f"imported; python -m mmer_jax.evaluate --workdir={folder}"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)
