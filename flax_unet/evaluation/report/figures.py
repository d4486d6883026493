"""Draws the figures of a report as PNG files: predictions and learning curves.

Figures are made as objects, without pyplot and its global state, in one fixed style: the same data
give the same file, whatever the user's matplotlibrc says.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

import cv2
import matplotlib.style
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from flax_unet.data.label_spaces import IGNORED, LabelSpace
from flax_unet.evaluation.report.curves import Panel

_STYLE = {
  "font.size": 11,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.edgecolor": "0.4",
  "axes.grid": True,
  "axes.axisbelow": True,
  "grid.color": "0.9",
  "xtick.color": "0.4",
  "xtick.labelcolor": "0.2",
  "ytick.color": "0.4",
  "ytick.labelcolor": "0.2",
  "legend.frameon": False,
}
_LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito

Path = str | os.PathLike[str]


@contextlib.contextmanager
def open_figure(path: Path, width: float, height: float, dpi: int = 200) -> Iterator[Figure]:
  """Yields an empty figure, with sizes in inches, and writes it to `path` on exit."""
  with matplotlib.style.context(["default", _STYLE]):
    figure = Figure(figsize=(width, height), dpi=dpi)
    yield figure
    partial = f"{os.fspath(path)}.partial"
    # Without matplotlib's version in the file, equal figures are equal files.
    figure.savefig(partial, format="png", dpi=dpi, metadata={"Software": None})
    os.replace(partial, path)


def qualitative(
  examples: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
  label_space: LabelSpace,
  path: Path,
) -> None:
  """Draws rows of image | label | prediction, above a legend of the classes that appear.

  Images are drawn pixel by pixel: large ones are first shrunk to 512 pixels on the longer side, so
  that a row takes about 0.25 MB; small ones are enlarged by a whole factor. Class colours are never
  blended.

  Args:
    examples: tuples of id, image (uint8 `[height, width, 3]`, RGB), label and prediction (uint8
      `[height, width]`, class indices; ignored pixels are drawn black).
    label_space: names and colours of the classes.
    path: the PNG to write.

  Raises:
    ValueError: there are no examples.
  """
  if not examples:
    raise ValueError("there are no examples to draw")
  gap, title_height, id_height, legend_row, legend_column, dpi = 12, 44, 34, 27, 150, 100
  rows = []
  present = set()
  for name, image, label, prediction in examples:
    present.update(np.unique(label).tolist(), np.unique(prediction).tolist())
    masks = [label_space.colorize(indices) for indices in (label, prediction)]
    pictures = [
      _fit(image, cv2.INTER_AREA),
      *(_fit(mask, cv2.INTER_NEAREST_EXACT) for mask in masks),
    ]
    rows.append((name, pictures))
  cell_width = max(pictures[0].shape[1] for _, pictures in rows)
  width = 3 * cell_width + 4 * gap
  legend_columns = max(1, width // legend_column)
  legend_height = gap + legend_row * -(-len(present) // legend_columns)
  rows_height = sum(pictures[0].shape[0] + id_height for _, pictures in rows)
  height = title_height + rows_height + legend_height

  with open_figure(path, width / dpi, height / dpi, dpi) as figure:
    lefts = [gap + column * (cell_width + gap) for column in range(3)]
    for left, title in zip(lefts, ("Image", "Label", "Prediction"), strict=True):
      center = (left + cell_width / 2) / width
      figure.text(center, 1 - title_height / 2 / height, title, size=15, ha="center", va="center")
    bottom = height - title_height
    for name, pictures in rows:
      bottom -= pictures[0].shape[0]
      for left, picture in zip(lefts, pictures, strict=True):
        figure.figimage(picture, left, bottom, origin="upper")
      figure.text(
        gap / width,
        (bottom - 5) / height,
        name,
        size=10,
        va="top",
        color="0.35",
        parse_math=False,  # an id may hold a $
      )
      bottom -= id_height
    figure.legend(
      handles=[_patch(label_space, index) for index in sorted(present)],
      loc="lower center",
      ncols=legend_columns,
      fontsize=11.5,
      handlelength=1.3,
      handleheight=1.1,
    )


def _fit(picture: np.ndarray, interpolation: int) -> np.ndarray:
  """Shrinks the longer side to 512 pixels, or enlarges by the largest whole factor up to 512."""
  height, width = picture.shape[:2]
  ratio = 512 / max(height, width)
  if ratio >= 1:
    return picture.repeat(int(ratio), axis=0).repeat(int(ratio), axis=1)
  size = max(1, round(width * ratio)), max(1, round(height * ratio))
  return cv2.resize(picture, size, interpolation=interpolation)


def _patch(label_space: LabelSpace, index: int) -> Patch:
  """The legend entry of a class index or `IGNORED`."""
  name = "ignored" if index == IGNORED else label_space.class_names[index]
  color = label_space.colorize(np.array(index)) / 255
  return Patch(facecolor=color, edgecolor="0.3", linewidth=0.5, label=name)


def learning_curves(panels: Sequence[Panel], path: Path) -> None:
  """Draws curves over the training steps, one panel above the other.

  Args:
    panels: see `curves.panels`; at least one.
    path: the PNG to write.
  """
  ratios = [1.2 if panel.title == "Learning rate" else 2.8 for panel in panels]
  with open_figure(path, 9, sum(ratios) + 0.4) as figure:
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=ratios)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
      for index, name in enumerate(panel.curves):
        _draw_curve(axes, panel, name, _LINE_COLORS[index % len(_LINE_COLORS)])
      axes.set_ylabel(panel.title)
      axes.set_ylim(bottom=0)
      if panel.best or len(panel.curves) > 1:
        axes.legend(loc="lower right" if panel.best else "upper right")
    figure.align_ylabels()
    grid[-1, 0].set_xlabel("Step")
    grid[-1, 0].set_xlim(left=0)
    grid[-1, 0].xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))


def _draw_curve(axes: Axes, panel: Panel, name: str, color: str) -> None:
  """Draws a curve: with markers and its best value, or smoothed if it has many values."""
  steps, values = (np.asarray(part, np.float64) for part in panel.curves[name])
  if panel.best:
    at = panel.best_of(name)
    label = f"{name}: best {values[at]:.4f} at step {steps[at]:,.0f}"
    axes.plot(steps, values, color=color, marker="o", markersize=4, label=label)
    return
  half = len(values) // 100
  if half:  # faintly, under the moving average
    axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
  window = 2 * half + 1
  smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
  label = f"{name}, mean of {window} values" if half else name
  axes.plot(steps[half : len(steps) - half], smooth, color=color, label=label)
