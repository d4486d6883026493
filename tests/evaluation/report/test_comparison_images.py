import pathlib

import numpy as np
import pytest

from flax_unet.evaluation.report import comparison_images
from flax_unet.evaluation.report.finished_runs import Run


def _run(*confusions):
  ids = np.array([f"image_{index}" for index in range(len(confusions))])
  return Run((pathlib.Path("run"),), {}, {}, {}, ids, np.array(confusions), is_pictured=True)


_HALF = [[5, 5], [0, 10]]  # IoU 1/2 and 2/3
_GOOD = [[10, 0], [0, 10]]
_NONE = [[0, 0], [0, 0]]


def test_images_that_lose_and_gain_by_hand():
  first = _run(_HALF, _GOOD, _NONE, _GOOD)
  other = _run(_GOOD, _HALF, _NONE, _GOOD)
  (lost,), (gained,) = comparison_images.changed([first], [other])
  assert (lost.id, lost.first, lost.other) == ("image_1", 1, pytest.approx(7 / 12))
  assert (lost.class_index, lost.class_difference) == (0, -1 / 2)
  assert (gained.id, gained.difference) == ("image_0", pytest.approx(5 / 12))
  assert (gained.class_index, gained.class_difference) == (0, 1 / 2)


def test_scores_of_a_group_are_means_over_its_runs():
  (lost,), gained = comparison_images.changed([_run(_GOOD)], [_run(_GOOD), _run(_HALF)])
  assert lost.other == pytest.approx((1 + 7 / 12) / 2)
  assert gained == []


def test_a_class_that_is_only_claimed_has_lost_everything():
  first, other = _run([[10, 0], [0, 0]]), _run([[9, 1], [0, 0]])
  (lost,), _ = comparison_images.changed([first], [other])
  assert (lost.other, lost.class_index, lost.class_difference) == (0.45, 1, -1)


def test_the_largest_changes_come_first():
  first = _run(*[_GOOD] * 4)
  other = _run(*[[[10 - wrong, wrong], [0, 10]] for wrong in (1, 4, 2, 3)])
  lost, _ = comparison_images.changed([first], [other])
  assert [image.id for image in lost] == ["image_1", "image_3", "image_2", "image_0"]
