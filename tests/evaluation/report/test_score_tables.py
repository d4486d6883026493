import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import segmentation
from flax_unet.evaluation.metrics.bootstrap import Interval
from flax_unet.evaluation.report import score_tables


@pytest.mark.parametrize(
  ("label_space", "times"), [("cityscapes_19", 2), ("4_classes", 0), ("cityscapes_categories", 0)]
)
def test_categories_are_told_where_they_are_not_the_classes(label_space, times):
  space = label_spaces.get(label_space)
  scores = segmentation.scores(np.eye(space.num_classes, dtype=np.int64), space)
  text = score_tables.score_tables(
    scores, segmentation.SCORES, segmentation.CLASS_SCORES, {"mean_iou": Interval(0.9, 1.0)}
  )
  assert text.count("category ") == times  # the header of a table, and a score
