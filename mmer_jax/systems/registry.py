"""One folder per paper. `SYSTEMS` is the only lookup by name."""

from mmer_jax.systems.baselines import system as system_lib
from mmer_jax.systems.dae_mmd import system
from mmer_jax.systems.m3er import system as m3er_system
from mmer_jax.systems.mtee import system as mtee_system
from mmer_jax.systems.multiview import system as multiview_system

SYSTEMS = {
  "dae_mmd": system.build,
  "ef_lstm": system_lib.build_ef_lstm,
  "lf_lstm": system_lib.build_lf_lstm,
  "m3er": m3er_system.build,
  "mfn": m3er_system.build_mfn,
  "mtee": mtee_system.build,
  "multiview": multiview_system.build,
}
