"""Times the start-up until the first step, with an empty and with a filled compilation cache.

    python benchmarks/start_up.py [--config=configs/street_scenes.py] [--turns=3]

Starts `main.py` as a user does, each time in a new run folder: first with an empty cache folder,
then again with the same one. Prints the medians, and the median of the ratios.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]


def seconds_to_first_step(config: str, cache: pathlib.Path) -> float:
  """Starts a run of two steps, and returns the seconds until the first step is logged."""
  environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
  with tempfile.TemporaryDirectory() as workdir:
    command = [
      sys.executable,
      str(ROOT / "main.py"),
      f"--config={config}",
      f"--workdir={workdir}/run",
      "--config.total_steps=2",
      "--config.schedule.warmup_steps=0",
      "--config.log_training_steps=1",
    ]
    start = time.perf_counter()
    with subprocess.Popen(
      command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as process:
      log = []
      for line in process.stderr:
        log.append(line)
        if "  step 1/2  " in line:
          seconds = time.perf_counter() - start
          process.kill()
          return seconds
  sys.exit("".join(log))


def main() -> None:
  """Runs the program; see above."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--config", default=str(ROOT / "configs/street_scenes.py"))
  parser.add_argument("--turns", type=int, default=3)
  arguments = parser.parse_args()

  cold, warm = [], []
  for _ in range(arguments.turns):
    with tempfile.TemporaryDirectory() as cache:
      cold.append(seconds_to_first_step(arguments.config, pathlib.Path(cache)))
      warm.append(seconds_to_first_step(arguments.config, pathlib.Path(cache)))
      print(f"empty cache {cold[-1]:.1f} s, filled cache {warm[-1]:.1f} s", flush=True)
  ratio = statistics.median(w / c for w, c in zip(warm, cold, strict=True))
  print(f"empty cache            {statistics.median(cold):.1f} s")
  print(f"filled cache           {statistics.median(warm):.1f} s")
  print(f"filled / empty         {ratio:.2f}")


if __name__ == "__main__":
  main()
