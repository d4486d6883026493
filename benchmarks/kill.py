"""Kills a run at random moments, and checks that it still ends with the same results.

    python benchmarks/kill.py [--kills=20] [--steps=200] [--seed=0] [--folder=DIR]

Trains a tiny network on tiny street scenes, twice undisturbed, and then with `kill -9` at random
moments: during start-up, data preparation, steps, evaluations and saves. After each kill it runs
the same command again. A run survives its kills if it ends with the same parameters, scores,
per-image matrices and curves as the undisturbed run, bit for bit, with no step logged twice. The
exit code is 0 if all kills were survived.
"""

import argparse
import itertools
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from flax_unet.run import events

ROOT = pathlib.Path(__file__).parents[1]


def command(folder: pathlib.Path, steps: int) -> list[str]:
  """The command of a run whose data and files are under `folder`."""
  return [
    sys.executable,
    str(ROOT / "main.py"),
    f"--config={ROOT / 'configs/street_scenes.py'}:runlocal",
    f"--config.input.data.data_dir={folder / 'data'}",
    f"--config.total_steps={steps}",
    "--config.evals.val.log_steps=25",
    "--config.ckpt_steps=10",
    "--config.model.depth=2",
    f"--workdir={folder / 'run'}",
  ]


def run(folder: pathlib.Path, steps: int, seconds: float | None = None) -> int | None:
  """Runs to the end or kills the run after `seconds`; returns its exit code, None if killed."""
  with (folder / "log.txt").open("a") as log:
    process = subprocess.Popen(
      command(folder, steps), stdout=log, stderr=log, start_new_session=True
    )
    try:
      return process.wait(seconds)
    except subprocess.TimeoutExpired:
      process.send_signal(signal.SIGKILL)
      process.wait()
      return None


def outcome(folder: pathlib.Path) -> dict[str, object]:
  """The results that equal runs must share; speeds and times differ."""
  workdir = folder / "run"
  curves = events.scalars(workdir)
  timed = ("train/steps_per_second", "train/images_per_second", "train/waiting_for_data")
  with np.load(workdir / "report/confusions.npz") as arrays:
    confusions = {name: arrays[name].tolist() for name in arrays}
  return {
    "parameters": json.loads((workdir / "run.json").read_text())["params_digest"],
    "scores": json.loads((workdir / "report/metrics.json").read_text()),
    "per-image matrices": confusions,
    "curves": {tag: curve for tag, curve in curves.items() if tag not in timed},
  }


def _different(expected: dict[str, object], found: dict[str, object]) -> str:
  return ", ".join(key for key in expected if found[key] != expected[key]) or "nothing"


def main() -> None:
  """Runs the program; see above."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--kills", type=int, default=20)
  parser.add_argument("--kills_per_run", type=int, default=5)
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--folder", type=pathlib.Path, help="default: a temporary one")
  arguments = parser.parse_args()
  folder = arguments.folder or pathlib.Path(tempfile.mkdtemp())

  outcomes = []
  for name in ("calm", "calm_again"):  # the first run fills the compilation cache
    calm = folder / name
    calm.mkdir(parents=True)
    started = time.monotonic()
    if run(calm, arguments.steps):
      sys.exit(f"the undisturbed run failed: see {calm / 'log.txt'}")
    duration = time.monotonic() - started
    outcomes.append(outcome(calm))
  expected, again = outcomes
  print(f"undisturbed: {duration:.0f} s, parameters {expected['parameters'][:12]}")
  print(f"again, different: {_different(expected, again)}", flush=True)

  moments = random.Random(arguments.seed)
  tried = survived = 0
  for number in itertools.count():
    if tried == arguments.kills:
      break
    disturbed = folder / f"disturbed_{number}"
    disturbed.mkdir()
    kills = 0
    while kills < min(arguments.kills_per_run, arguments.kills - tried):
      seconds = moments.uniform(0, duration)
      code = run(disturbed, arguments.steps, seconds)
      if code is not None:
        break
      kills += 1
      steps = sorted(path.name for path in disturbed.glob("run/checkpoints/*"))
      print(f"  killed after {seconds:.1f} s; checkpoints {', '.join(steps) or 'none'}", flush=True)
    tried += kills
    if run(disturbed, arguments.steps):
      print(f"could not resume: see {disturbed / 'log.txt'}")
      continue
    different = _different(expected, outcome(disturbed))
    print(f"after {kills} kills, different: {different}", flush=True)
    survived += kills if different == "nothing" else 0
  print(f"survived {survived} of {tried}")
  sys.exit(survived < tried)


if __name__ == "__main__":
  main()
