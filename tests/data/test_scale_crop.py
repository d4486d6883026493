"""Scaling and cropping in one op gives the same result as the two ops."""

import numpy as np
import pytest

from flax_unet.data import crops, label_spaces, op_spec, ops, scale_crop


def _example(height, width, seed):
  rng = np.random.default_rng(seed)
  image = rng.integers(256, size=(height, width, 3)).astype(np.uint8)
  label = rng.integers(3, size=(height, width)).astype(np.uint8)
  image.setflags(write=False)
  label.setflags(write=False)
  return {"image": image, "label": label, "id": "a"}


@pytest.mark.parametrize("size", [(64, 128), (61, 47), (33, 200), (20, 20), (256, 512)])
@pytest.mark.parametrize("cat_max_ratio", [1.0, 0.334])
def test_equals_the_two_ops_to_the_bit(size, cat_max_ratio):
  scale, crop = ops.RandomScale(0.5, 2.0), crops.RandomCrop(32, 48, cat_max_ratio)
  op = scale_crop.ScaleCrop(scale, crop)
  for seed in range(30):
    example = _example(*size, seed)
    rng, rng_fused = np.random.default_rng(seed), np.random.default_rng(seed)
    expected, got = crop(scale(example, rng), rng), op(example, rng_fused)
    np.testing.assert_array_equal(got["image"], expected["image"])
    np.testing.assert_array_equal(got["label"], expected["label"])
    assert got["id"] == "a"
    assert rng.integers(2**62) == rng_fused.integers(2**62)  # later random numbers are the same too


def test_what_lies_below_and_to_the_right_is_not_scaled(monkeypatch):
  scaled = []
  resize = scale_crop.cv2.resize
  monkeypatch.setattr(
    scale_crop.cv2,
    "resize",
    lambda x, *args, **kw: scaled.append(x.shape) or resize(x, *args, **kw),
  )
  op = scale_crop.ScaleCrop(ops.RandomScale(2.0, 2.0), crops.RandomCrop(8, 8))
  monkeypatch.setattr(crops.RandomCrop, "draw", lambda *_: (slice(16, 24), slice(4, 12)))
  op(_example(100, 100, 0), np.random.default_rng(0))
  assert scaled == [(100, 100), (13, 7, 3)]  # the label; 24 / 2 rows, and 12 / 2 columns plus one


def test_only_a_crop_right_after_a_scale_is_fused():
  def names(spec):
    chain = op_spec.parse(spec, label_spaces.CITYSCAPES_19)
    return [type(op).__name__ for op in chain.ops]

  assert names("label_map|random_scale(0.5, 2)|random_crop(8, 8)|flip_lr") == [
    "LabelMap",
    "ScaleCrop",
    "FlipLR",
  ]
  assert names("random_scale(0.5, 2)|flip_lr|random_crop(8, 8)") == [
    "RandomScale",
    "FlipLR",
    "RandomCrop",
  ]
