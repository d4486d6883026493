"""Draws the scores of an evaluation as PNG files: by class, by image, and the confusion matrix."""

from collections.abc import Mapping, Sequence

import matplotlib.ticker
import numpy as np

from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.report import figures
from flax_unet.evaluation.report.figures import Path

_NUMBERED = 32  # largest number of classes for percentages in the cells of a confusion matrix
_AXES = "true ↓ predicted →"
_RIGHT, _WRONG, _GROUND = np.array([[33, 102, 172], [196, 70, 10], [244, 244, 242]]) / 255


def per_class_bars(iou: Mapping[str, float], label_space: LabelSpace, path: Path) -> None:
  """Draws the IoU of every class as a bar in its colour, the best on top, and their mean.

  Args:
    iou: IoU, in [0, 1], by class name; NaN if neither label nor prediction has a pixel of it.
    label_space: colours of the classes.
    path: the PNG to write.
  """
  colors = dict(zip(label_space.class_names, label_space.colors / 255, strict=True))
  scored = {name: value for name, value in iou.items() if not np.isnan(value)}
  # The sort is stable: ties and classes without a score stay in the order of the label space.
  names = sorted(scored, key=scored.get, reverse=True) + [
    name for name in iou if name not in scored
  ]
  with figures.open_figure(path, 8, 1.1 + 0.26 * len(names)) as figure:
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.subplots()
    for row, name in enumerate(names):
      if name in scored:
        axes.barh(row, scored[name], color=colors[name], edgecolor="0.3", linewidth=0.5)
        text = axes.text(scored[name] + 0.009, row, f"{scored[name]:.3f}", va="center", size=10)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
      else:
        axes.text(0.009, row, "no pixels", va="center", size=10, color="0.5", style="italic")
    if scored:
      mean = np.mean(list(scored.values()))
      axes.axvline(mean, color="0.2", linewidth=1, zorder=0.9)  # behind the bars
      axes.set_title(f"mean {mean:.4f}", x=mean / 1.06, size=11)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.06)  # room for the number behind a bar of length 1
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("IoU")


def confusion_matrix(confusion: np.ndarray, class_names: Sequence[str], path: Path) -> None:
  """Draws the confusion matrix, with the share of its row as the colour of a cell.

  Up to 32 classes also have the share as a number, in percent.

  Args:
    confusion: int64 `[classes, classes]`, rows are true classes.
    class_names: names of the classes.
    path: the PNG to write.
  """
  shares = np.nan_to_num(segmentation.ratio(confusion, confusion.sum(axis=1, keepdims=True)))
  number = len(class_names)
  numbered = number <= _NUMBERED
  side, size = (0.34, 9.5) if numbered else (0.1, 6)  # of a cell, in inches; of text, in points
  longest = 0.0085 * size * max(map(len, class_names))
  left = max(longest, 0.0085 * size * len(_AXES)) + 0.3
  top, margin = max(0.87 * longest, 0.5) + 0.2, 0.5 * longest + 0.25
  width, height = left + side * number + margin, top + side * number + 0.15
  with figures.open_figure(path, width, height) as figure:
    place = left / width, 0.15 / height, side * number / width, side * number / height
    axes = figure.add_axes(place)
    axes.imshow(_cell_colors(shares), interpolation="none", aspect="auto")
    axes.set_axis_off()
    plain = {"size": size, "color": "0.2", "parse_math": False}  # a name may hold a $
    for index, name in enumerate(class_names):
      axes.text(-0.7, index, name, ha="right", va="center_baseline", **plain)
      turned = {"rotation": 60, "rotation_mode": "anchor"}
      axes.text(index, -0.7, name, ha="left", va="center_baseline", **turned, **plain)
    for row, column in zip(*np.nonzero(shares >= 0.005), strict=True) if numbered else ():
      share = shares[row, column]
      color = "white" if share >= 0.4 else "0.15"
      text = f"{100 * share:.0f}"
      axes.text(column, row, text, size=size - 1, ha="center", va="center", color=color)
    note = f"percent of the row\n{_AXES}" if numbered else _AXES
    axes.text(-0.7, -0.8, note, size=size - 1, ha="right", va="bottom", color="0.45")


def _cell_colors(shares: np.ndarray) -> np.ndarray:
  """RGB `[classes, classes, 3]`: correct shares blue, others orange, on light gray."""
  colors = np.where(np.eye(len(shares), dtype=bool)[..., None], _RIGHT, _WRONG)
  opacity = np.sqrt(shares)[..., None]  # so that a few percent are visible
  return np.clip(opacity * colors + (1 - opacity) * _GROUND, 0, 1)


def image_scores(scores: np.ndarray, path: Path) -> None:
  """Draws how the mean IoUs of single images are distributed.

  Args:
    scores: float64 `[images]`, in [0, 1]; NaN for images without a scored pixel, at least one is a
      number.
    path: the PNG to write.
  """
  scored = scores[~np.isnan(scores)]
  low, median, high = np.quantile(scored, (0.05, 0.5, 0.95))
  with figures.open_figure(path, 7, 3.2) as figure:
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.subplots()
    axes.hist(scored, bins=np.linspace(0, 1, 41), color=_RIGHT, edgecolor="white", linewidth=0.5)
    axes.axvline(median, color="0.2", linewidth=1)
    axes.set_title(
      f"median {median:.4f}; nine in ten images from {low:.4f} to {high:.4f}", size=11, loc="left"
    )
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
    axes.set_xlabel("mean IoU of an image")
    axes.set_ylabel("images")
