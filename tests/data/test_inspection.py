import cv2
import numpy as np
import pytest

from flax_unet import errors
from flax_unet.data import images, inspection, masks
from flax_unet.data.label_spaces import CITYSCAPES_19


class _Source:
  """Labels with one row each; None is an example that cannot be decoded."""

  def __init__(self, *labels):
    self._labels = labels

  def __len__(self):
    return len(self._labels)

  def __getitem__(self, index):
    if self._labels[index] is None:
      raise errors.UserError(f"example '{index}' cannot be decoded")
    label = np.array([self._labels[index]], np.uint8)
    return {"image": np.zeros((*label.shape, 3), np.uint8), "label": label, "id": str(index)}


def test_counts_pixels_by_class_and_void():
  # 7 is road, 8 sidewalk, 0 and 4 are void.
  facts = inspection.inspect_split(_Source([7, 7, 7, 0], [8, 4, 4, 4], [7, 7]), CITYSCAPES_19)
  assert facts.examples == 3
  assert facts.sizes == {(1, 4): 2, (1, 2): 1}
  assert facts.void_share(CITYSCAPES_19) == pytest.approx(4 / 10)
  shares = facts.class_shares(CITYSCAPES_19)
  np.testing.assert_allclose(shares, [5 / 6, 1 / 6] + [0] * 17)
  assert facts.unusable == 0


def test_a_split_without_labels_has_no_shares():
  facts = inspection.inspect_split(_Source([0, 1], [3, 4]), CITYSCAPES_19)
  assert np.isnan(facts.class_shares(CITYSCAPES_19)).all()
  assert facts.void_share(CITYSCAPES_19) == 1


def test_goes_on_behind_examples_that_cannot_be_used():
  facts = inspection.inspect_split(_Source([7, 99], None, [99, 200], [7, 7]), CITYSCAPES_19)
  assert facts.strays == {99: ["0", "2"], 200: ["2"]}
  assert facts.broken == ["example '1' cannot be decoded"]
  assert facts.unusable == 3
  assert facts.ids[7] == 3


def test_values_that_a_source_refuses_are_unknown_and_not_unreadable():
  class Refusing(_Source):
    def __getitem__(self, index):
      example = super().__getitem__(index)
      encoded = cv2.imencode(".png", example["label"])[1].tobytes()
      return {**example, "label": masks.decode(encoded, CITYSCAPES_19, f"{index}.png")}

  facts = inspection.inspect_split(Refusing([7, 99, 201], None, [7, 99]), CITYSCAPES_19)
  assert {value: len(found) for value, found in facts.refused.items()} == {99: 2, 201: 1}
  assert (facts.strays, len(facts.broken), facts.unusable) == ({}, 1, 3)


def test_an_image_that_waits_is_decoded():
  content = cv2.imencode(".png", np.zeros((1, 2, 3), np.uint8))[1].tobytes()
  source = _Source([7, 7], [7, 7])
  whole, cut = source[0], source[1]
  whole["image"] = images.decode_later(content, "whole")
  cut["image"] = images.decode_later(content[:-20], "cut")
  facts = inspection.inspect_split([whole, cut], CITYSCAPES_19)
  assert facts.examples == 2
  assert facts.broken == [
    f"cut cannot be decoded ({len(content) - 20} bytes): damaged or truncated"
  ]


def test_shows_progress_over_every_example():
  seen = []

  def progress(found):
    for item in found:
      seen.append(item)
      yield item

  inspection.inspect_split(_Source([7], None, [8]), CITYSCAPES_19, progress)
  assert len(seen) == 3
