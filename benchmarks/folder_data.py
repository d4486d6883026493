"""Times how long it takes to find and check a folder of images, compared with another checkout.

    git worktree add ../before COMMIT
    python -m benchmarks.folder_data --other=../before [--pairs=20000] [--turns=3]

Draws new images and masks, half JPEG and half PNG, in a temporary folder. The two programs take
turns on the same files, in separate processes. Prints the median of the ratios, and whether both
found the same files.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile

import cv2
import numpy as np
from absl import flags

from flax_unet import errors

_OTHER = flags.DEFINE_string("other", None, "Root of the other checkout.")
_PAIRS = flags.DEFINE_integer("pairs", 20_000, "Number of images.", lower_bound=10)
_TURNS = flags.DEFINE_integer("turns", 3, "Timed runs of each program.", lower_bound=1)
_SIZE = flags.DEFINE_string("size", "64x96", "HEIGHTxWIDTH of the images, in pixels.")

_PROGRAM = """
import sys, time
from configs import folder
from flax_unet.data import datasets, label_spaces
config = folder.get_config("images=images,labels=labels,num_classes=3")
config.input.data.data_dir = sys.argv[1]
start = time.perf_counter()
dataset = datasets.open_dataset(config.input.data, label_spaces.get("3_classes"))
dataset.split("train"), dataset.split("validation")
seconds = time.perf_counter() - start
print(seconds, *(split["sha256"] for split in dataset.fingerprint()["splits"].values()))
"""


def main(_) -> None:
  """Runs the program; see above."""
  other = pathlib.Path(_OTHER.value).expanduser().resolve()
  if not (other / "flax_unet").is_dir():
    raise errors.UserError(f"--other={_OTHER.value}: is not a checkout of this project")
  this = pathlib.Path(__file__).resolve().parents[1]
  with tempfile.TemporaryDirectory() as folder:
    _draw(pathlib.Path(folder))
    _run(this, folder)  # warms up the page cache
    seconds, found = {this: [], other: []}, {}
    for _ in range(_TURNS.value):
      for root in (this, other):
        took, *digests = _run(root, folder)
        seconds[root].append(float(took))
        found[root] = digests
  ratio = statistics.median(a / b for a, b in zip(seconds[this], seconds[other], strict=True))
  print(f"this checkout   {statistics.median(seconds[this]):.2f} s for {_PAIRS.value:,} pairs")
  print(f"the other       {statistics.median(seconds[other]):.2f} s")
  print(f"this / other    {ratio:.3f}")
  print(f"same files      {'yes' if found[this] == found[other] else 'NO'}")


def _draw(folder: pathlib.Path) -> None:
  height, width = map(int, _SIZE.value.split("x"))
  random = np.random.default_rng(0)
  for name in ("images", "labels"):
    (folder / name).mkdir()
  for index in range(_PAIRS.value):
    mask = random.integers(0, 3, (height // 8, width // 8), np.uint8).repeat(8, 0).repeat(8, 1)
    image = (mask[..., None] * 80 + random.integers(0, 40, (*mask.shape, 3))).astype(np.uint8)
    cv2.imwrite(str(folder / f"images/{index:06}.{('jpg', 'png')[index % 2]}"), image)
    cv2.imwrite(str(folder / f"labels/{index:06}.png"), mask)


def _run(root: pathlib.Path, folder: str) -> list[str]:
  command = [sys.executable, "-c", _PROGRAM, folder]
  done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
  if done.returncode:
    raise errors.UserError(f"{root}: {done.stderr.strip().splitlines()[-1]}")
  return done.stdout.split()


if __name__ == "__main__":
  flags.mark_flag_as_required("other")
  errors.run(main)
