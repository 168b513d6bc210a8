r"""Times R runs in one program against R programs in turn, with compilation.

  python benchmarks/concurrent_runs.py --config=configs/quickstart.py \
    --data_dir=quickstart/shards --runs=8 -- --config.training.epochs=5

Whole processes of `mmer_jax.train` are timed, from start to validation
results: R seeds of one fold at once, then one by one. No compile cache is
kept between them. The last line of the output is JSON. What follows `--` is
passed on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time


def main() -> None:
  """Times both ways and prints the seconds as JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--runs", type=int, default=8)
  parser.add_argument("rest", nargs="*")
  flags = parser.parse_args()
  environment = dict(os.environ)
  environment.pop("JAX_COMPILATION_CACHE_DIR", None)

  def seconds(seeds: range) -> float:
    with tempfile.TemporaryDirectory() as folder:
      begun = time.perf_counter()
      subprocess.run(
        [
          sys.executable,
          "-m",
          "mmer_jax.train",
          f"--config={flags.config}",
          f"--config.data.dir={flags.data_dir}",
          "--config.protocol.folds=(1,)",
          f"--config.seeds={tuple(seeds)}",
          "--config.training.early_stopping=0",
          f"--workdir={folder}",
          *flags.rest,
        ],
        check=True,
        capture_output=True,
        env=environment,
      )
      return time.perf_counter() - begun

  together = seconds(range(flags.runs))
  alone = [seconds(range(seed, seed + 1)) for seed in range(flags.runs)]
  result = {
    "runs": flags.runs,
    "one_program_seconds": together,
    "programs_in_turn_seconds": sum(alone),
    "ratio": together / sum(alone),
  }
  sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
  main()
