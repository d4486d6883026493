import cv2
import jax
import numpy as np
import pytest

from flax_unet.data import image_format
from flax_unet.evaluation.inference import scaling


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.25, 1.5, 1.75, 2.0, 0.61, 3.3])
@pytest.mark.parametrize("size", [(64, 96), (37, 51), (1, 20)])
def test_images_are_those_of_opencv_to_the_bit(size, scale):
  images = np.random.default_rng(0).integers(256, size=(2, *size, 3), dtype=np.uint8)
  height, width = (max(1, int(side * scale + 0.5)) for side in size)
  expected = [cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR) for x in images]
  got = jax.jit(scaling.resize_bilinear, static_argnums=1)(images, (height, width))
  np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 2.0, 3.3])
def test_16_bits_are_those_of_opencv_but_for_ties(scale):
  images = np.random.default_rng(0).integers(65536, size=(2, 37, 51, 5), dtype=np.uint16)
  height, width = (max(1, int(side * scale + 0.5)) for side in images.shape[1:3])
  expected = [image_format.resize(x, height, width) for x in images]
  got = jax.jit(scaling.resize_bilinear, static_argnums=1)(images, (height, width))
  off = np.abs(np.asarray(got).astype(int) - np.array(expected))
  assert off.max() <= 1
  assert np.mean(off > 0) < 0.1
