"""The evaluator "boundary": how well predicted outlines match the true ones."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from flax_unet.data.label_space import LabelSpace
from flax_unet.evaluation.evaluators.base import Evaluator, Picture
from flax_unet.evaluation.metrics import boundary
from flax_unet.evaluation.metrics.score import Score
from flax_unet.evaluation.metrics.segmentation import mean_of_defined, ratio


@dataclasses.dataclass(frozen=True)
class Boundary(Evaluator):
  """Boundary IoU (Cheng et al. 2021) and boundary F-score (Csurka et al. 2013).

  Attributes:
    width: width of the band inside each outline, as a fraction of the image diagonal.
    tolerance: the largest distance at which outlines match, as a fraction of the image diagonal.
  """

  width: float = 0.02
  tolerance: float = 0.0075

  table: ClassVar = (
    Score(
      "mean_boundary_iou",
      "mean boundary IoU",
      "mean over classes of the IoU of the bands just inside the outlines",
    ),
    Score(
      "mean_boundary_f",
      "mean boundary F",
      "mean over classes of the F-score of outlines that match within the tolerance",
    ),
  )
  class_table: ClassVar = (
    Score("boundary_iou", "boundary IoU", "IoU of the bands just inside the outlines"),
    Score("boundary_f", "boundary F", "F-score of the outlines, mean over images"),
  )

  def __post_init__(self):
    """Refuses values out of range."""
    for name in ("width", "tolerance"):
      if not 0 < getattr(self, name) < 1:
        raise ValueError(f"{name} = {getattr(self, name)}: it must be above 0 and below 1")

  def count(self, picture: Picture, num_classes: int) -> Mapping[str, np.ndarray]:
    """See base class."""
    pair = picture.label, picture.prediction
    intersections, unions = boundary.strip_overlap(*pair, num_classes, self.width)
    f_scores = boundary.f_scores(*pair, num_classes, self.tolerance)
    return {"intersections": intersections, "unions": unions, "f_scores": f_scores}

  def scores(
    self, confusions: np.ndarray, counts: Mapping[str, np.ndarray], label_space: LabelSpace
  ) -> dict[str, Any]:
    """See base class."""
    del confusions
    iou = ratio(counts["intersections"].sum(axis=0), counts["unions"].sum(axis=0))
    f_score = mean_of_defined(counts["f_scores"], axis=0)
    return {
      "mean_boundary_iou": float(mean_of_defined(iou)),
      "mean_boundary_f": float(mean_of_defined(f_score)),
      "per_class": {
        name: {"boundary_iou": float(iou[index]), "boundary_f": float(f_score[index])}
        for index, name in enumerate(label_space.class_names)
      },
    }
