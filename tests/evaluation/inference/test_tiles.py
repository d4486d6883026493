"""Windows against the whole image; scales and flips against their average by hand."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from flax_unet.evaluation import evaluation
from flax_unet.evaluation.evaluators.segmentation import Segmentation
from flax_unet.evaluation.inference import passes, tiles
from flax_unet.models.base import Geometry
from flax_unet.models.unet import UNet

CLASSES = 3


def _model(padding="same", depth=2):
  """A small network with random parameters."""
  model = UNet(CLASSES, width=4, depth=depth, norm="none", padding=padding)
  side = model.geometry.covering_size(4)
  init = jax.jit(functools.partial(model.init, train=False))
  return model, init(jax.random.key(0), jnp.zeros((1, side, side, 3)))


def _tiled(model, variables, images, options):
  return jax.jit(functools.partial(tiles.tiled_scores, model, options=options))(variables, images)


def _whole(model, variables, images):
  # Padded only as far as the network needs, like windows.
  return jax.jit(functools.partial(passes.whole_picture, model, multiple=1))(variables, images)


def _images(*size):
  return np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)


def _blend(model, variables, image, options):
  """Predicts on the host, window by window."""
  plan = tiles.Plan.make(image.shape[:2], model, options)
  blender = tiles.Blender(plan, CLASSES)
  step = jax.jit(functools.partial(tiles.window_scores, model, options=options))
  ends = [
    blender.add(np.asarray(step(variables, window[None])[0])) for window in plan.windows(image)
  ]
  assert ends == [False] * (len(ends) - 1) + [True]
  return blender.mask


# At depth 2 the padding reaches 22 pixels into a window; of an overlap of 88, 22 are dropped.
@pytest.mark.parametrize(
  ("padding", "tile", "overlap"),
  [("same", (112, 128), 88), ("valid", (32, 48), 0), ("valid", (32, 48), 16)],
)
@pytest.mark.parametrize("size", [(160, 208), (151, 197)])
def test_windows_equal_the_whole_picture(padding, tile, overlap, size):
  model, variables = _model(padding)
  options = passes.Options("tiles", tile, overlap)
  images = _images(*size)
  whole = _whole(model, variables, images)
  # At the image border too: there, windows end where the image does.
  np.testing.assert_allclose(_tiled(model, variables, images, options), whole, atol=1e-4)
  mask = _blend(model, variables, images[0], options)
  np.testing.assert_array_equal(mask, np.asarray(whole)[0].argmax(-1))


def test_windows_at_two_scales_and_flipped_equal_the_whole_picture():
  model, variables = _model(depth=1)
  options = passes.Options("tiles", (48, 64), 40, scales=(1.0, 2.0), flip=True)
  images = _images(64, 96)
  whole = jax.jit(functools.partial(passes.scores, model, size=images.shape[1:3], options=options))(
    variables, images
  )
  np.testing.assert_allclose(_tiled(model, variables, images, options), whole, atol=1e-4)


def test_scales_and_flips_average_probabilities_at_the_size_asked_for():
  model, variables = _model(depth=1)
  images = _images(16, 24)
  scores = passes.scores(
    model, variables, images, (32, 48), passes.Options(scales=(1.0, 2.0), flip=True)
  )
  expected = np.zeros((32, 48, CLASSES))
  for flip in (1, -1):
    for factor in (1, 2):
      image = cv2.resize(images[0], (24 * factor, 16 * factor))[:, ::flip]
      logits = np.array(_whole(model, variables, image[None])[0, :, ::flip])
      expected += scipy.special.softmax(cv2.resize(logits, (48, 32)), axis=-1) / 4
  np.testing.assert_allclose(scores[0], expected, atol=1e-5)


def test_small_pictures_are_mirrored_up_to_a_window():
  model, variables = _model()
  images = _images(20, 30)
  tiled = _tiled(model, variables, images, passes.Options("tiles", (32, 64), 0))
  mirrored = np.pad(images, ((0, 0), (0, 12), (1, 33), (0, 0)), mode="reflect")
  expected = _whole(model, variables, mirrored)[:, :20, 1:31]
  np.testing.assert_allclose(tiled, expected, atol=1e-5)


def test_an_eval_step_predicts_as_its_options_say():
  model, variables = _model(depth=1)
  options = passes.Options("tiles", (16, 16), 4, scales=(1.0, 0.5), flip=True)
  images = np.random.default_rng(1).integers(0, 256, (4, 1, 24, 40, 3), np.uint8)
  labels = np.zeros((4, 1, 24, 40), np.uint8)
  step = functools.partial(
    evaluation.eval_step, model=model, evaluator=Segmentation(), options=options, multiple=8
  )
  outputs = jax.pmap(step, in_axes=(None, 0))(variables, {"image": images, "label": labels})
  expected = _tiled(model, variables, images[:, 0], options)
  np.testing.assert_array_equal(outputs["prediction"][:, 0], np.argmax(expected, -1))


def test_weights_fade_in_the_middle_of_the_overlap():
  axis = tiles.cover(size=48, tile=32, overlap=16, geometry=Geometry(4))
  assert axis.starts == (0, 16)
  first, second = axis.weights
  np.testing.assert_array_equal(first[:20], 1)  # alone, and the outer quarter of the second
  np.testing.assert_array_equal(second[:4], 0)
  np.testing.assert_allclose(first[20:28], np.cos(np.pi / 2 * (np.arange(8) + 0.5) / 8) ** 2)
  np.testing.assert_allclose(first[16:] + second[:16], 1)


def test_weights_sum_to_one_where_the_last_window_was_moved_back():
  axis = tiles.cover(size=101, tile=32, overlap=10, geometry=Geometry(4))
  assert axis.starts == (0, 20, 40, 60, 72)
  total = np.zeros(104)
  for start, weights in zip(axis.starts, axis.weights, strict=True):
    total[start : start + 32] += weights
  np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"mode": "slide"}, "mode = 'slide': use whole or tiles"),
    ({"tile": (100, 64)}, r"tile = \(100, 64\): .* needs multiples of 16, such as 96 for 100"),
    ({"tile": 64}, "tile = 64: give height and width"),
    ({"overlap": 64}, "overlap = 64: must be from 0 to 48 pixels"),
    ({"scales": ()}, r"scales = \(\): give factors above 0"),
    ({"scales": (1.0, -1.0)}, "scales = "),
    ({"flip": 1}, "flip = 1: must be True or False"),
  ],
)
def test_options_out_of_range_are_refused(change, message):
  options = passes.Options(**{"mode": "tiles", "tile": (64, 128), "overlap": 16} | change)
  with pytest.raises(ValueError, match=message):
    options.check(Geometry(16))
