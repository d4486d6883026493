"""The parser of preprocessing strings."""

import pickle

import cv2
import numpy as np
import pytest

from flax_unet.data import crops, images, op_spec, ops
from flax_unet.data.elastic import Elastic
from flax_unet.data.label_spaces import CITYSCAPES_19
from flax_unet.data.photometric import Photometric
from flax_unet.data.scale_crop import ScaleCrop
from flax_unet.errors import UserError

SPEC = "label_map|random_scale(0.5, 2.0)|random_crop(16, 32)|flip_lr|photometric|elastic(sigma=3)"


def parse(spec):
  return op_spec.parse(spec, CITYSCAPES_19)


def make_example():
  rng = np.random.default_rng(7)
  return {
    "image": rng.integers(256, size=(48, 64, 3)).astype(np.uint8),
    "label": rng.integers(34, size=(48, 64)).astype(np.uint8),
    "id": "a",
  }


def test_ops_and_arguments():
  assert parse(" random_crop( 3,4 ,cat_max_ratio = 0.75)| flip_lr() |photometric(hue=0)").ops == (
    crops.RandomCrop(3, 4, cat_max_ratio=0.75),
    ops.FlipLR(),
    Photometric(hue=0),
  )
  assert parse(SPEC).ops == (
    ops.LabelMap(CITYSCAPES_19),
    ScaleCrop(ops.RandomScale(0.5, 2.0), crops.RandomCrop(16, 32)),
    ops.FlipLR(),
    Photometric(),
    Elastic(sigma=3, grid=3),
  )


@pytest.mark.parametrize(
  "spec",
  [
    SPEC,
    "label_map",
    "label_map|random_crop(16, 32)",
    "random_crop(60, 70)",
    "flip_lr|random_scale(0.5, 1)",
    "label_map|resize_image(24, 32)",
  ],
)
def test_an_image_that_waits_becomes_what_its_array_does(spec):
  example = make_example()
  encoded = cv2.imencode(".png", example["image"][..., ::-1])[1].tobytes()
  waiting = {**example, "image": images.decode_later(encoded, "a")}
  assert isinstance(waiting["image"], images.EncodedImage)
  for seed in range(10):
    rngs = np.random.default_rng(seed), np.random.default_rng(seed)
    expected, got = (
      parse(spec)(one, rng) for one, rng in zip((example, waiting), rngs, strict=True)
    )
    np.testing.assert_array_equal(got["image"], expected["image"])
    np.testing.assert_array_equal(got["label"], expected["label"])
    assert rngs[0].integers(2**62) == rngs[1].integers(2**62)


@pytest.mark.parametrize("spec", ["random_crop(4, 8)", "random_scale(2, 2)|random_crop(4, 8)"])
def test_an_image_is_decoded_no_further_than_its_crop(spec, monkeypatch):
  asked = []
  decode = images.EncodedImage.decode
  monkeypatch.setattr(
    images.EncodedImage, "decode", lambda self, rows=None: asked.append(rows) or decode(self, rows)
  )
  monkeypatch.setattr(crops.RandomCrop, "draw", lambda *_: (slice(8, 12), slice(0, 8)))
  example = make_example()
  encoded = cv2.imencode(".png", example["image"])[1].tobytes()
  waiting = {**example, "image": images.decode_later(encoded, "a")}
  parse(spec)(waiting, np.random.default_rng(0))
  assert asked == [12 if "scale" not in spec else 7]  # 12 / 2, and one more for interpolation


def test_ops_run_from_left_to_right():
  example = {**make_example(), "label": np.full((48, 64), 7, np.uint8)}
  out = parse("label_map|resize(4, 6)|random_crop(2, 8)")(example, np.random.default_rng(0))
  np.testing.assert_array_equal(out["label"], [[0] * 6 + [255] * 2] * 2)


def test_result_survives_pickling_and_gives_the_same():
  chain = parse(SPEC)
  copy = pickle.loads(pickle.dumps(chain))
  for seed in range(5):
    first = chain(make_example(), np.random.default_rng(seed))
    second = copy(make_example(), np.random.default_rng(seed))
    np.testing.assert_array_equal(first["image"], second["image"])
    np.testing.assert_array_equal(first["label"], second["label"])


@pytest.mark.parametrize(
  ("spec", "size"),
  [
    (SPEC, (16, 32)),
    ("label_map|flip_lr|photometric|elastic", (48, 64)),
    ("resize(8, 9)|flip_lr", (8, 9)),
    ("resize(8, 9)|random_scale(1, 2)", None),
  ],
)
def test_output_size(spec, size):
  assert parse(spec).output_size((48, 64)) == size
  if size:
    assert parse(spec)(make_example(), np.random.default_rng(0))["label"].shape == size


def test_malformed_examples_are_refused():
  example = {**make_example(), "label": np.zeros((48, 63), np.uint8)}
  with pytest.raises(UserError, match=r"'a': image is 48 x 64 .* label is 48 x 63"):
    parse("flip_lr")(example, np.random.default_rng(0))


@pytest.mark.parametrize(
  ("spec", "message"),
  [
    (
      "label_map|random_crp(3, 4)",
      r"unknown preprocessing op 'random_crp'.* 'random_crop'\? choose from <package",
    ),
    ("", "'' has an empty op"),
    ("flip_lr||label_map", "'flip_lr||label_map' has an empty op"),
    ("flip_lr|", "empty op"),
    ("random_crop(512", r"cannot parse op 'random_crop\(512'"),
    ("random_crop(a, b)", r"cannot parse op 'random_crop\(a, b\)'"),
    ("nowhere.resize(1, 2)", r"op 'nowhere.resize': nowhere cannot be imported"),
    ("resize(1, width=2, width=3)", "cannot parse op"),
    ("resize(**{'height': 1})", "cannot parse op"),
    (
      "random_crop(512)",
      r"missing .* 'width'; use random_crop\(height: int, width: int, cat_max",
    ),
    ("flip_lr(0.5)", r"too many positional arguments; use flip_lr\(\)"),
    ("label_map(1)", r"too many positional arguments; use label_map\(\)"),
    ("resize(1, w=2)", r"use resize\(height: int, width: int\)"),
    ("resize(0.5, 2)", "height must be of type int, not 0.5"),
    ("resize(True, 2)", "height must be of type int, not True"),
    ("resize(0, 2)", "at least 1, not 0 and 2"),
    ("random_scale(2.0, 0.5)", "low=2.0 and high=0.5"),
    ("random_crop(2, 2, cat_max_ratio=0)", r"cat_max_ratio must be in \(0, 1\], not 0"),
    ("photometric(hue=100)", "hue in .* hue=100"),
    ("photometric(contrast=1.5)", "contrast=1.5"),
    ("elastic(sigma=-1)", "sigma must be >= 0"),
  ],
)
def test_errors_are_one_line_that_says_what_is_wrong(spec, message):
  with pytest.raises(UserError, match=message) as caught:
    parse(spec)
  assert "\n" not in str(caught.value)
