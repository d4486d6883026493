"""The ops that warp, cover and degrade images, and those that choose what to show."""

import cv2
import numpy as np
import pytest
import scipy.ndimage

from flax_unet.data import class_pixels, crops, label_spaces, op_spec, order, pipeline
from flax_unet.data.affine import Affine, Rotate
from flax_unet.data.border_weights import BorderWeights
from flax_unet.data.degrade import Blur, Cutout, Jpeg
from flax_unet.data.image_format import RGB
from flax_unet.data.label_space import IGNORED
from flax_unet.errors import UserError
from flax_unet.losses import class_weights

THREE = label_spaces.get("3_classes")


@pytest.fixture(autouse=True)
def _own_caches(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _noise(height=40, width=56, classes=3, seed=0):
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (height, width, 3), np.uint8)
  label = rng.integers(0, classes, (height, width), np.uint8)
  return {"image": image, "label": label, "id": "noise", "weights": label.astype(np.float32)}


def test_a_quarter_turn_moves_every_pixel_where_it_belongs():
  example = _noise(31, 31)
  quarter = Affine(max_degrees=180.0)

  class Fixed:
    def random(self):
      return 0.0

    def uniform(self, low, high, size=None):
      return np.zeros(size) if size else {-180.0: 90.0, 1.0: 1.0}.get(low, 0.0)

  out = quarter(example, Fixed())
  for key in ("image", "label", "weights"):
    np.testing.assert_allclose(out[key], np.rot90(example[key]), atol=1e-6)  # counter-clockwise


def test_affine_equals_scipy_at_what_it_draws():
  smooth = cv2.GaussianBlur(_noise(60, 80)["image"], (0, 0), 3)
  example = {"image": smooth, "label": (smooth[..., 0] > 128).astype(np.uint8), "id": "x"}
  op = Affine(max_degrees=30.0, low=0.7, high=1.4, max_shear=10.0, max_shift=0.1)
  out = op(example, np.random.default_rng(3))
  rng = np.random.default_rng(3)
  rng.random()
  matrix = op._draw(60, 80, rng)
  inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]  # from new to old (x, y)
  swap = inverse[::-1, [1, 0, 2]]  # (row, column)
  expected = scipy.ndimage.affine_transform(
    smooth[..., 1].astype(np.float64), swap[:, :2], swap[:, 2], order=1, cval=np.nan
  )
  inside = np.isfinite(expected) & (expected > 0)
  # OpenCV places samples at multiples of 1/32 of a pixel.
  assert np.abs(out["image"][..., 1] - expected)[inside].max() < 2.5
  assert inside.mean() > 0.5
  labels = scipy.ndimage.affine_transform(
    example["label"], swap[:, :2], swap[:, 2], order=0, cval=IGNORED
  )
  assert (labels == out["label"]).mean() > 0.99


def test_what_comes_from_outside_is_ignored():
  example = {"image": np.full((20, 30, 3), 9, np.uint8), "label": np.zeros((20, 30), np.uint8)}
  example |= {"id": "x", "weights": np.ones((20, 30), np.float32)}
  out = Affine(max_degrees=0.0, low=0.5, high=0.5)(example, np.random.default_rng(0))
  assert (out["label"] == 0).sum() == 150  # a quarter of the pixels
  np.testing.assert_array_equal(out["image"][0, 0], RGB.pad_color)
  assert out["weights"][0, 0] == 0


def test_rotate_is_affine_with_only_a_rotation():
  example = _noise()
  got = Rotate(20.0)(example, np.random.default_rng(5))
  expected = Affine(max_degrees=20.0)(example, np.random.default_rng(5))
  np.testing.assert_array_equal(got["image"], expected["image"])
  assert (got["image"] != example["image"]).any()


def test_cutout_covers_rectangles_of_the_image_alone():
  example = _noise(200, 300)
  out = Cutout(20, 30, holes=1, probability=1.0)(example, np.random.default_rng(0))
  rows, columns = np.nonzero((out["image"] != example["image"]).any(-1))
  assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 30)
  hole = out["image"][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
  assert (hole == RGB.pad_color).all()
  assert out["label"] is example["label"]


def test_blur_equals_scipy():
  example = _noise()
  out = Blur(max_sigma=1.5, probability=1.0)(example, np.random.default_rng(2))
  rng = np.random.default_rng(2)
  rng.random()
  sigma = 1.5 * (1 - rng.random())
  expected = scipy.ndimage.gaussian_filter(
    example["image"].astype(float), (sigma, sigma, 0), mode="mirror", truncate=3.0
  )
  assert np.abs(out["image"] - expected).max() <= 2  # OpenCV's kernel has 8 bits


def test_jpeg_equals_pillow():
  image = pytest.importorskip("PIL.Image")
  import io

  smooth = cv2.GaussianBlur(_noise()["image"], (0, 0), 2)
  out = Jpeg(60, 60, probability=1.0)({"image": smooth, "id": "x"}, np.random.default_rng(0))
  file = io.BytesIO()
  image.fromarray(smooth).save(file, "JPEG", quality=60)
  np.testing.assert_allclose(out["image"].astype(int), np.array(image.open(file)), atol=2)


@pytest.mark.parametrize(
  "op",
  ["affine(20)", "rotate(20)", "cutout(8, 8)", "blur", "jpeg", "balanced_crop(16, 16)"],
)
def test_repeats_with_the_same_generator_and_leaves_the_input(op):
  example = _noise()
  for value in example.values():
    if isinstance(value, np.ndarray):
      value.setflags(write=False)
  chain = op_spec.parse(f"label_map|{op}", THREE)
  for seed in range(4):
    one, two = (chain(example, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one["image"], two["image"])
    np.testing.assert_array_equal(one["label"], two["label"])


@pytest.mark.parametrize(
  ("op", "complaint"),
  [
    ("rotate(200)", "max_degrees must be in"),
    ("affine(max_shear=90.0)", "max_shear must be in"),
    ("affine(low=2.0, high=1.0)", "0 < low <= high"),
    ("affine(max_shift=2.0)", "max_shift must be in"),
    ("cutout(0, 3)", "at least 1"),
    ("cutout(3, 3, holes=0)", "holes must be at least 1"),
    ("blur(0)", "max_sigma must be above 0"),
    ("blur(1e6)", "at most 100"),
    ("rotate(-10)", r"max_degrees must be in \[0, 180\], not -10"),
    ("jpeg(0, 50)", "qualities must be"),
    ("jpeg(probability=1.5)", "probability must be in"),
    ("balanced_crop(8, 8, share=2)", "share must be in"),
    ("border_weights(sigma=0)", "sigma above 0"),
  ],
)
def test_refuses_values_out_of_range(op, complaint):
  with pytest.raises(UserError, match=complaint):
    op_spec.parse(op, THREE)


def test_border_weights_of_two_squares_by_hand():
  label = np.zeros((9, 12), np.uint8)
  label[3:6, 1:4], label[3:6, 6:9] = 1, 2
  label[0, 0] = IGNORED
  weights = BorderWeights(w0=10.0, sigma=5.0).weigh(label)
  # Between the squares, in columns 4 and 5, the distances are 1 and 2 and add up to 3.
  between = 1 + 10 * np.exp(-9 / 50)
  np.testing.assert_allclose(weights[3:6, 4:6], between, rtol=1e-6)
  # In the corner (2, 10): 2.236 (row 3, column 8) and 7.071 (row 3, column 3).
  corner = 1 + 10 * np.exp(-((5**0.5 + 50**0.5) ** 2) / 50)
  np.testing.assert_allclose(weights[2, 10], corner, rtol=1e-6)
  np.testing.assert_array_equal(weights[label > 0], 1)


def test_border_weights_of_one_object_are_one():
  label = np.zeros((6, 6), np.uint8)
  label[2:4, 2:4] = 1
  np.testing.assert_array_equal(BorderWeights().weigh(label), 1)


def test_border_weights_are_kept_and_a_damaged_file_is_replaced(tmp_path, monkeypatch):
  label = np.zeros((8, 8), np.uint8)
  label[1:3, 1:3] = label[5:7, 5:7] = 1
  example = {"image": np.zeros((8, 8, 3), np.uint8), "label": label, "id": "cells"}
  op = BorderWeights()
  first = op(example, np.random.default_rng(0))["weights"]
  (file,) = (tmp_path / "flax_unet_border_weights").iterdir()
  file.write_bytes(b"cut off")
  np.testing.assert_array_equal(op(example, np.random.default_rng(0))["weights"], first)
  monkeypatch.setattr(BorderWeights, "weigh", lambda *_: pytest.fail("computed again"))
  np.testing.assert_array_equal(op(example, np.random.default_rng(0))["weights"], first)


def _rare(num=20):
  """A source whose class 2 has one pixel, in the last example."""
  source = [_noise(32, 32, classes=2, seed=seed) | {"id": f"{seed}"} for seed in range(num)]
  for example in source:
    del example["weights"]
  source[-1]["label"][20, 25] = 2
  return source


def test_balanced_crops_show_every_class_equally_often():
  source = _rare()
  pixels = class_pixels.count(source, THREE)
  assert pixels.shape == (20, 3)
  assert pixels[:, 2].tolist() == [0] * 19 + [1]
  chain = op_spec.parse("label_map|balanced_crop(9, 9, share=0.6)", THREE)
  assert chain.focused_share == 0.6
  focus = order.Focus(pixels, chain.focused_share)
  batches = pipeline.train_batches(source, chain, batch_size=4, seed=0, focus=focus)
  centres, has_rare = 0, 0
  for _ in range(150):
    labels = next(batches)["label"].reshape(-1, 9, 9)
    centres += (labels[:, 4, 4] == 2).sum()
    has_rare += (labels == 2).any((1, 2)).sum()
  batches.close()
  # 0.6 / 3 of 600 crops are centred on it: 120, standard deviation 9.8.
  assert abs(int(centres) - 120) < 40
  assert has_rare >= centres


@pytest.mark.parametrize("workers", [0, 2])
def test_balanced_crops_resume_with_any_number_of_workers(workers):
  source, spec = _rare(), "label_map|random_scale(0.5, 2.0)|balanced_crop(8, 8)"
  chain = op_spec.parse(spec, THREE)
  focus = order.Focus(class_pixels.count(source, THREE), chain.focused_share)

  def take(start, number, workers):
    batches = pipeline.train_batches(
      source, chain, batch_size=4, seed=1, start=start, focus=focus, workers=workers
    )
    taken = [next(batches) for _ in range(number)]
    batches.close()
    return taken

  for got, expected in zip(take(3, 2, workers), take(0, 5, 0)[3:], strict=True):
    np.testing.assert_array_equal(got["label"], expected["label"])
    assert "focus" not in got


def test_a_crop_of_a_class_stays_inside_the_image():
  label = np.zeros((20, 30), np.uint8)
  label[19, 29] = 1
  op = crops.BalancedCrop(8, 8, share=1.0)
  place = op.draw({"focus": 1}, label, np.random.default_rng(0))
  assert place == (slice(12, 20), slice(22, 30))


def test_classes_are_counted_once(monkeypatch):
  source = _rare(5)
  first = class_pixels.counted_once(source, THREE, {"name": "test"})
  monkeypatch.setattr(class_pixels, "count", lambda *_: pytest.fail("counted again"))
  np.testing.assert_array_equal(class_pixels.counted_once(source, THREE, {"name": "test"}), first)
  with pytest.raises(pytest.fail.Exception):
    class_pixels.counted_once(source, THREE, {"name": "other"})


# Two images of 100 pixels: class 0 has 80 and 60, class 1 20 and 0, class 2 0 and 40.
PIXELS = np.array([[80, 20, 0], [60, 0, 40]])


def test_weights_by_hand():
  # Frequencies in the images that hold the class: 140/200, 20/100, 40/100; their median is 0.4.
  np.testing.assert_allclose(class_weights.median_frequency(PIXELS), [4 / 7, 2, 1])
  np.testing.assert_allclose(
    class_weights.enet(PIXELS), 1 / np.log([1.02 + 0.7, 1.02 + 0.1, 1.02 + 0.2])
  )
  # 1.4, 0.2 and 0.4 images; nearly inverse frequencies, as beta is nearly 1.
  inverse = 0.001 / (1 - 0.999 ** np.array([1.4, 0.2, 0.4]))
  np.testing.assert_allclose(
    class_weights.effective_number(PIXELS), 3 * inverse / inverse.sum(), rtol=1e-9
  )


def test_a_class_that_no_image_holds_is_named():
  pixels = PIXELS * [1, 0, 1]
  with pytest.raises(
    UserError, match="no training image holds 'pole'; give the weights as numbers"
  ):
    class_weights.compute("median_frequency", pixels, ["sky", "pole", "road"])
