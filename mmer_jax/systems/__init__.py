"""One folder per paper. `SYSTEMS` is the only lookup by name."""

from mmer_jax.systems import baselines, dae_mmd, m3er, mtee, multiview

SYSTEMS = {
  "dae_mmd": dae_mmd.build,
  "ef_lstm": baselines.build_ef_lstm,
  "lf_lstm": baselines.build_lf_lstm,
  "m3er": m3er.build,
  "mfn": m3er.build_mfn,
  "mtee": mtee.build,
  "multiview": multiview.build,
}
