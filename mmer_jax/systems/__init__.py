"""One folder per paper. `SYSTEMS` is the only lookup by name."""

from mmer_jax.systems import baselines, dae_mmd, mtee, multiview

SYSTEMS = {
  "dae_mmd": dae_mmd.build,
  "ef_lstm": baselines.build_ef_lstm,
  "lf_lstm": baselines.build_lf_lstm,
  "mtee": mtee.build,
  "multiview": multiview.build,
}
