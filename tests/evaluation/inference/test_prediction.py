"""Predictions against the network applied directly, and the memory that large images need."""

import functools
import subprocess
import sys
import textwrap

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_unet.evaluation.inference import fitting, passes, prediction, tiles
from flax_unet.models.unet import UNet

MODEL = UNet(3, width=4, depth=1, norm="none")
WHOLE = passes.Options()
# At depth 1 the padding reaches 10 pixels into a window; of an overlap of 40, 10 are dropped.
TILES = passes.Options("tiles", tile=(64, 96), overlap=40)


@pytest.fixture(name="variables", scope="module")
def _variables():
  init = jax.jit(functools.partial(MODEL.init, train=False))
  return init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))


def _pictures(*sizes):
  """Smooth images, so that classes cover more than single pixels."""
  rng = np.random.default_rng(0)
  noise = [rng.integers(0, 256, (8, 8, 3), np.uint8) for _ in sizes]
  return [
    cv2.resize(x, size[::-1], interpolation=cv2.INTER_CUBIC)
    for x, size in zip(noise, sizes, strict=True)
  ]


def _whole_mask(variables, image, size=None, multiple=128):
  logits = passes.whole_picture(MODEL, variables, image[None], multiple)
  return np.argmax(passes.resize_logits(logits, size or image.shape[:2])[0], -1)


def test_pictures_of_all_sizes_come_out_in_order(variables):
  images = _pictures((128, 128), (128, 256), (128, 128), (100, 70), (1, 1), (300, 129), (300, 130))
  predictor = prediction.Predictor(MODEL, variables, WHOLE)
  masks = list(predictor(enumerate(images)))
  assert [key for key, _ in masks] == list(range(7))
  for (_, mask), image in zip(masks, images, strict=True):
    assert mask.dtype == np.uint8
    height, width = image.shape[:2]
    mirrored = np.pad(image, ((0, -height % 128), (0, -width % 128), (0, 0)), mode="reflect")
    expected = _whole_mask(variables, mirrored)[:height, :width]
    np.testing.assert_array_equal(mask, expected)
  assert len(np.unique(masks[1][1])) > 1


def test_pictures_are_mirrored_up_to_the_multiple_asked_for(variables):
  (image,) = _pictures((30, 41))
  ((_, mask),) = prediction.Predictor(MODEL, variables, WHOLE, multiple=16)([(0, image)])
  mirrored = np.pad(image, ((0, 2), (0, 7), (0, 0)), mode="reflect")
  np.testing.assert_array_equal(mask, _whole_mask(variables, mirrored, multiple=16)[:30, :41])


def test_pictures_are_resampled_before_and_masks_are_not(variables):
  (image,) = _pictures((90, 150))
  predictor = prediction.Predictor(MODEL, variables, WHOLE, resize=(40, 60))
  ((_, mask),) = predictor([(0, image)])
  expected = _whole_mask(variables, cv2.resize(image, (60, 40)), (90, 150))
  np.testing.assert_array_equal(mask, expected)


def test_tiles_of_several_pictures_share_one_compiled_step(variables, monkeypatch):
  traced = []
  window_scores = tiles.window_scores
  monkeypatch.setattr(
    tiles,
    "window_scores",
    lambda *args, **kwargs: traced.append(1) or window_scores(*args, **kwargs),
  )
  images = _pictures((64, 96), (100, 150), (130, 110))
  predictor = prediction.Predictor(MODEL, variables, TILES)
  masks = dict(predictor(enumerate(images)))
  assert len(traced) == 1
  for key, image in enumerate(images):
    np.testing.assert_array_equal(masks[key], _whole_mask(variables, image))


def test_pictures_too_large_for_one_pass_go_in_tiles(variables, monkeypatch):
  monkeypatch.setattr(fitting, "LARGEST_PASS", 128 * 128)
  whole_steps = []
  monkeypatch.setattr(fitting, "predict", lambda *args, **kwargs: whole_steps.append(1))
  options = passes.Options("whole", tile=(64, 96), overlap=40)
  (image,) = _pictures((200, 100))
  ((_, mask),) = prediction.Predictor(MODEL, variables, options)([(0, image)])
  np.testing.assert_array_equal(mask, _whole_mask(variables, image))
  assert not whole_steps


_MEMORY = """
  import resource, sys
  import jax
  import jax.numpy as jnp
  import numpy as np
  from flax_unet.evaluation.inference import passes, prediction
  from flax_unet.models.unet import UNet

  side = int(sys.argv[1])
  model = UNet(3, width=2, depth=1, norm="none")
  variables = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)), train=False))()
  options = passes.Options("tiles", tile=(256, 256), overlap=32)
  image = np.full((side, side, 3), 100, np.uint8)
  ((_, mask),) = prediction.Predictor(model, variables, options)([(0, image)])
  assert mask.shape == (side, side)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(peak - image.nbytes - mask.nbytes)
"""


def test_memory_does_not_grow_with_the_picture():
  def peak(side):
    command = [sys.executable, "-c", textwrap.dedent(_MEMORY), str(side)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

  # The scores of the whole larger image take 4096 * 4096 * 3 * 4 bytes, 201 MB.
  assert peak(4096) - peak(1024) < 70e6
