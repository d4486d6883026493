"""Times `flax_unet.tools.score` against the official Cityscapes script, and compares their scores.

    python benchmarks/score.py --zips=FOLDER_OF_THE_CITYSCAPES_ARCHIVES --pictures=40

Takes label and instance maps from `gtFine_trainvaltest.zip` (repeating them if there are fewer than
asked for), makes predictions with errors of every kind, and times both programs on the same files,
as whole processes, including iIoU. Ours also computes the audit and an interval; cityscapesScripts
runs as installed, and is faster if it was installed with `CYTHONIZE_EVAL` set.
"""

import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import zipfile

import cv2
import numpy as np
from absl import app, flags

_ZIPS = flags.DEFINE_string(
  "zips", os.environ.get("CITYSCAPES_ZIPS"), "Folder of gtFine_trainvaltest.zip."
)
_PICTURES = flags.DEFINE_integer("pictures", 40, "Number of images.")

_OFFICIAL = """
import numpy
numpy.in1d = numpy.isin  # NumPy 2.4 has no in1d
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
official.main()
"""


def main(_):
  """Runs the program; see above."""
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    _write_pictures(pathlib.Path(_ZIPS.value) / "gtFine_trainvaltest.zip", folder)
    labels, predictions = folder / "gtFine" / "val", folder / "results"
    official = _time([sys.executable, "-c", _OFFICIAL], folder)
    ours = _time(
      [
        *(sys.executable, "-m", "flax_unet.tools.score", f"--predictions={predictions}"),
        *(f"--labels={labels}", f"--instances={labels}", f"--json={folder / 'ours.json'}"),
      ],
      folder,
    )
    difference = _largest_difference(folder)
  print(f"{_PICTURES.value} images of 2048 x 1024 on {os.cpu_count()} cores")
  for name, (clock, used) in (("cityscapesScripts", official), ("flax_unet.tools.score", ours)):
    print(f"{name:24}{clock:6.1f} s, {used:6.1f} s of CPU time")
  print(f"ours is {official[0] / ours[0]:.1f} times as fast")
  print(f"largest difference of a score: {difference:.1e}")


def _write_pictures(archive_file: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes label and instance maps and predictions in the official layout."""
  labels, results = folder / "gtFine" / "val" / "city", folder / "results"
  labels.mkdir(parents=True)
  results.mkdir()
  rng = np.random.default_rng(0)
  with zipfile.ZipFile(archive_file) as archive:
    names = itertools.cycle(sorted(n for n in archive.namelist() if n.endswith("labelIds.png")))
    for number, name in zip(range(_PICTURES.value), names, strict=False):
      stem = f"city_{number:06}_000000"
      content = archive.read(name)
      instances = archive.read(name.replace("labelIds", "instanceIds"))
      (labels / f"{stem}_gtFine_labelIds.png").write_bytes(content)
      (labels / f"{stem}_gtFine_instanceIds.png").write_bytes(instances)
      label = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
      cv2.imwrite(str(results / f"{stem}.png"), _prediction(label, rng))


def _prediction(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A shifted label with blocks of random ids, including void and unscored classes."""
  blocks = rng.integers(0, 34, (label.shape[0] // 16, label.shape[1] // 16)).astype(np.uint8)
  wrong = rng.random(blocks.shape) < 0.1
  enlarged = (x.repeat(16, axis=0).repeat(16, axis=1) for x in (wrong, blocks))
  return np.where(*enlarged, np.roll(label, (3, 7), (0, 1)))


def _time(command: list[str], folder: pathlib.Path) -> tuple[float, float]:
  """Runs a command; returns its wall-clock seconds and its CPU seconds over all cores."""
  environment = {
    **os.environ,
    "CITYSCAPES_DATASET": str(folder),
    "CITYSCAPES_RESULTS": str(folder / "results"),
    "CITYSCAPES_EXPORT_DIR": str(folder),
  }
  clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
  subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  return time.perf_counter() - clock, used


def _largest_difference(folder: pathlib.Path) -> float:
  """The largest absolute difference in any class, category or mean score."""
  ours = json.loads((folder / "ours.json").read_text())
  theirs = json.loads((folder / "resultPixelLevelSemanticLabeling.json").read_text())
  pairs = [
    (ours["mean_iou"], theirs["averageScoreClasses"]),
    (ours["category_iou"], theirs["averageScoreCategories"]),
    (ours["iiou"], theirs["averageScoreInstClasses"]),
    (ours["category_iiou"], theirs["averageScoreInstCategories"]),
  ]
  for group, iou, iiou in (
    ("per_class", "classScores", "classInstScores"),
    ("per_category", "categoryScores", "categoryInstScores"),
  ):
    for name, item in ours[group].items():
      pairs += [(item["iou"], theirs[iou][name])]
      pairs += [(item["iiou"], theirs[iiou][name])] if "iiou" in item else []
  return max(abs(a - b) for a, b in pairs if a is not None)


if __name__ == "__main__":
  flags.mark_flag_as_required("zips")
  app.run(main)
