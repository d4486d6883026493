"""What an evaluator is: counts of each picture, and scores that follow from all of them."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.metrics.score import Score


class Picture(NamedTuple):
  """A picture, what it should be and what the network says, without padding."""

  id: str
  image: np.ndarray  # uint8 [height, width, channels]
  label: np.ndarray  # uint8 [height', width'], class indices or IGNORED
  prediction: np.ndarray  # uint8 [height', width'], class indices


class Evaluator(abc.ABC):
  """Base of all evaluators: frozen dataclasses, whose fields are arguments in the configuration.

  Every picture is counted, on the device or on the host or on both. Counts are arrays of the same
  shape for each picture; all of a split lead to its scores. Confusion matrices are counted in any
  case, see `scores`.

  Attributes:
    table: the scores of a split, the one that matters most first. They are shown by the terminal,
      TensorBoard, the page and comparisons.
    class_table: the scores of each class, likewise.
    audits: whether the audit of what else gets called mean IoU belongs to it.
  """

  table: ClassVar[Sequence[Score]] = ()
  class_table: ClassVar[Sequence[Score]] = ()
  audits: ClassVar[bool] = False

  def count_on_device(
    self, logits: jax.Array, predictions: jax.Array, labels: jax.Array
  ) -> Mapping[str, jax.Array]:
    """Counts pictures inside of the compiled evaluation step; by default nothing.

    Args:
      logits: float32 `[batch, height, width, classes]`, at the resolution of the labels (where
        these are huge, of the images); logarithms of probabilities where several scales are
        averaged.
      predictions: uint8 `[batch, height', width']`, class indices.
      labels: uint8 `[batch, height', width']`, class indices or `IGNORED`, which padding is too.

    Returns:
      Arrays `[batch, ...]` by name.
    """
    del logits, predictions, labels
    return {}

  def count(self, picture: Picture, num_classes: int) -> Mapping[str, np.ndarray]:
    """Counts a picture on the host; by default nothing.

    Args:
      picture: the picture.
      num_classes: number of classes.

    Returns:
      Arrays or numbers by name, of the same shape for each picture.
    """
    del picture, num_classes
    return {}

  @abc.abstractmethod
  def scores(
    self, confusions: np.ndarray, counts: Mapping[str, np.ndarray], label_space: LabelSpace
  ) -> dict[str, Any]:
    """Finishes the scores of a split.

    Args:
      confusions: int64 `[pictures, classes, classes]`, rows are true classes.
      counts: what was counted, `[pictures, ...]` by name.
      label_space: names of the classes.

    Returns:
      Floats by the names of `table`, NaN where there is no value; and where there are scores by
      class, `per_class`: by class name, floats by the names of `class_table`.
    """
