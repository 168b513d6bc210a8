"""The systems by name: `config.system` is a key of `SYSTEMS`."""

from mmer_jax.systems.baselines import system as baselines
from mmer_jax.systems.dae_mmd import system as dae_mmd
from mmer_jax.systems.m3er import system as m3er
from mmer_jax.systems.mtee import system as mtee
from mmer_jax.systems.multiview import system as multiview

# Name to what makes the system of a config: see `systems/interface.py`.
SYSTEMS = {
  "dae_mmd": dae_mmd.build,
  "ef_lstm": baselines.build_ef_lstm,
  "lf_lstm": baselines.build_lf_lstm,
  "m3er": m3er.build,
  "mfn": m3er.build_mfn,
  "mtee": mtee.build,
  "multiview": multiview.build,
}
