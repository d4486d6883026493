import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.evaluation.inference import passes
from flax_unet.models import base
from flax_unet.models.unet import UNet

RGB = base.Network(num_classes=1)  # with the usual mean and deviation


def _pictures(height, width, num=2):
  return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), np.uint8)


def _whole(model, variables, images):
  return jax.jit(functools.partial(passes.whole_picture, model))(variables, images)


def test_normalize_by_hand():
  image = np.array([[[0, 128, 255]]], np.uint8)
  expected = [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
  normalized = base.normalize(image, RGB)
  assert normalized.dtype == jnp.float32
  np.testing.assert_allclose(normalized[0, 0], expected, rtol=1e-6)
  # Images of any leading shape; each pixel is independent.
  images = _pictures(3, 4)
  np.testing.assert_array_equal(
    base.normalize(images, RGB)[1, 2], base.normalize(images[1, 2], RGB)
  )


@pytest.mark.parametrize(("size", "place"), [((4, 3), (1, 2)), ((3, 4), (2, 1)), ((7, 7), (0, 0))])
def test_center_crop(size, place):
  x = np.arange(49).reshape(1, 7, 7)
  top, left = place
  expected = x[:, top : top + size[0], left : left + size[1]]
  np.testing.assert_array_equal(base.center_crop(x, size), expected)


@pytest.mark.parametrize(
  ("size", "depth", "padding", "expected"),
  [
    (64, 4, "same", 64),
    (65, 4, "same", 80),
    (1, 4, "same", 16),
    (388, 4, "valid", 572),  # the paper's figure 1
    (389, 4, "valid", 588),
  ],
)
def test_covering_size(size, depth, padding, expected):
  assert UNet(2, depth=depth, padding=padding).geometry.covering_size(size) == expected


@pytest.mark.parametrize(
  ("padding", "size"),
  [("same", (16, 24)), ("same", (13, 19)), ("valid", (16, 24)), ("valid", (13, 19))],
)
def test_every_pixel_gets_its_own_logits(pixelwise_unet, padding, size):
  model, variables, kernel = pixelwise_unet(padding=padding, depth=2)
  images = _pictures(*size)
  logits = _whole(model, variables, images)
  assert logits.shape == (2, *size, model.num_classes)
  np.testing.assert_allclose(
    logits, np.asarray(base.normalize(images, RGB)) @ kernel, rtol=1e-5, atol=1e-5
  )


def test_beyond_the_border_the_picture_is_mirrored():
  # 3 x 3 means: at the border, they include pixels beyond it.
  class Mean(base.Network):
    geometry = base.Geometry(multiple=4)

    def __call__(self, images, *, train):
      return nn.avg_pool(images, (3, 3), padding="SAME", count_include_pad=False)

  (image,) = _pictures(6, 6, num=1)  # two pixels at the bottom and right to a multiple of 8
  got = passes.whole_picture(Mean(3), {}, image[None], 8)[0]
  mirrored = np.pad(image, ((0, 2), (0, 2), (0, 0)), "reflect")
  mirrored = np.asarray(base.normalize(mirrored, RGB))
  mirrored = np.pad(mirrored, ((1, 0), (1, 0), (0, 0)), constant_values=np.nan)
  windows = [mirrored[i : i + 6, j : j + 6] for i in range(3) for j in range(3)]
  expected = np.nanmean(windows, axis=0)
  np.testing.assert_allclose(got, expected, atol=1e-5)


def test_enlarged_logits_are_bilinear_between_pixel_centres():
  logits = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  enlarged = passes.resize_logits(logits, (2, 4))
  np.testing.assert_allclose(enlarged[0, :, :, 0], [[0, 1, 3, 4]] * 2, atol=1e-6)
  assert passes.resize_logits(logits, (1, 2)) is logits


@pytest.mark.parametrize("size", [(3, 5), (4, 7), (11, 19)])
def test_logits_are_resized_as_by_pytorch(size):
  torch = pytest.importorskip("torch")
  logits = np.random.default_rng(0).normal(size=(2, 7, 10, 3)).astype(np.float32)
  expected = torch.nn.functional.interpolate(
    torch.tensor(logits.transpose(0, 3, 1, 2)), size, mode="bilinear", align_corners=False
  )
  got = passes.resize_logits(jnp.array(logits), size)
  np.testing.assert_allclose(got, expected.permute(0, 2, 3, 1), atol=1e-5)


def test_scales_are_not_in_memory_together():
  model = UNet(3, width=8, depth=2)
  variables = base.variable_shapes(model)
  images = jax.ShapeDtypeStruct((1, 64, 128, 3), jnp.uint8)

  def temporaries(scales, flip):
    options = passes.Options(scales=scales, flip=flip)
    run = jax.jit(functools.partial(passes.scores, model, size=(64, 128), options=options))
    return run.lower(variables, images).compile().memory_analysis().temp_size_in_bytes

  assert temporaries((0.5, 1.0, 1.5, 1.75), True) < 1.2 * temporaries((1.75,), False)
