import numpy as np

from flax_unet.evaluation.metrics import mistakes
from flax_unet.evaluation.metrics.mistakes import Mistake

_CONFUSIONS = np.array(
  [
    [[10, 0, 0], [0, 8, 2], [1, 0, 9]],
    [[4, 5, 1], [2, 0, 3], [4, 0, 0]],
    [[7, 0, 0], [0, 0, 0], [0, 0, 5]],
  ]
)


def test_missed_and_falsely_claimed_pixels_of_each_image_by_hand():
  assert mistakes.worst(_CONFUSIONS, 0, 5) == [
    Mistake(1, 6, [(1, 5), (2, 1)], 6, [(2, 4), (1, 2)], 4 / 16),
    Mistake(0, 0, [], 1, [(2, 1)], 10 / 11),  # the last image has no mistakes
  ]
  assert mistakes.worst(_CONFUSIONS, 1, 1) == [Mistake(1, 5, [(2, 3), (0, 2)], 5, [(0, 5)], 0.0)]


def test_wrong_pixels_are_those_that_the_iou_counts():
  for index in range(3):
    for mistake in mistakes.worst(_CONFUSIONS, index, 3):
      confusion = _CONFUSIONS[mistake.index]
      correct = confusion[index, index]
      union = confusion[index].sum() + confusion[:, index].sum() - correct
      assert mistake.pixels == union - correct
      assert mistake.iou == correct / union


def test_only_the_most_frequent_other_classes_are_named():
  confusion = np.zeros((1, 5, 5), np.int64)
  confusion[0, 0] = [1, 2, 3, 4, 5]
  (mistake,) = mistakes.worst(confusion, 0, 1)
  assert (mistake.missed, mistake.missed_as) == (14, [(4, 5), (3, 4)])
  assert mistakes.worst(confusion[:0], 0, 1) == []
