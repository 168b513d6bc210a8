"""One folder per paper. `SYSTEMS` is the only lookup by name."""

from mmer_jax.systems import baselines, mtee

SYSTEMS = {
  "ef_lstm": baselines.build_ef_lstm,
  "lf_lstm": baselines.build_lf_lstm,
  "mtee": mtee.build,
}
