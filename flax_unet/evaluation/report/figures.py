"""Figures of a report, as PNG files: predictions, learning curves, scores by class.

Figures are made as objects, without pyplot and its global state, in one fixed style: the same data
give the same file, whatever the user's matplotlibrc says.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

import cv2
import matplotlib.style
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from flax_unet.data.label_spaces import IGNORED, LabelSpace

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
# Steps and the values at them.
Curve = tuple[Sequence[int], Sequence[float]]


@contextlib.contextmanager
def _figure(path: Path, width: float, height: float, dpi: int = 200) -> Iterator[Figure]:
  """Gives an empty figure, sizes in inches, and writes it to `path` on leaving."""
  with matplotlib.style.context(["default", _STYLE]):
    figure = Figure(figsize=(width, height), dpi=dpi)
    yield figure
    partial = f"{os.fspath(path)}.partial"
    # Without matplotlib's version in the file, equal pictures are equal files.
    figure.savefig(partial, format="png", dpi=dpi, metadata={"Software": None})
    os.replace(partial, path)


def qualitative(
  examples: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
  label_space: LabelSpace,
  path: Path,
) -> None:
  """Draws rows of image | label | prediction over a legend of the classes that appear.

  Pictures are drawn pixel by pixel: large ones are shrunk to 512 pixels a side before, so that a
  row takes about 0.25 MB; small ones are enlarged by a whole factor. Class colours are never mixed.

  Args:
    examples: tuples of id, image (uint8 `[height, width, 3]`, RGB), label and prediction (uint8
      `[height, width]`, class indices; ignored pixels are black).
    label_space: names and colours of the classes.
    path: of the PNG to write.

  Raises:
    ValueError: there are no examples.
  """
  if not examples:
    raise ValueError("no pictures to draw: there are no examples")
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

  with _figure(path, width / dpi, height / dpi, dpi) as figure:
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
  """Shrinks the longer side to 512 pixels, or enlarges by the largest whole factor up to there."""
  height, width = picture.shape[:2]
  ratio = 512 / max(height, width)
  if ratio >= 1:
    return picture.repeat(int(ratio), axis=0).repeat(int(ratio), axis=1)
  size = max(1, round(width * ratio)), max(1, round(height * ratio))
  return cv2.resize(picture, size, interpolation=interpolation)


def _patch(label_space: LabelSpace, index: int) -> Patch:
  """The legend's entry for a class index or `IGNORED`."""
  name = "ignored" if index == IGNORED else label_space.class_names[index]
  color = label_space.colorize(np.array(index)) / 255
  return Patch(facecolor=color, edgecolor="0.3", linewidth=0.5, label=name)


def learning_curves(history: Mapping[str, Curve], path: Path) -> None:
  """Draws loss, learning rate and mean IoU over the training steps, one above the other.

  Args:
    history: steps and values of `loss`, `learning_rate` and, for every eval, `<eval>/mean_iou`. A
      panel without a curve is left out, other entries are ignored.
    path: of the PNG to write.

  Raises:
    ValueError: there is no curve to draw.
  """
  mean_ious = {
    key.removesuffix("/mean_iou"): curve
    for key, curve in history.items()
    if key.endswith("/mean_iou")
  }
  heights = {"loss": 2.8, "learning_rate": 1.2, "mean_iou": 2.8}
  panels = [name for name in heights if (mean_ious if name == "mean_iou" else name in history)]
  if not panels:
    raise ValueError(
      "no learning curve to draw: there is neither loss, learning_rate nor <eval>/mean_iou"
    )
  ratios = [heights[name] for name in panels]
  with _figure(path, 9, sum(ratios) + 0.4) as figure:
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=ratios)
    axes = dict(zip(panels, grid[:, 0], strict=True))
    if "loss" in axes:
      _draw_loss(axes["loss"], history["loss"])
    if "learning_rate" in axes:
      axes["learning_rate"].plot(*history["learning_rate"], color="0.3")
      axes["learning_rate"].set_ylabel("Learning rate")
      axes["learning_rate"].set_ylim(bottom=0)
    if "mean_iou" in axes:
      _draw_mean_ious(axes["mean_iou"], mean_ious)
    figure.align_ylabels()
    grid[-1, 0].set_xlabel("Step")
    grid[-1, 0].set_xlim(left=0)
    grid[-1, 0].xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))


def _draw_loss(axes: Axes, curve: Curve) -> None:
  """Draws the loss; where it has many values, faintly, with its moving average."""
  steps, values = np.asarray(curve[0]), np.asarray(curve[1], np.float64)
  half = len(values) // 100
  if half:
    axes.plot(steps, values, color=_LINE_COLORS[0], alpha=0.3, linewidth=0.8)
  window = 2 * half + 1
  axes.plot(
    steps[half : len(steps) - half],
    np.convolve(values, np.full(window, 1 / window), mode="valid"),
    color=_LINE_COLORS[0],
    label=f"mean of {window} values",
  )
  if half:
    axes.legend(loc="upper right")
  axes.set_ylabel("Loss")
  axes.set_ylim(bottom=0)


def _draw_mean_ious(axes: Axes, curves: Mapping[str, Curve]) -> None:
  """Draws one line with markers for each eval, and tells its best value in the legend."""
  for index, (name, (steps, values)) in enumerate(curves.items()):
    best = np.argmax(np.nan_to_num(np.asarray(values, np.float64), nan=-1.0))
    axes.plot(
      steps,
      values,
      color=_LINE_COLORS[index % len(_LINE_COLORS)],
      marker="o",
      markersize=4,
      label=f"{name}: best {values[best]:.4f} at step {steps[best]:,}",
    )
  axes.set_ylabel("Mean IoU")
  axes.set_ylim(bottom=0)
  axes.legend(loc="lower right")


def per_class_bars(iou: Mapping[str, float], label_space: LabelSpace, path: Path) -> None:
  """Draws the IoU of every class as a bar in its colour, the best on top, and their mean.

  Args:
    iou: IoU, in [0, 1], by class name; NaN where neither label nor prediction has a pixel.
    label_space: colours of the classes.
    path: of the PNG to write.
  """
  colors = dict(zip(label_space.class_names, label_space.colors / 255, strict=True))
  scored = {name: value for name, value in iou.items() if not np.isnan(value)}
  # Python's sort is stable: ties, and classes without a score, stay in the label space's order.
  names = sorted(scored, key=scored.get, reverse=True) + [
    name for name in iou if name not in scored
  ]
  with _figure(path, 8, 1.1 + 0.26 * len(names)) as figure:
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
