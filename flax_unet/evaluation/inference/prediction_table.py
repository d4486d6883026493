"""A CSV with one line for each predicted image: confidence, classes, and scores."""

import csv
import io
import pathlib

import numpy as np
from absl import logging

from flax_unet import errors, files
from flax_unet.data.label_space import IGNORED, LabelSpace
from flax_unet.evaluation import mask_pairs
from flax_unet.evaluation.metrics import counting, segmentation

_SCORES = ("mean_iou", "pixel_accuracy")


class PredictionTable:
  """Collects the lines of the table.

  Its columns are `image`, the path relative to the folder; `height` and `width`, in pixels;
  `mean_confidence`, the mean over pixels of the highest probability; the scores `mean_iou` (over
  the classes in the label or the prediction) and `pixel_accuracy`, empty without a label; and the
  share of each class in the prediction.

  Attributes:
    path: of the table.
    failures: why images could not be scored, one line each; their scores are empty.
  """

  def __init__(self, path: pathlib.Path, label_space: LabelSpace, labels: pathlib.Path | None):
    """Finds the labels.

    Args:
      path: of the table.
      label_space: the classes.
      labels: folder of masks that are named like the images, or None.

    Raises:
      UserError: the folder does not exist, or has no masks.
    """
    self.path = path
    self._label_space = label_space
    self._labels = mask_pairs.find_labels(labels).files if labels else {}
    self._rows: list[list[object]] = []
    self.failures: list[str] = []

  def add(self, name: pathlib.PurePath, mask: np.ndarray, probabilities: np.ndarray) -> None:
    """Adds an image.

    Args:
      name: its path, relative to the folder.
      mask: uint8 `[height, width]`, class indices.
      probabilities: float32 `[height, width, classes]`.
    """
    try:
      scores = self._scores(name, mask)
    except errors.UserError as error:
      self.failures.append(str(error))
      scores = [""] * len(_SCORES)
    shares = np.bincount(mask.reshape(-1), minlength=self._label_space.num_classes) / mask.size
    confidence = float(probabilities.max(-1).mean(dtype=np.float64))
    self._rows.append([name, *mask.shape, confidence, *scores, *shares.tolist()])

  def _scores(self, name: pathlib.PurePath, mask: np.ndarray) -> list[float | str]:
    """The scores of an image.

    Raises:
      UserError: its label cannot be read, or has another size.
    """
    stem = name.with_suffix("").as_posix()
    label_file = self._labels.get(stem) or self._labels.get(name.stem.removesuffix("_leftImg8bit"))
    if label_file is None:
      return [""] * len(_SCORES)
    ids = mask_pairs.read_label_ids(label_file, self._label_space)
    if ids.shape != mask.shape:
      raise errors.UserError(
        f"{label_file}: is {ids.shape[1]} x {ids.shape[0]} pixels, but {name} is {mask.shape[1]} x "
        f"{mask.shape[0]}"
      )
    try:
      label = self._label_space.to_index(ids)
    except ValueError as error:
      raise errors.UserError(f"{label_file}: {error}") from error
    confusion = counting.count(label, mask, self._label_space.num_classes)
    found = segmentation.scores(confusion, self._label_space)
    if (label == IGNORED).all():
      return [""] * len(_SCORES)
    return [found[score] for score in _SCORES]

  def write(self) -> None:
    """Writes the table, sorted by image.

    Raises:
      UserError: the file cannot be written.
    """
    if self._labels and not self.failures and not any(row[4] != "" for row in self._rows):
      logging.warning("%s has no scores: no mask is named like an image", self.path)
    text = io.StringIO()
    shares = [f"share of {name}" for name in self._label_space.class_names]
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["image", "height", "width", "mean_confidence", *_SCORES, *shares])
    for row in sorted(self._rows, key=lambda row: str(row[0])):
      lines.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    try:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      with files.replacing(self.path) as temporary:
        temporary.write_text(text.getvalue())
    except OSError as error:
      raise errors.UserError(f"{self.path}: cannot be written ({error.strerror})") from error
