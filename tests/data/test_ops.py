"""The ops that move or relabel pixels."""

import numpy as np
import pytest

from flax_unet.data import crops, label_spaces, op_spec, ops
from flax_unet.data.elastic import Elastic
from flax_unet.data.image_format import RGB
from flax_unet.errors import UserError

IGNORED = label_spaces.IGNORED


def make_example(label, image=None):
  """An example whose image is its label in gray, unless an image is given."""
  label = np.asarray(label, np.uint8)
  image = np.stack([label] * 3, axis=-1) if image is None else np.asarray(image, np.uint8)
  # Read-only, so that an op that writes into its input fails.
  label.setflags(write=False)
  image.setflags(write=False)
  return {"image": image, "label": label, "id": "aachen_000000"}


def checkerboard(height=96, width=144, cell=24):
  """A label with two values in large cells: nearest and bilinear only differ at cell edges."""
  rows, columns = np.indices((height, width)) // cell
  return np.where((rows + columns) % 2, 200, 40).astype(np.uint8)


def test_label_map_maps_ids_and_ignores_the_rest():
  op = ops.LabelMap(label_spaces.CITYSCAPES_19)
  out = op(make_example([[7, 33], [0, 9]]), np.random.default_rng(0))
  np.testing.assert_array_equal(out["label"], [[0, 18], [IGNORED, IGNORED]])
  assert out["id"] == "aachen_000000"


def test_label_map_names_example_and_value():
  op = ops.LabelMap(label_spaces.CITYSCAPES_19)
  with pytest.raises(
    ValueError, match=r"'aachen_000000'.*34 is not in label space 'cityscapes_19'"
  ):
    op(make_example([[7, 34]]), np.random.default_rng(0))


def test_resize_places_pixel_centres_at_half_integers():
  example = make_example([[0, 10, 20, 30]])
  out = ops.Resize(1, 8)(example, np.random.default_rng(0))
  np.testing.assert_array_equal(out["label"], [[0, 0, 10, 10, 20, 20, 30, 30]])
  # New centres are a quarter of an old pixel to either side of the old centres.
  expected = [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]
  np.testing.assert_allclose(out["image"][0, :, 0], expected, atol=0.5)


def test_random_scale_keeps_the_aspect_ratio_and_the_range():
  op, rng = ops.RandomScale(0.5, 2.0), np.random.default_rng(0)
  example = make_example(np.zeros((100, 200)))
  shapes = np.array([op(example, rng)["label"].shape for _ in range(400)])
  np.testing.assert_allclose(shapes[:, 1] / shapes[:, 0], 2.0, atol=0.02)
  assert shapes[:, 0].min() >= 50
  assert shapes[:, 0].max() <= 200
  # Uniform in the ratio: mean 1.25, standard error 0.433 / sqrt(400) = 0.022.
  np.testing.assert_allclose(shapes[:, 0].mean() / 100, 1.25, atol=0.07)


@pytest.mark.parametrize("ratio", [0.4, 0.73, 1.37])
def test_scaled_image_and_label_stay_aligned(ratio):
  ramp = np.tile(np.arange(0, 240, 4), (60, 1))
  out = ops.RandomScale(ratio, ratio)(make_example(ramp), np.random.default_rng(0))
  difference = out["label"].astype(int) - out["image"][..., 0]
  # In input pixels; cv2.INTER_NEAREST is off by -1.0, -0.7 and -0.4 at these ratios.
  assert abs(difference.mean() / 4) < 0.15


def test_random_crop_cuts_the_same_rectangle_from_both():
  example = make_example(np.arange(63).reshape(7, 9))
  op, rng = crops.RandomCrop(3, 4), np.random.default_rng(0)
  corners = set()
  for _ in range(400):
    out = op(example, rng)
    top, left = divmod(int(out["label"][0, 0]), 9)
    np.testing.assert_array_equal(out["label"], example["label"][top : top + 3, left : left + 4])
    np.testing.assert_array_equal(out["image"][..., 1], out["label"])
    corners.add((top, left))
  assert corners == {(top, left) for top in range(5) for left in range(6)}


def test_random_crop_pads_below_and_on_the_right():
  example = make_example([[1, 2, 3], [4, 5, 6]])
  out = crops.RandomCrop(3, 5)(example, np.random.default_rng(0))
  expected = [[1, 2, 3, 255, 255], [4, 5, 6, 255, 255], [255] * 5]
  np.testing.assert_array_equal(out["label"], expected)
  np.testing.assert_array_equal(out["image"][:2, :3], example["image"])
  assert (out["image"][out["label"] == IGNORED] == RGB.pad_color).all()


def test_crop_of_the_whole_picture_is_the_picture():
  example = make_example(np.arange(12).reshape(3, 4))
  out = crops.RandomCrop(3, 4)(example, np.random.default_rng(0))
  np.testing.assert_array_equal(out["label"], example["label"])
  np.testing.assert_array_equal(out["image"], example["image"])


def test_cat_max_ratio_avoids_crops_of_one_class():
  label = np.zeros((8, 64), np.uint8)
  label[:, 32:36] = 1  # 11 of 57 places contain class 1; in 5 of them it covers half of the crop
  label[:, :16] = IGNORED  # does not count
  shares = {}
  for ratio in (1.0, 0.75):
    op, rng = crops.RandomCrop(8, 8, cat_max_ratio=ratio), np.random.default_rng(0)
    cut = [op(make_example(label), rng)["label"] for _ in range(400)]
    shares[ratio] = np.mean([(crop == 1).mean() > 0.25 for crop in cut])
  np.testing.assert_allclose(shares[1.0], 7 / 57, atol=0.05)
  # Eleven draws instead of one: 1 - (1 - 7 / 57) ** 11 = 0.76.
  np.testing.assert_allclose(shares[0.75], 0.76, atol=0.06)


def test_flip_lr_mirrors_half_of_the_time():
  example = make_example([[1, 2, 3]])
  op, rng = ops.FlipLR(), np.random.default_rng(0)
  outs = [op(example, rng) for _ in range(400)]
  assert {tuple(out["label"][0]) for out in outs} == {(1, 2, 3), (3, 2, 1)}
  np.testing.assert_allclose(np.mean([out["label"][0, 0] == 3 for out in outs]), 0.5, atol=0.1)
  assert all((out["image"][..., 2] == out["label"]).all() for out in outs)


def test_elastic_displaces_grid_nodes_by_sigma():
  # Channel 0 holds x and channel 1 holds y, so a warped image tells where pixels came from.
  y, x = np.indices((255, 255))
  example = make_example(x, image=np.stack([x, y, 0 * x], axis=-1))
  op, rng = Elastic(sigma=10.0, grid=3), np.random.default_rng(0)
  nodes = slice(42, None, 85)  # centres of three cells of 85 pixels
  displacements = []
  for _ in range(100):
    warped = op(example, rng)["image"].astype(np.float64) - example["image"]
    displacements.append(warped[nodes, nodes, :2])
  # 1,800 draws: the standard error of their standard deviation is 0.17.
  np.testing.assert_allclose(np.std(displacements), 10.0, atol=0.6)
  np.testing.assert_allclose(np.mean(displacements), 0.0, atol=0.8)


def test_elastic_is_smooth_and_keeps_image_and_label_aligned():
  example = make_example(np.tile(np.arange(0, 240, 2), (90, 1)))
  op, rng = Elastic(sigma=4.0), np.random.default_rng(0)
  for _ in range(20):
    out = op(example, rng)
    inside = out["label"] != IGNORED
    # On a ramp of 2 per pixel, nearest and bilinear differ by at most half a pixel, plus rounding.
    difference = out["label"].astype(int) - out["image"][..., 0]
    assert np.abs(difference[inside]).max() <= 2
    assert abs(difference[inside].mean()) < 0.5
    steps = np.abs(np.diff(out["image"][..., 0].astype(int), axis=1))
    assert steps.max() <= 8


def test_elastic_ignores_what_comes_from_outside():
  op = Elastic(sigma=200.0, grid=1)  # one node: a translation
  out = op(make_example(np.full((32, 32), 3)), np.random.default_rng(1))
  assert (out["label"] == IGNORED).any()
  np.testing.assert_array_equal(out["image"], 3)


def test_elastic_without_displacement_changes_nothing():
  example = make_example(checkerboard())
  out = Elastic(sigma=0.0)(example, np.random.default_rng(0))
  np.testing.assert_array_equal(out["image"], example["image"])
  np.testing.assert_array_equal(out["label"], example["label"])


@pytest.mark.parametrize(
  "op",
  [ops.RandomScale(0.5, 2.0), crops.RandomCrop(9, 9, 0.6), ops.FlipLR(), Elastic()],
  ids=lambda op: type(op).__name__,
)
def test_the_generator_alone_decides(op):
  example = make_example(checkerboard(40, 60, 7))
  outs = [op(example, np.random.default_rng(seed)) for seed in (*range(8), *range(8))]
  for first, second in zip(outs[:8], outs[8:], strict=True):
    np.testing.assert_array_equal(first["image"], second["image"])
    np.testing.assert_array_equal(first["label"], second["label"])
  assert any(outs[0]["label"].tobytes() != out["label"].tobytes() for out in outs[1:8])


@pytest.mark.parametrize(
  ("image", "label", "message"),
  [
    (np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5), np.uint8), "'x': image is 4 x 6 .* 4 x 5"),
    (
      np.zeros((4, 6), np.uint8),
      np.zeros((4, 6), np.uint8),
      r"'x': image must .* not uint8 \[4, 6",
    ),
    (np.zeros((4, 6, 3)), np.zeros((4, 6), np.uint8), "'x': image must be uint8 .* not float64"),
    (np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.int32), "'x': label must .* not int32"),
  ],
)
def test_check_example_names_id_and_shapes(image, label, message):
  with pytest.raises(UserError, match=message):
    ops.check_example({"image": image, "label": label, "id": "x"})


class TestWeights:
  @pytest.mark.parametrize(
    "spec",
    [
      "flip_lr",
      "random_crop(8, 10)",
      "random_crop(16, 20)",  # padded, where they are 0
      "resize(18, 27)",
      "random_scale(0.8, 2.0)|random_crop(7, 6)",
      "pad_to_multiple(16)",
      "elastic(1.0)",
    ],
  )
  def test_they_move_with_the_image(self, spec):
    """The image is drawn from the weights, so both are the same where a label counts."""
    weights = np.add.outer(5 * np.arange(12), 9 * np.arange(18)).astype(np.float32)
    image = np.repeat(weights.astype(np.uint8)[..., None], 3, axis=2)
    example = {"image": image, "label": np.zeros((12, 18), np.uint8), "weights": weights, "id": "x"}
    found = op_spec.parse(spec, label_spaces.get("9_classes"))(example, np.random.default_rng(1))
    assert found["weights"].dtype == np.float32
    assert found["weights"].shape == found["label"].shape
    counts = found["label"] != IGNORED
    if "elastic" in spec:  # at the border the image is mirrored, and weights are 0
      counts[[0, 1, -1, -2]] = counts[:, [0, 1, -1, -2]] = False
    assert counts.any()
    difference = found["weights"] - found["image"][..., 0]
    np.testing.assert_allclose(difference[counts], 0, atol=1)
    if "elastic" not in spec:
      np.testing.assert_array_equal(found["weights"][~counts], 0)
