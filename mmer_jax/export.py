r"""Exports what a workdir has selected: a folder that runs with JAX alone.

Example:
  python -m mmer_jax.export --workdir=runs/mtee_iemocap --out=models/mtee
  python -m mmer_jax.export --workdir=runs/mtee_iemocap --out=models/mtee_all \
    --ensemble
  python -m mmer_jax.export --refresh --out=models/mtee

Writes, all or nothing: model.stablehlo (`jax.export`; batch and time are
symbolic, the parameters an argument), model.safetensors, feature_spec.json,
config.json and README.md, a model card. The card documents them. StableHLO is
guaranteed to load for six months; --refresh writes it anew from the rest of the
folder. An export is code: load only one that you trust, as any program.
Needs flatbuffers and safetensors: pip install 'mmer_jax[export]'.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli, errors
from mmer_jax.serving import export


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", "", "A finished workdir of `mmer_jax.train`.")
  flags.DEFINE_string("out", None, "The folder of the export.")
  flags.DEFINE_list(
    "platforms",
    [],
    f"Some of {', '.join(export.PLATFORMS)}; cpu,cuda,tpu by default.",
  )
  flags.DEFINE_integer(
    "run",
    None,
    "Which run; by default the one of the best setting that is best on its"
    " validation split.",
  )
  flags.DEFINE_bool(
    "ensemble", False, "Average all folds and seeds of the best setting."
  )
  flags.DEFINE_enum(
    "thresholds",
    "fixed",
    ("fixed", "validation"),
    "What decides where decisions are binary, as in `mmer_jax.evaluate`:"
    " config.protocol.threshold, or the best for each emotion on the validation"
    " split.",
  )
  flags.DEFINE_bool(
    "ship_word_vectors",
    False,
    "Put the vectors of the words of the training's texts into the export, so"
    " that predict --text needs no file. Their licence must allow it.",
  )
  flags.DEFINE_bool(
    "refresh", False, "Write the StableHLO of the export in --out anew."
  )
  flags.DEFINE_string(
    "data_dir", "", "Shards, where they have moved since training."
  )
  flags.mark_flag_as_required("out")


def main(argv: Sequence[str]) -> None:
  """Exports as the flags say and prints what was written."""
  del argv
  values = flags.FLAGS
  out = pathlib.Path(values.out)
  if values.refresh:
    for name in (
      *("workdir", "run", "ensemble", "thresholds", "data_dir"),
      "ship_word_vectors",
    ):
      if values[name].present:
        raise errors.UserError(
          f"--refresh reads the export in --out alone, got --{name} too; leave"
          " it out"
        )
    spec = export.refresh(out, platforms=values.platforms)
  else:
    if not values.workdir:
      raise errors.UserError(
        "--workdir is missing, expected a workdir of `mmer_jax.train`; see"
        " --help"
      )
    spec = export.export(
      pathlib.Path(values.workdir),
      out,
      platforms=values.platforms or ["cpu", "cuda", "tpu"],
      run=values.run,
      ensemble=values.ensemble,
      thresholds=values.thresholds,
      data_dir=values.data_dir,
      ship_word_vectors=values.ship_word_vectors,
    )
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{out}: {spec['system']}, {len(spec['members'])} member(s), for"
    f" {', '.join(spec['platforms'])}"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)
