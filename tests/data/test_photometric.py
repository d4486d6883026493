"""The photometric distortion."""

import cv2
import numpy as np

from flax_unet.data.photometric import Photometric


class FixedDraws:
  """A fake random generator: returns the given coins, and one number for everything else."""

  def __init__(self, coins, uniform=0.0, shift=0):
    self._coins, self._uniform, self._shift = coins, uniform, shift

  def integers(self, low, high=None, size=None, endpoint=False):
    return np.array(self._coins) if size else self._shift

  def uniform(self, low, high):
    return self._uniform


BRIGHTEN, CONTRAST_FIRST, CONTRAST_LAST = (1, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 1, 1, 0, 0)
SATURATE, ROTATE, NOTHING = (0, 0, 0, 1, 0), (0, 0, 0, 0, 1), (0, 1, 0, 0, 0)


def make_example():
  image = np.random.default_rng(0).integers(256, size=(16, 16, 3)).astype(np.uint8)
  image.setflags(write=False)
  return {"image": image, "label": np.zeros((16, 16), np.uint8), "id": "a"}


def distort(coins, **draws):
  example = make_example()
  return Photometric()(example, FixedDraws(coins, **draws))["image"], example["image"]


def test_identity_when_all_coins_say_no():
  out, image = distort(NOTHING, uniform=0.7, shift=9)
  np.testing.assert_array_equal(out, image)


def test_brightness_adds_and_clips():
  out, image = distort(BRIGHTEN, uniform=-20.0)
  np.testing.assert_array_equal(out, np.maximum(image.astype(int) - 20, 0))


def test_contrast_multiplies_rounds_and_clips():
  for coins in (CONTRAST_FIRST, CONTRAST_LAST):
    out, image = distort(coins, uniform=1.5)
    np.testing.assert_array_equal(out, np.minimum(np.rint(image * 1.5), 255))


def test_contrast_comes_before_or_after_the_colours():
  first, _ = distort((0, 0, 1, 1, 0), uniform=1.5)
  last, _ = distort((0, 1, 1, 1, 0), uniform=1.5)
  assert (first != last).any()


def test_hue_is_rotated_modulo_180_in_hsv():
  out, image = distort(ROTATE, shift=-13)
  hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
  hsv[..., 0] = (hsv[..., 0].astype(int) - 13) % 180
  np.testing.assert_array_equal(out, cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def test_rotating_red_by_120_degrees_gives_green():
  example = {**make_example(), "image": np.full((1, 1, 3), (200, 0, 0), np.uint8)}
  out = Photometric(hue=60)(example, FixedDraws(ROTATE, shift=60))["image"]
  np.testing.assert_array_equal(out[0, 0], (0, 200, 0))


def test_saturation_zero_is_grey():
  out, image = distort(SATURATE, uniform=0.0)
  np.testing.assert_array_equal(out, np.repeat(image.max(axis=-1, keepdims=True), 3, axis=-1))


def test_draws_stay_within_their_bounds_and_reach_them():
  example = {**make_example(), "image": np.full((1, 1, 3), 100, np.uint8)}
  grey = np.array(
    [Photometric()(example, np.random.default_rng(seed))["image"][0, 0] for seed in range(2000)]
  ).astype(int)
  assert (grey == grey[:, :1]).all()  # gray has neither saturation nor hue to change
  assert 34 <= grey.min() < 45  # (100 - 32) * 0.5
  assert 185 < grey.max() <= 198  # (100 + 32) * 1.5
  # A quarter of the draws change neither brightness nor contrast; standard error 0.01.
  np.testing.assert_allclose((grey[:, 0] == 100).mean(), 0.25, atol=0.04)


def test_the_label_passes_through():
  example = make_example()
  out = Photometric()(example, np.random.default_rng(0))
  assert out["label"] is example["label"]
  assert out["id"] == "a"
