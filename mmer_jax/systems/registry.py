"""The systems by name: `config.system` is a key of `SYSTEMS`."""

from mmer_jax.systems.baselines import system as baselines
from mmer_jax.systems.dae_mmd import system as dae_mmd
from mmer_jax.systems.graph_mfn import system as graph_mfn
from mmer_jax.systems.m3er import system as m3er
from mmer_jax.systems.mtee import system as mtee
from mmer_jax.systems.mtl import system as mtl
from mmer_jax.systems.mult import system as mult
from mmer_jax.systems.multiview import system as multiview

# Name to what makes the system of a config: see `systems/interface.py`.
SYSTEMS = {
  "dae_mmd": dae_mmd.build,
  "ef_lstm": baselines.build_ef_lstm,
  "graph_mfn": graph_mfn.build,
  "lf_lstm": baselines.build_lf_lstm,
  "m3er": m3er.build,
  "mfn": m3er.build_mfn,
  "mtee": mtee.build,
  "mtl": mtl.build,
  "mult": mult.build,
  "multiview": multiview.build,
}

# Those whose `System.regression` is True, for messages.
REGRESSION = (
  "dae_mmd",
  "ef_lstm",
  "graph_mfn",
  "lf_lstm",
  "mfn",
  "mtl",
  "mult",
  "multiview",
)

# Those that are no network and have no training step: see `mmer_jax.linear`.
FITTED = ("linear",)
