"""The evaluator "segmentation": the scores that confusion matrices determine."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluators.base import Evaluator
from flax_unet.evaluation.metrics import segmentation


@dataclasses.dataclass(frozen=True)
class Segmentation(Evaluator):
  """The scores that a confusion matrix determines: mean IoU, pixel accuracy, F1 and others."""

  table = segmentation.SCORES
  class_table = segmentation.CLASS_SCORES
  optional: ClassVar[Sequence[str]] = ("iiou", "category_iiou")
  audits: ClassVar[bool] = True

  def scores(
    self, confusions: np.ndarray, counts: Mapping[str, np.ndarray], label_space: LabelSpace
  ) -> dict[str, Any]:
    """See base class."""
    del counts
    return segmentation.scores(confusions.sum(axis=0), label_space)
