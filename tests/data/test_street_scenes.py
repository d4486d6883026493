"""The drawn street scenes: geometry, labels, class shares, and the TFDS builder."""

import functools

import numpy as np
import pytest
import tensorflow_datasets as tfds

from flax_unet.data.label_spaces import CITYSCAPES_19, CITYSCAPES_IDS, IGNORED
from flax_unet.street_scenes import StreetScenes, StreetScenesConfig
from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.develop import veil
from flax_unet.street_scenes.furniture import Fence, draw_fence
from flax_unet.street_scenes.geometry import Camera, Place, level, rectangle, upright
from flax_unet.street_scenes.items import Item, paint_items
from flax_unet.street_scenes.large_vehicles import draw_bus
from flax_unet.street_scenes.people import draw_person
from flax_unet.street_scenes.scene import draw_street_scene, draw_with_depth
from flax_unet.street_scenes.weather import sample_weather

# Percent of the labelled pixels of Cityscapes (fine, train), in the order of CITYSCAPES_19.
_CITYSCAPES_SHARES = np.array([
  36.9, 6.1, 22.8, 0.66, 0.88, 1.2, 0.21, 0.55, 15.9, 1.16, 4.0, 1.2, 0.14, 7.0, 0.27, 0.24, 0.23,
  0.10, 0.41,
])  # fmt: skip


def _rng(*seed: int) -> np.random.Generator:
  return np.random.default_rng(seed)


def _canvas(height: int = 128, width: int = 256) -> Canvas:
  return Canvas(Camera(height, width), sample_weather(_rng(0)))


@pytest.fixture(scope="module")
def validation_counts() -> np.ndarray:
  """Pixels `[image, class]` of the validation split with the default seed, drawn small."""
  counts = []
  for index in range(80):
    _, label = draw_street_scene(_rng(0, 1, index), 64, 128)
    classes = CITYSCAPES_19.to_index(label)  # raises on ids that are not Cityscapes'
    counts.append(np.bincount(classes.reshape(-1), minlength=IGNORED + 1))
  return np.array(counts)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> StreetScenes:
  config = StreetScenesConfig(
    name="few", height=64, width=128, train=3, validation=2, test=1, seed=5
  )
  folder = tmp_path_factory.mktemp("street_scenes")
  builder = StreetScenes(config=config, data_dir=folder, file_format="array_record")
  builder.download_and_prepare()
  return builder


def test_a_point_is_projected_as_a_pinhole_camera_does():
  camera = Camera(100, 200, eye=1.5, focal=1.1, vanishing=(0.5, 0.4))
  column, row, depth = camera.project((2.0, 1.0, 10.0))
  # Focal length 220 pixels: 2 m to the side, 0.5 m below the camera, 10 m away.
  np.testing.assert_allclose([column / depth, row / depth, depth], [144.0, 51.0, 10.0])


def test_twice_as_far_is_half_as_tall():
  heights = []
  for depth in (8.0, 16.0):
    canvas = _canvas(512, 1024)
    draw_person(canvas, Place(0.0, depth), _rng(3))
    rows = np.flatnonzero((canvas.label == CITYSCAPES_IDS["person"]).any(axis=1))
    heights.append(rows[-1] - rows[0] + 1)
  assert heights[0] / heights[1] == pytest.approx(2.0, abs=0.03)


def test_depth_of_a_tilted_plane_is_exact():
  canvas = _canvas()
  canvas.paint(level(), rectangle(-50, 1, 50, 80), lambda u, v: np.zeros((len(u), 3)), "road")
  rows = np.arange(60, 128) + 0.5 - 0.43 * 128
  expected = canvas.camera.focal * 256 * canvas.camera.eye / rows
  np.testing.assert_allclose(canvas.depth[60:, 128], expected, rtol=1e-4)


def test_what_lies_behind_the_camera_is_cut_off():
  canvas = _canvas()
  canvas.paint(level(), rectangle(-1, -10, 1, 10), (9, 9, 9), "road")
  canvas.paint(upright(0, -5), rectangle(-9, 0, 9, 9), (9, 9, 9), "building")
  # At 10 m, focal length 268.8: 1 m to the side of column 128, 1.4 m below the horizon, row 55.04.
  rows, columns = np.nonzero(canvas.label == CITYSCAPES_IDS["road"])
  assert rows.min() == pytest.approx(55 + 37.6, abs=1)
  assert columns[rows == rows.min()].min() == pytest.approx(128 - 26.9, abs=1)
  assert set(np.unique(canvas.label)) == {0, CITYSCAPES_IDS["road"]}


@pytest.mark.parametrize("reverse", [False, True])
def test_nearer_things_hide_farther_ones(reverse):
  person = Item(6.0, functools.partial(draw_person, place=Place(0.0, 6.0)))
  bus = Item(12.0, functools.partial(draw_bus, place=Place(0.0, 18.0)))
  canvas, alone = _canvas(), _canvas()
  paint_items(canvas, [bus, person][:: -1 if reverse else 1], _rng(1))
  paint_items(alone, [bus], _rng(1))
  person_pixels = canvas.label == CITYSCAPES_IDS["person"]
  hidden = person_pixels & (alone.label == CITYSCAPES_IDS["bus"])
  assert person_pixels.sum() > 400 and hidden.sum() > 0.5 * person_pixels.sum()
  np.testing.assert_allclose(canvas.depth[hidden], 6.0, rtol=1e-6)


def test_a_fence_is_labelled_whole_but_can_be_seen_through():
  canvas = _canvas()
  canvas.paint(upright(0, 60), rectangle(-99, 0, 99, 99), (10, 200, 10), "building")
  behind = canvas.image.copy()
  look = Fence(height=1.5, color=np.array([200.0, 10, 10]), period=0.4, gap=0.6)
  draw_fence(canvas, 3.0, 6.0, 12.0, look, _rng(0))
  fence = canvas.label == CITYSCAPES_IDS["fence"]
  unchanged = (canvas.image == behind).all(axis=-1)
  open_share = 0.6 * (1 - 2 * 0.14 / 1.5) * (1 - 0.2 / 2.5)  # between bars, rails and posts
  assert unchanged[fence].mean() == pytest.approx(open_share, abs=0.08)
  middle = fence[:, fence.any(axis=0)].any(axis=0)
  assert middle.all()


def test_haze_grows_with_depth():
  weather = sample_weather(_rng(2))
  canvas = Canvas(Camera(4, 8), weather)
  canvas.paint(upright(0, 5), rectangle(-99, -99, 99, 99), (0, 0, 0), "wall", glow=True)
  canvas.depth[:, 4:] = 50.0
  for column, depth in ((0, 5.0), (7, 50.0)):
    expected = weather.horizon * (1 - np.exp(-depth * weather.haze))
    np.testing.assert_allclose(veil(canvas)[0, column], expected, rtol=1e-4)


def test_pixels_past_the_horizon_of_their_plane_are_far_away():
  canvas = Canvas(Camera(4, 8), sample_weather(_rng(2)))
  canvas.depth[:] = -1e7
  np.testing.assert_allclose(veil(canvas)[0, 0], canvas.weather.horizon, rtol=1e-4)


def test_same_seed_same_picture():
  for first, second in zip(
    draw_street_scene(_rng(7), 64, 128), draw_street_scene(_rng(7), 64, 128), strict=True
  ):
    np.testing.assert_array_equal(first, second)


def test_another_seed_another_picture():
  (image, label), (other, other_label) = (draw_street_scene(_rng(s), 64, 128) for s in (7, 8))
  assert (image != other).mean() > 0.9 and (label != other_label).mean() > 0.2


def test_same_scene_at_every_resolution():
  small, large = (draw_street_scene(_rng(7), height, 2 * height)[1] for height in (64, 192))
  assert (small == large[1::3, 1::3]).mean() > 0.93


def test_every_class_is_in_enough_validation_pictures(validation_counts):
  pictures = (validation_counts[:, :19] >= 10).sum(axis=0)
  assert dict(zip(CITYSCAPES_19.class_names, pictures, strict=True)) == pytest.approx(
    dict.fromkeys(CITYSCAPES_19.class_names, 44), abs=36
  )  # 8 to 80 images


def test_class_shares_are_of_the_order_of_cityscapes(validation_counts):
  pixels = validation_counts.sum(axis=0)
  shares = 100 * pixels[:19] / pixels[:19].sum()
  ratio = shares / _CITYSCAPES_SHARES
  assert ratio.min() > 1 / 2 and ratio.max() < 4
  assert 0.02 < pixels[IGNORED] / pixels.sum() < 0.12


def test_features_are_those_of_tfds_cityscapes(prepared, tmp_path):
  ours = prepared.info.features
  theirs = tfds.builder("cityscapes/semantic_segmentation", data_dir=tmp_path).info.features
  assert set(ours) == set(theirs)
  for name in ours:
    assert type(ours[name]) is type(theirs[name])
    assert ours[name].np_dtype == theirs[name].np_dtype
    assert ours[name].shape[2:] == theirs[name].shape[2:]  # channels
  assert ours["image_left"].shape == (64, 128, 3)


def test_prepared_splits_hold_the_drawn_pictures(prepared):
  for split, number, seed in (("train", 3, 0), ("validation", 2, 1), ("test", 1, 2)):
    source = prepared.as_data_source(split)
    assert len(source) == number
    examples = {example["image_id"].decode(): example for example in source}
    assert sorted(examples) == [f"{split}_{index:06d}" for index in range(number)]
    image, label = draw_street_scene(_rng(5, seed, number - 1), 64, 128)
    last = examples[f"{split}_{number - 1:06d}"]
    np.testing.assert_array_equal(last["image_left"], image)
    np.testing.assert_array_equal(last["segmentation_label"][..., 0], label)


def test_is_known_to_tfds_by_name(tmp_path):
  builder = tfds.builder("street_scenes/256x512", data_dir=tmp_path)
  assert isinstance(builder, StreetScenes)
  assert builder.info.features["image_left"].shape == (256, 512, 3)
  assert tfds.builder("street_scenes", data_dir=tmp_path).builder_config.name == "128x256"


def test_disparity_of_the_ground_grows_linearly_below_the_horizon():
  _, label, disparity = draw_with_depth(_rng(7), 128, 256)
  assert disparity.shape == label.shape
  assert (disparity[label == CITYSCAPES_IDS["sky"]] == 0).mean() > 0.99
  rows, columns = np.nonzero(label == CITYSCAPES_IDS["road"])
  # Depth is focal * eye / (row - horizon) there, so in each row the disparity gains the baseline
  # over the height of the eye.
  slope, intercept = np.polyfit(rows, disparity[rows, columns], 1)
  assert 0.22 / 1.7 < slope < 0.22 / 1.25
  assert 0.36 < -intercept / slope / 128 < 0.45
  np.testing.assert_allclose(disparity[rows, columns], slope * rows + intercept, atol=0.5)
