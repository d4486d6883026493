"""Times what a person waits for: the first step of a run, and the first image of a prediction.

    python benchmarks/start_up.py [--config=configs/street_scenes.py] [--turns=3]

Starts `main.py` as a user does: first with an empty cache folder, then again with the same one.
Prints the medians in seconds of wall-clock and of processor time. Then tells where the time goes in
a start with a filled cache: imports by package, and what jax traces, lowers and compiles (or reads
from the cache), in seconds of a start that is slowed down by being watched.
"""

import argparse
import collections
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
_STAGES = {
  "tracing": r"Finished tracing .* in ([0-9.e-]+) sec",
  "lowering": r"Finished jaxpr to MLIR module conversion .* in ([0-9.e-]+) sec",
  "compiling, or reading the cache": r"Finished XLA compilation of .* in ([0-9.e-]+) sec",
}


class Spent(NamedTuple):
  """Seconds that a command took."""

  wall: float
  processor: float


def _run(
  command: list[str], cache: pathlib.Path, until: str | None = None, **watch: str
) -> tuple[Spent, str]:
  """Runs a command to its end, or until a line of its log contains a text; returns the log too."""
  environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache), **watch}
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  start = time.perf_counter()
  log, found = [], until is None
  with subprocess.Popen(
    command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
  ) as process:
    for line in process.stderr:
      log.append(line)
      if until and until in line:
        found = True
        process.kill()
        break
    process.wait()
    wall = time.perf_counter() - start
  if not found or (until is None and process.returncode):
    sys.exit("".join(log))
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
  return Spent(wall, processor), "".join(log)


def _training(config: str) -> Callable[..., tuple[Spent, str]]:
  """Starts a run of two steps in a new folder, until the first step is logged."""

  def start(cache: pathlib.Path, *options: str, **watch: str) -> tuple[Spent, str]:
    with tempfile.TemporaryDirectory() as workdir:
      command = [sys.executable, *options, str(ROOT / "main.py"), f"--config={config}"]
      command += [f"--workdir={workdir}/run", "--config.total_steps=2"]
      command += ["--config.schedule.warmup_steps=0", "--config.log_training_steps=1"]
      return _run(command, cache, "  step 1/2  ", **watch)

  return start


def _prediction(config: str, folder: pathlib.Path) -> Callable[..., tuple[Spent, str]]:
  """Predicts one image with a run of one step."""
  pixels = np.random.default_rng(0).integers(256, size=(256, 512, 3), dtype=np.uint8)
  cv2.imwrite(str(folder / "image.png"), pixels)
  command = [sys.executable, str(ROOT / "main.py"), f"--config={config}"]
  command += [f"--workdir={folder}/run", "--config.total_steps=1"]
  _run([*command, "--config.evals.val.split=validation[:4]"], folder / "cache")

  def start(cache: pathlib.Path, *options: str, **watch: str) -> tuple[Spent, str]:
    with tempfile.TemporaryDirectory() as masks:
      command = [sys.executable, *options, str(ROOT / "main.py"), "--mode=predict"]
      command += [f"--workdir={folder}/run", f"--images={folder}/image.png", f"--output={masks}"]
      return _run(command, cache, **watch)

  return start


def _imports(log: str) -> Mapping[str, float]:
  """Seconds by package, from the log of `python -X importtime`; without what each one imports."""
  spent: collections.Counter[str] = collections.Counter()
  for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", log):
    package = name.partition(".")[0].removeprefix("_")
    spent[package] += int(own) / 1e6
  return dict(spent.most_common(6))


def _measure(name: str, start: Callable[..., tuple[Spent, str]], turns: int) -> None:
  """Prints the times of starts with an empty and a filled cache, and where they go."""
  spent: dict[str, list[Spent]] = {"empty cache": [], "filled cache": []}
  for _ in range(turns):
    with tempfile.TemporaryDirectory() as folder:
      for values in spent.values():
        values.append(start(pathlib.Path(folder))[0])
  for cache, values in spent.items():
    wall, processor = (statistics.median(column) for column in zip(*values, strict=True))
    print(f"{name:16s} {cache:14s} {wall:6.1f} s, {processor:6.1f} s of processor time", flush=True)
  with tempfile.TemporaryDirectory() as folder:
    cache = pathlib.Path(folder)
    start(cache)
    _, log = start(cache, "-X", "importtime")
    for package, seconds in _imports(log).items():
      print(f"  importing {package:21s} {seconds:6.2f} s")
    _, log = start(cache, JAX_LOG_COMPILES="1")
    for stage, pattern in _STAGES.items():
      print(f"  {stage:31s} {sum(map(float, re.findall(pattern, log))):6.2f} s", flush=True)


def main() -> None:
  """Runs the program; see above."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--config", default=str(ROOT / "configs/street_scenes.py"))
  parser.add_argument("--turns", type=int, default=3)
  arguments = parser.parse_args()
  _measure("first step", _training(arguments.config), arguments.turns)
  with tempfile.TemporaryDirectory() as folder:
    start = _prediction(arguments.config, pathlib.Path(folder))
    _measure("first image", start, arguments.turns)


if __name__ == "__main__":
  main()
