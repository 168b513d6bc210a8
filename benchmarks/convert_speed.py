r"""Measures how fast a corpus becomes shards, and in how much memory.

  python benchmarks/convert_speed.py --rows=25000 --workers=1 --workers=2
  python benchmarks/convert_speed.py --rows=100000 --runner=DirectRunner \
    --beam_options=direct_num_workers=2,direct_running_mode=multi_processing

The corpus is synthetic, in CMU-MOSEI's shapes: 300 lexical, 74 acoustic and 35
visual features of 4 to 20 words; drawing it is part of the time. Whole
processes of `data_prep.convert` are timed, from start to manifest. Memory is
the most that the process and those that it has started held at one time, pages
that they share divided among them (PSS). The last line of the output is JSON,
with the machine's load before.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

# Seconds between looks at the memory.
_PAUSE = 0.25


def main() -> None:
  """Times conversions and prints what they took as JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rows", type=int, default=2000)
  parser.add_argument("--workers", type=int, action="append")
  parser.add_argument("--runner")
  parser.add_argument("--beam_options", default="")
  parser.add_argument("--file_format", default="array_record")
  parser.add_argument("--folder", help="Where the shards go for a while.")
  flags = parser.parse_args()
  how = [[f"--workers={each}"] for each in flags.workers or (1,)]
  if flags.runner:
    how = [[f"--runner={flags.runner}", f"--beam_options={flags.beam_options}"]]
  result = {
    "rows": flags.rows,
    "cores": len(os.sched_getaffinity(0)),
    "load": os.getloadavg(),
    "conversions": [
      _convert(flags.rows, each, flags.file_format, flags.folder)
      for each in how
    ],
  }
  sys.stdout.write(json.dumps(result) + "\n")


def _convert(
  rows: int, how: list[str], file_format: str, folder: str | None
) -> dict[str, object]:
  """Converts in a process of its own."""
  with tempfile.TemporaryDirectory(dir=folder) as place:
    output = pathlib.Path(place) / "shards"
    command = [
      *(sys.executable, "-m", "data_prep.convert", "--source=synthetic"),
      *("--preset=mosei", f"--num_examples={rows}", f"--output={output}"),
      *(f"--file_format={file_format}", *how),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
      memory = 0
      while process.poll() is None:
        memory = max(memory, _held(process.pid))
        time.sleep(_PAUSE)
    seconds = time.perf_counter() - begun
    if process.returncode:
      raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    manifest = json.loads((output / "manifest.json").read_text())
  return {
    "how": how,
    "seconds": seconds,
    "rows_per_second": rows / seconds,
    "cpu_seconds_of_the_main_process": (
      after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ),
    "peak_memory_bytes": memory,
    "shard_bytes": sum(shard["bytes"] for shard in manifest["shards"]),
    "fingerprint": manifest["fingerprint"],
  }


def _held(root: int) -> int:
  """Adds up the memory of a process and of all that it has started."""
  parents = {}
  for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
    try:
      after_name = path.read_text().rpartition(")")[2].split()
    except OSError:
      continue
    parents[int(path.parent.name)] = int(after_name[1])
  held = 0
  for each in parents:
    above = each
    while above not in (root, 0):
      above = parents.get(above, 0)
    if above == root:
      held += _proportional(each)
  return held


def _proportional(process: int) -> int:
  """Reads the PSS of a process; 0 where it has ended."""
  try:
    text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
  except OSError:
    return 0
  line = next((e for e in text.splitlines() if e.startswith("Pss:")), "Pss: 0")
  return int(line.split()[1]) * 1024


if __name__ == "__main__":
  main()
