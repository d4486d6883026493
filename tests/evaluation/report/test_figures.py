"""Figures, checked by the pixels in the file or the artists in the figure."""

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from flax_unet.data.label_spaces import CITYSCAPES_19, IGNORED
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import curves, figures, score_figures

ROAD, PERSON, TRAIN, CAR = (
  CITYSCAPES_19.class_names.index(name) for name in ("road", "person", "train", "car")
)


@pytest.fixture
def drawn(monkeypatch):
  """A list that collects every figure written."""
  saved, savefig = [], Figure.savefig

  def spy(self, *args, **kwargs):
    saved.append(self)
    savefig(self, *args, **kwargs)

  monkeypatch.setattr(Figure, "savefig", spy)
  return saved


def read(path):
  """Returns uint8 [height, width, 3], RGB."""
  return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def count(pixels, color):
  return np.count_nonzero((pixels == np.asarray(color)).all(axis=-1))


def make_triple(height=128, width=256):
  """A road with a person, who is predicted as a train; a tenth is ignored."""
  image = np.random.default_rng(0).integers(256, size=(height, width, 3)).astype(np.uint8)
  label = np.full((height, width), ROAD, np.uint8)
  # The edge lies inside a block of 4 x 4 pixels, where shrinking could mix colours.
  label[height // 2 :, : width // 4 + 2] = PERSON
  prediction = np.where(label == PERSON, TRAIN, label).astype(np.uint8)
  label[:, -width // 10 :] = IGNORED
  return "frankfurt_000000", image, label, prediction


def best_match(pixels, patch):
  """The part of the image that is most similar to the patch, with the patch's size."""
  _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(pixels, patch, cv2.TM_SQDIFF))
  return pixels[top : top + patch.shape[0], left : left + patch.shape[1]]


def test_qualitative_draws_small_pictures_pixel_by_pixel(tmp_path):
  triple = make_triple(128, 256)
  figures.qualitative([triple], CITYSCAPES_19, tmp_path / "q.png")
  pixels = read(tmp_path / "q.png")
  _, image, label, prediction = triple
  enlarged = image.repeat(2, axis=0).repeat(2, axis=1)
  np.testing.assert_array_equal(best_match(pixels, enlarged), enlarged)
  for index in (ROAD, PERSON, TRAIN):
    areas = 4 * (np.count_nonzero(label == index) + np.count_nonzero(prediction == index))
    legend = count(pixels, CITYSCAPES_19.colors[index]) - areas
    assert 100 < legend < 600, CITYSCAPES_19.class_names[index]
  assert count(pixels, CITYSCAPES_19.colors[CAR]) == 0
  assert count(pixels, (0, 0, 0)) >= 4 * np.count_nonzero(label == IGNORED)


def test_qualitative_names_pictures_and_classes(tmp_path, drawn):
  triple = make_triple()
  figures.qualitative([triple, (r"$\a$", *triple[1:])], CITYSCAPES_19, tmp_path / "q.png")
  texts = [text.get_text() for text in drawn[0].texts]
  # For matplotlib, the second id would be a malformed formula.
  assert texts == ["Image", "Label", "Prediction", "frankfurt_000000", r"$\a$"]
  legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
  assert legend == ["road", "person", "train", "ignored"]


def test_qualitative_shrinks_large_pictures_without_mixing_classes(tmp_path):
  name, _, label, prediction = make_triple(1024, 2048)
  smooth = cv2.resize(make_triple(128, 256)[1], (2048, 1024))
  figures.qualitative([(name, smooth, label, prediction)] * 2, CITYSCAPES_19, tmp_path / "q.png")
  pixels = read(tmp_path / "q.png")
  assert pixels.shape[1] == 3 * 512 + 4 * 12
  assert (tmp_path / "q.png").stat().st_size < 1e6
  masks = pixels[50:290, 540:]  # inside the label and prediction of the first row
  palette = [CITYSCAPES_19.colors[index] for index in (ROAD, PERSON, TRAIN)]
  known = sum(count(masks, color) for color in [*palette, (0, 0, 0), (255, 255, 255)])
  assert known == masks.shape[0] * masks.shape[1]


def test_qualitative_legend_fits_below_narrow_pictures(tmp_path, drawn):
  label = np.arange(19, dtype=np.uint8).repeat(4).reshape(19, 4)
  image = np.zeros((19, 4, 3), np.uint8)
  figures.qualitative([("a", image, label, label)], CITYSCAPES_19, tmp_path / "q.png")
  box = drawn[0].legends[0].get_window_extent()
  assert box.x0 >= 0
  assert box.x1 <= read(tmp_path / "q.png").shape[1]


def _panels(history):
  return curves.panels(history, dict.fromkeys(("val", "train"), segmentation.SCORES[0]))


def test_learning_curves_panels(tmp_path, drawn):
  steps = np.arange(1000)
  history = {
    "loss": (steps, 1.0 + steps % 2),
    "learning_rate": (steps, 0.01 * (1 - steps / 1000)),
    "val/mean_iou": ([0, 500, 999], [0.1, 0.65, 0.6]),
    "train/mean_iou": ([0, 999], [float("nan"), 0.7]),
    "val/pixel_accuracy": ([0], [0.9]),
  }
  figures.learning_curves(_panels(history), tmp_path / "c.png")
  loss, mean_iou, rate = drawn[0].axes
  assert [axes.get_ylabel() for axes in drawn[0].axes] == ["Loss", "Mean IoU", "Learning rate"]
  raw, smooth = (line.get_xydata() for line in loss.lines)
  np.testing.assert_array_equal(raw[:, 1], 1.0 + steps % 2)
  # 21 alternating values around each point: 10 or 11 of them are 2, the others 1.
  np.testing.assert_array_equal(smooth[:, 0], steps[10:-10])
  np.testing.assert_allclose(smooth[:2, 1], [1 + 10 / 21, 1 + 11 / 21])
  np.testing.assert_array_equal(rate.lines[0].get_ydata(), history["learning_rate"][1])
  assert [text.get_text() for text in mean_iou.get_legend().get_texts()] == [
    "val: best 0.6500 at step 500",
    "train: best 0.7000 at step 999",
  ]
  assert all(line.get_marker() == "o" for line in mean_iou.lines)
  pixels = read(tmp_path / "c.png")
  assert count(pixels, (0xD5, 0x5E, 0x00)) > 100


def test_learning_curves_leaves_out_what_is_not_there(tmp_path, drawn):
  figures.learning_curves(_panels({"loss": ([1, 2], [3.0, 2.0])}), tmp_path / "c.png")
  (axes,) = drawn[0].axes
  np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 3], [2, 2]])
  assert _panels({"val/mean_f1": ([1], [0.5])}) == []
  assert [path.name for path in tmp_path.iterdir()] == ["c.png"]


def test_per_class_bars_are_sorted_and_a_class_without_score_is_named(tmp_path, drawn):
  iou = {"road": 0.5, "person": 0.8, "train": float("nan"), "car": 0.2}
  score_figures.per_class_bars(iou, CITYSCAPES_19, tmp_path / "b.png")
  (axes,) = drawn[0].axes
  rows = [label.get_text() for label in axes.get_yticklabels()]
  assert rows == ["person", "road", "car", "train"]
  assert [bar.get_width() for bar in axes.patches] == [0.8, 0.5, 0.2]
  assert [text.get_text() for text in axes.texts] == ["0.800", "0.500", "0.200", "no pixels"]
  assert axes.get_title() == "mean 0.5000"
  pixels = read(tmp_path / "b.png")
  areas = [count(pixels, CITYSCAPES_19.colors[index]) for index in (PERSON, ROAD, CAR, TRAIN)]
  np.testing.assert_allclose(areas[:3], areas[0] * np.array([1, 0.5 / 0.8, 0.2 / 0.8]), rtol=0.03)
  assert areas[3] == 0


def test_per_class_bars_without_any_score(tmp_path, drawn):
  score_figures.per_class_bars({"road": float("nan")}, CITYSCAPES_19, tmp_path / "b.png")
  assert drawn[0].axes[0].get_title() == ""


def test_equal_data_give_equal_files_whatever_the_users_settings(tmp_path):
  def draw(folder):
    folder.mkdir()
    figures.qualitative([make_triple(16, 32)], CITYSCAPES_19, folder / "q.png")
    score_figures.per_class_bars({"road": 0.5}, CITYSCAPES_19, folder / "b.png")
    figures.learning_curves(_panels({"loss": ([1, 2], [3.0, 2.0])}), folder / "c.png")
    return {path.name: path.read_bytes() for path in folder.iterdir()}

  first = draw(tmp_path / "first")
  with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 5, "savefig.bbox": "tight"}):
    assert draw(tmp_path / "second") == first
  assert sorted(first) == ["b.png", "c.png", "q.png"]


def test_nothing_to_draw_is_an_error(tmp_path):
  with pytest.raises(ValueError, match="no examples"):
    figures.qualitative([], CITYSCAPES_19, tmp_path / "q.png")
