import cv2
import numpy as np
import pytest

from flax_unet.data import channel_stats, image_format, label_spaces, op_spec
from flax_unet.data.image_format import RGB, ImageFormat
from flax_unet.data.intensity import Intensity
from flax_unet.data.photometric import Photometric
from flax_unet.errors import UserError

THREE = label_spaces.get("3_classes")
_FORMATS = [
  ImageFormat(1, "uint16", (0, 4095), mean=()),
  ImageFormat(4, "uint16", mean=(0.1, 0.2, 0.3, 0.4)),
  ImageFormat(7, "uint8", mean=()),
  ImageFormat(32, "float32", (-1.0, 1.0), mean=()),
]
_SHAPES = "random_scale(0.5, 2.0)|random_crop(64, 64)|flip_lr|rotate(20)|elastic|resize(30, 30)"
_VALUES = "cutout(5, 5, probability=1)|blur(2.0, probability=1)|pad_to_multiple(16)"


def _example(form):
  rng = np.random.default_rng(0)
  high = int(form.array_range[1])
  image = rng.integers(high, size=(40, 50, form.channels), endpoint=True)
  label = rng.integers(3, size=(40, 50), dtype=np.uint8)
  return {"image": image.astype(form.array_dtype), "label": label, "id": "a"}


@pytest.mark.parametrize("form", _FORMATS, ids=lambda form: form.describe())
def test_ops_treat_each_channel_as_if_it_were_alone(form):
  example = _example(form)
  together = op_spec.parse(f"label_map|{_SHAPES}|{_VALUES}", THREE, form)
  for seed in range(3):
    out = together(example, np.random.default_rng(seed))
    assert out["image"].shape == (32, 32, form.channels)
    assert out["image"].dtype == form.array_dtype
    for channel in range(form.channels):
      mean = form.mean[channel : channel + 1]
      single = ImageFormat(1, form.dtype, form.value_range, mean=mean)
      alone = op_spec.parse(f"label_map|{_SHAPES}|{_VALUES}", THREE, single)
      one = {**example, "image": example["image"][..., channel : channel + 1]}
      expected = alone(one, np.random.default_rng(seed))
      np.testing.assert_array_equal(out["image"][..., channel], expected["image"][..., 0])
      np.testing.assert_array_equal(out["label"], expected["label"])


def test_photometric_distorts_16_bits_like_8_and_leaves_other_channels():
  eight = _example(RGB)
  form = ImageFormat(5, "uint16", mean=())
  rest = np.full((40, 50, 2), 7, np.uint16)
  sixteen = {**eight, "image": np.dstack([eight["image"].astype(np.uint16) * 257, rest])}
  for seed in range(8):
    expected = Photometric()(eight, np.random.default_rng(seed))["image"].astype(float)
    found = Photometric(image_format=form)(sixteen, np.random.default_rng(seed))["image"]
    np.testing.assert_array_equal(found[..., 3:], rest)
    # OpenCV's 8-bit HSV has 180 hues and 256 saturations, and is wrong by some grey levels.
    off = np.abs(found[..., :3] / 257 - expected)
    assert np.median(off) <= 1
    assert np.quantile(off, 0.99) < 8


def test_intensity_is_a_factor_and_a_shift():
  form = ImageFormat(2, "uint16", (100, 1100), mean=())
  image = np.array([[[100, 600], [1100, 300]]], np.uint16)
  example = {"image": image, "label": np.zeros((1, 2), np.uint8), "id": "a"}
  seen = set()
  for seed in range(40):
    out = Intensity(brightness=0.2, contrast=0.5, image_format=form)(
      example, np.random.default_rng(seed)
    )["image"]
    rng = np.random.default_rng(seed)
    contrast, brighten = rng.integers(2, size=2)
    factor, shift = rng.uniform(0.5, 1.5), rng.uniform(-0.2, 0.2)
    factor, shift = factor if contrast else 1, shift * 1000 if brighten else 0
    expected = np.rint((image - 100.0) * factor + 100 + shift).clip(100, 1100)
    np.testing.assert_array_equal(out, expected)
    seen.add((contrast, brighten))
  assert len(seen) == 4


def test_ops_that_need_colour_or_8_bits_say_so():
  with pytest.raises(UserError, match="no colour in 1 channel of uint8: use intensity"):
    op_spec.parse("photometric", THREE, ImageFormat(1, mean=()))
  with pytest.raises(
    UserError, match=r"JPEG holds three 8-bit channels, and .* 4 channels of uint8"
  ):
    op_spec.parse("jpeg", THREE, ImageFormat(4, mean=()))
  with pytest.raises(UserError, match=r"image must be uint16 \[height, width, 2\], not uint8"):
    op_spec.parse("label_map", THREE, ImageFormat(2, "uint16", mean=()))(
      _example(ImageFormat(2, mean=())), np.random.default_rng(0)
    )


def test_mean_and_deviation_are_those_of_all_pixels():
  form = ImageFormat(3, "uint16", (0, 60000), mean=())
  rng = np.random.default_rng(0)
  pictures = [
    rng.integers((0, 100, 59999), (60001, 200, 60000), size=(size, 9, 3)).astype(np.uint16)
    for size in (5, 11, 2)
  ]
  mean, stddev = channel_stats.count([{"image": x} for x in pictures], form)
  pixels = np.concatenate(pictures).reshape(-1, 3) / 60000
  np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
  np.testing.assert_allclose(stddev[:2], pixels[:, :2].std(0), rtol=1e-9)
  assert stddev[2] == 1  # the third channel is constant


def test_a_range_of_either_part_stretches_it():
  image, depth = np.full((2, 2, 1), 100, np.uint8), np.full((2, 2, 1), 60, np.uint8)
  plain, ranged = ImageFormat(1, mean=()), ImageFormat(1, value_range=(0, 100), mean=())
  both = ImageFormat(2, mean=(), extra=ranged)
  assert both.join(image, depth)[0, 0].tolist() == [100 * 257, 39321]
  both = ImageFormat(2, value_range=(0, 250), mean=(), extra=plain)
  assert both.join(image, depth)[0, 0].tolist() == [26214, 60 * 257]
  assert ImageFormat(2, mean=(), extra=plain).join(image, depth)[0, 0].tolist() == [100, 60]


def test_what_people_see():
  image = _example(RGB)["image"]
  assert RGB.shown(image) is image
  deep = ImageFormat(4, mean=(), extra=ImageFormat(1, "uint16", mean=()))
  joined = deep.join(image, np.full((40, 50, 1), 700, np.uint16))
  np.testing.assert_array_equal(deep.shown(joined), image)
  np.testing.assert_array_equal(
    ImageFormat(view=(2, 1, 0)).shown(image)[..., 0],
    ImageFormat(view=(2,)).shown(image)[..., 1],
  )
  ramp = np.arange(5000, dtype=np.uint16).reshape(50, 100, 1).repeat(4, 2)
  shown = ImageFormat(4, "uint16", view=(3, 0, 1), mean=()).shown(ramp)
  assert (shown.shape, shown.dtype) == ((50, 100, 3), np.uint8)
  assert (shown == 0).mean() == pytest.approx(0.02, abs=0.002)
  assert (shown == 255).mean() == pytest.approx(0.02, abs=0.002)
  assert ImageFormat(1, mean=()).shown(image[..., :1]).shape == (40, 50, 3)


def test_groups_are_put_together_again():
  image = _example(_FORMATS[2])["image"]
  found = image_format.by_group(lambda part: cv2.blur(part, (3, 3)), image)
  expected = np.dstack([cv2.blur(image[..., channel], (3, 3)) for channel in range(7)])
  np.testing.assert_array_equal(found, expected)


def test_padding_is_about_0_after_normalisation():
  assert RGB.pad_color == (124, 116, 104)
  assert ImageFormat(2, "uint16", (0, 1000), mean=(0.25, 0.5)).pad_color == (250, 500)


@pytest.mark.parametrize(
  ("arguments", "reason"),
  [
    ((0,), "channels = 0: give 1 to 32"),
    ((33,), "channels = 33: give 1 to 32"),
    ((3, "int16"), "dtype = 'int16': give one of uint8, uint16, float32"),
    ((3, "uint8", (0, 256)), "uint8 holds 0 to 255"),
    ((3, "uint16", (5, 5)), "give the lowest and the highest value"),
    ((3, "uint16", (1, 2, 3)), "give the lowest and the highest value"),
    ((3, "float32", (0, float("nan"))), "give the lowest and the highest value"),
    ((2, "uint8", (), (0, 1)), "give three channels"),
    ((2, "uint8", (), (2,)), "from 0 to 1"),
    ((4, "uint8"), "mean has 3 values for 4 channels"),
  ],
)
def test_formats_that_cannot_be_are_refused(arguments, reason):
  with pytest.raises(ValueError, match=reason):
    ImageFormat(*arguments)
