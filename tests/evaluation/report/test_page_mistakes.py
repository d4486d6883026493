import numpy as np

from flax_unet.evaluation.report import page_mistakes


def test_classes_with_mistakes_come_lowest_iou_first():
  confusions = np.zeros((2, 4, 4), np.int64)  # the last class never occurs
  confusions[0, 0] = [8, 2, 0, 0]
  confusions[1, 1] = [1, 3, 0, 0]
  confusions[1, 2] = [0, 0, 9, 0]  # no mistakes
  found = page_mistakes.find(confusions)
  assert [item.class_index for item in found] == [1, 0]
  assert [item.iou for item in found] == [3 / 6, 8 / 11]
  assert [(item.missed, item.claimed) for item in found] == [(1, 2), (2, 1)]
  assert [[mistake.index for mistake in item.worst] for item in found] == [[0, 1], [0, 1]]


def test_many_classes_have_fewer_images_each():
  rng = np.random.default_rng(0)
  for classes, images in ((32, 5), (33, 3)):
    found = page_mistakes.find(rng.integers(1, 9, (8, classes, classes)))
    assert len(found) == classes
    assert {len(item.worst) for item in found} == {images}


def test_without_images_there_are_no_mistakes():
  assert page_mistakes.find(np.zeros((0, 2, 2), np.int64)) == []
