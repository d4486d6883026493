import cv2
import numpy as np
import pytest

from flax_unet.evaluation.report import score_figures


@pytest.mark.parametrize("classes", [2, 19, 40])
def test_cells_have_the_colour_of_their_share(tmp_path, classes):
  confusion = np.zeros((classes, classes), np.int64)
  confusion[np.arange(classes - 1), np.arange(classes - 1)] = 100  # the last class has no pixels
  confusion[0, 1] = 100
  names = [f"$class_{index}$" for index in range(classes)]
  score_figures.confusion_matrix(confusion, names, tmp_path / "c.png")
  drawn = cv2.imread(str(tmp_path / "c.png"), cv2.IMREAD_COLOR_RGB).astype(int)
  pixels = {"right": (33, 102, 172), "empty": (244, 244, 242)}
  share = np.sqrt(0.5)
  pixels |= {
    "half_right": share * np.array(pixels["right"]) + (1 - share) * np.array(pixels["empty"]),
    "half_wrong": share * np.array((196, 70, 10)) + (1 - share) * np.array(pixels["empty"]),
  }
  count = {name: (abs(drawn - color).max(-1) < 3).sum() for name, color in pixels.items()}
  side = 0.34 * 200 if classes <= 32 else 0.1 * 200  # of a cell, in pixels at 200 dpi
  cells = {name: number / side**2 for name, number in count.items()}
  # Numbers cover some of a cell.
  assert classes - 2 >= cells["right"] > 0.6 * (classes - 2) - 0.1
  assert 1.1 > cells["half_right"] > 0.6 and 1.1 > cells["half_wrong"] > 0.6
  assert 1.02 * (classes**2 - classes) > cells["empty"] > 0.95 * (classes**2 - classes)


def test_the_histogram_has_a_bar_for_each_score(tmp_path):
  score_figures.image_scores(
    np.array([0.11] * 3 + [0.61] + [0.81] * 2 + [np.nan]), tmp_path / "h.png"
  )
  drawn = cv2.imread(str(tmp_path / "h.png"), cv2.IMREAD_COLOR_RGB).astype(int)
  blue = (abs(drawn - np.array((33, 102, 172))).max(-1) < 3).sum(0)
  bars = np.flatnonzero(blue > 20)
  groups = np.split(bars, np.flatnonzero(np.diff(bars) > 1) + 1)
  assert len(groups) == 3
  heights = np.array([blue[group].mean() for group in groups])
  np.testing.assert_allclose(heights / heights[1], (3, 1, 2), rtol=0.05)
