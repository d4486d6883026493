"""Shows how opening a folder of images grows with their number.

    python -m benchmarks.folder_data [--pairs=10000,100000] [--size=64x96]

Draws images and masks, half JPEG and half PNG, in a temporary folder, and opens both of their
splits in processes of their own: for the first time, again, and after an opening that was killed
half-way. Prints seconds, without imports, and the peak of the process's memory.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
from absl import app, flags

_PAIRS = flags.DEFINE_list("pairs", ["10000", "100000"], "Numbers of images.")
_SIZE = flags.DEFINE_string("size", "64x96", "HEIGHTxWIDTH of the images, in pixels.")

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PROGRAM = """
import resource, sys, time
from configs import folder
from flax_unet.data import datasets, label_spaces
config = folder.get_config("images=images,labels=labels,num_classes=3")
config.input.data.data_dir = sys.argv[1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
dataset = datasets.open_dataset(config.input.data, label_spaces.get("3_classes"))
dataset.split("train"), dataset.split("validation")
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, before / 1024, after / 1024)
"""


def main(_) -> None:
  """Runs the program; see above."""
  print("| images | | seconds | memory before | memory at most |")
  print("| ---: | --- | ---: | ---: | ---: |")
  for pairs in map(int, _PAIRS.value):
    with tempfile.TemporaryDirectory() as temporary:
      folder = pathlib.Path(temporary)
      _draw(folder, pairs)
      seconds = _show(pairs, "first time", _open(folder, "first"))
      _show(pairs, "again", _open(folder, "first"))
      _kill(folder, "second", seconds / 2)
      _show(pairs, "after an opening that was killed half-way", _open(folder, "second"))


def _show(pairs: int, what: str, found: list[float]) -> float:
  seconds, before, after = found
  print(f"| {pairs:,} | {what} | {seconds:.1f} | {before:.0f} MiB | {after:.0f} MiB |", flush=True)
  return seconds


def _draw(folder: pathlib.Path, pairs: int) -> None:
  height, width = map(int, _SIZE.value.split("x"))
  random = np.random.default_rng(0)
  for name in ("images", "labels"):
    (folder / name).mkdir()
  for index in range(pairs):
    mask = random.integers(0, 3, (height // 8, width // 8), np.uint8).repeat(8, 0).repeat(8, 1)
    image = (mask[..., None] * 80 + random.integers(0, 40, (*mask.shape, 3))).astype(np.uint8)
    cv2.imwrite(str(folder / f"images/{index:06}.{('jpg', 'png')[index % 2]}"), image)
    cv2.imwrite(str(folder / f"labels/{index:06}.png"), mask)


def _start(folder: pathlib.Path, cache: str) -> subprocess.Popen[str]:
  return subprocess.Popen(
    [sys.executable, "-c", _PROGRAM, str(folder)],
    cwd=_ROOT,
    env={**os.environ, "XDG_CACHE_HOME": str(folder / cache)},
    stdout=subprocess.PIPE,
    text=True,
  )


def _open(folder: pathlib.Path, cache: str) -> list[float]:
  """Opens the data; returns seconds, and memory before and at most in MiB."""
  with _start(folder, cache) as process:
    output, _ = process.communicate()
  if process.returncode:
    sys.exit(f"opening the data ended with {process.returncode}")
  return [float(value) for value in output.split()]


def _kill(folder: pathlib.Path, cache: str, seconds: float) -> None:
  """Opens the data, and kills the process after some seconds of checking files."""
  with _start(folder, cache) as process:
    while not (folder / cache).exists():  # made when the check begins
      time.sleep(0.05)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
  app.run(main)
