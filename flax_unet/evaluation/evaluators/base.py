"""The evaluator interface: counts per image, and scores computed from the counts of a split."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.metrics.score import Score


class Picture(NamedTuple):
  """An image with its label and prediction, without padding.

  Attributes:
    id: the example's.
    image: `[height, width, channels]`, uint8 or as the image format says.
    label: uint8 `[height', width']`, class indices or `IGNORED`.
    prediction: uint8 `[height', width']`, class indices.
  """

  id: str
  image: np.ndarray
  label: np.ndarray
  prediction: np.ndarray


class Evaluator(abc.ABC):
  """Base of all evaluators: frozen dataclasses, whose fields are arguments in the configuration.

  An evaluator counts something in every image, on the device, on the host, or both. The counts are
  arrays of the same shape for each image; the scores of a split are computed from all of them.
  Confusion matrices are always counted, see `scores`.

  Attributes:
    table: the scores of a split, most important first. The terminal, TensorBoard, the report and
      comparisons show them.
    class_table: the scores of each class, likewise.
    optional: names in `table` that `scores` may leave out, such as scores that need instances.
    audits: whether to add the audit of what else gets called "mean IoU".
  """

  table: ClassVar[Sequence[Score]] = ()
  class_table: ClassVar[Sequence[Score]] = ()
  optional: ClassVar[Sequence[str]] = ()
  audits: ClassVar[bool] = False

  def count_on_device(
    self, logits: jax.Array, predictions: jax.Array, labels: jax.Array
  ) -> Mapping[str, jax.Array]:
    """Counts images inside the compiled evaluation step; by default nothing.

    Args:
      logits: float32 `[batch, height, width, classes]`, at the resolution of the labels (of the
        images if the labels are huge); logarithms of probabilities if several scales are averaged.
      predictions: uint8 `[batch, height', width']`, class indices.
      labels: uint8 `[batch, height', width']`, class indices or `IGNORED`; padding is `IGNORED`.

    Returns:
      Arrays `[batch, ...]` by name.
    """
    del logits, predictions, labels
    return {}

  def count(self, picture: Picture, num_classes: int) -> Mapping[str, np.ndarray]:
    """Counts one image on the host; by default nothing.

    Args:
      picture: the image with its label and prediction.
      num_classes: number of classes.

    Returns:
      Arrays or numbers by name, of the same shape for each image.
    """
    del picture, num_classes
    return {}

  @abc.abstractmethod
  def scores(
    self, confusions: np.ndarray, counts: Mapping[str, np.ndarray], label_space: LabelSpace
  ) -> dict[str, Any]:
    """Computes the scores of a split.

    Args:
      confusions: int64 `[images, classes, classes]`, rows are true classes.
      counts: all counts, `[images, ...]` by name.
      label_space: names of the classes.

    Returns:
      Floats by the names of `table`, NaN if undefined; and if there are scores by class,
      `per_class`: for each class name, floats by the names of `class_table`.
    """
