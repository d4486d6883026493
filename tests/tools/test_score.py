import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(name="folders")
def _folders(tmp_path):
  """Three images of boxes with their instances, and predictions that are shifted labels."""
  rng = np.random.default_rng(0)
  for name in ("labels", "predictions"):
    (tmp_path / name).mkdir()
  for number in range(3):
    label = rng.permutation(np.arange(7, 34))[:24].reshape(4, 6).repeat(8, 0).repeat(8, 1)
    instance = np.where(label >= 24, 1000 * label + 1, label)
    stem = f"ulm_{number:06}_000019"
    labels = tmp_path / "labels" / f"{stem}_gtFine"
    cv2.imwrite(f"{labels}_labelIds.png", label.astype(np.uint8))
    cv2.imwrite(f"{labels}_instanceIds.png", instance.astype(np.uint16))
    shifted = np.roll(label, 2, axis=1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "predictions" / f"{stem}_pred.png"), shifted)
  return tmp_path


def _score(folder, *arguments):
  command = [sys.executable, "-m", "flax_unet.tools.score", f"--labels={folder / 'labels'}"]
  command += [f"--predictions={folder / 'predictions'}", *arguments]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prints_all_scores_and_writes_them(folders):
  result = _score(
    folders,
    f"--instances={folders / 'labels'}",
    "--claim=0.9665521",
    f"--json={folders / 'scores.json'}",
  )
  assert result.returncode == 0
  assert result.stderr == ""  # not a terminal, so no progress
  scores = json.loads((folders / "scores.json").read_text())
  assert scores["per_class"]["road"]["recall"] == 6 / 8  # boxes of 8 columns, shifted by 2
  assert scores["pictures"] == 3
  assert scores["mean_iou"] == scores["audit"]["official mean IoU"]
  assert scores["mean_iou_interval"][0] <= scores["mean_iou"] <= scores["mean_iou_interval"][1]
  assert scores["category_iou"] > scores["mean_iou"]
  assert 0 < scores["category_iiou"] < 1
  assert scores["claim"]["pixel_accuracy_needed"]["micro IoU"] == pytest.approx(0.983, abs=1e-4)
  for text in (
    f"mean IoU                {scores['mean_iou']:.4f}",
    f"iIoU                    {scores['iiou']:.4f}",
    f"accuracy with true negatives  {scores['audit']['accuracy with true negatives']:.4f}",
    "Claimed: 0.9665521",
  ):
    assert text in result.stdout


def test_a_mistake_is_one_line(folders):
  (folders / "predictions" / "ulm_000001_000019_pred.png").unlink()
  result = _score(folders)
  assert result.returncode == 1
  label = folders / "labels" / "ulm_000001_000019_gtFine_labelIds.png"
  assert result.stderr.splitlines() == [
    f"error: {label}: no file ulm_000001_000019*.png in {folders / 'predictions'}"
  ]


def test_instances_belong_to_cityscapes(folders):
  result = _score(folders, "--instances=x", "--label_space=voc_21")
  assert result.stderr == "error: --instances: label space 'voc_21' has no instances\n"


def test_a_mistake_in_a_worker_process_is_one_line(folders):
  file = folders / "predictions" / "ulm_000002_000019_pred.png"
  file.write_bytes(file.read_bytes()[:-20])
  result = _score(folders)
  assert result.returncode == 1
  (line,) = result.stderr.splitlines()
  assert line.startswith(f"error: {file}: cannot be decoded (") and line.endswith(
    "damaged or truncated"
  )


def test_own_masks_are_scored_by_equal_names(tmp_path):
  """Palette labels; TIFF and colour predictions, one of which has no label."""
  rng = np.random.default_rng(0)
  classes = tmp_path / "classes.csv"
  classes.write_text("name,r,g,b\nground,0,0,0\ndisc,255,0,0\n")
  colors = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
  for name in ("labels/day", "predictions/day"):
    (tmp_path / name).mkdir(parents=True)
  errors = 0
  for number in (1, 10):
    label = rng.integers(0, 2, (8, 12)).astype(np.uint8)
    prediction = label.copy()
    prediction[0, :number] ^= 1
    errors += number
    image = Image.fromarray(label)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / f"labels/day/p{number}_mask.png")
    if number == 1:
      Image.fromarray(prediction).save(tmp_path / "predictions/day/p1.tif")
    else:
      Image.fromarray(colors[prediction]).save(tmp_path / "predictions/day/p10.png")
  Image.fromarray(label).save(tmp_path / "predictions/other.png")
  scores = tmp_path / "scores.json"
  result = _score(tmp_path, f"--label_space={classes}", "--label_suffix=_mask", f"--json={scores}")
  assert result.returncode == 0, result.stderr
  assert result.stdout.startswith(f"2 images, {classes} (1 prediction without a label left out)")
  assert json.loads(scores.read_text())["pixel_accuracy"] == 1 - errors / (2 * 8 * 12)


def test_class_indices_taken_for_label_ids_are_suspected(folders):
  for file in (folders / "predictions").iterdir():
    ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(file), ids % 19)
  hint = "No prediction has an id of 19 or more"
  assert hint in _score(folders).stdout
  assert hint not in _score(folders, "--prediction_ids=train_ids").stdout
