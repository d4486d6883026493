"""Equality with cityscapesScripts, on drawn label maps and, if available, on real ones."""

import importlib
import types
import zipfile

import cv2
import numpy as np
import pytest

from flax_unet.data import label_spaces
from flax_unet.evaluation.metrics import counting, instances, segmentation

SPACE = label_spaces.CITYSCAPES_19


@pytest.fixture(scope="module")
def official():
  """The official script, patched because it calls `numpy.in1d`, which NumPy 2.4 removed."""
  pytest.importorskip("cityscapesscripts")
  np.in1d = np.isin
  return importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")


def _draw(rng, height=96, width=160):
  """A street scene made of boxes: label ids with void and unscored classes, and instance ids."""
  label = np.repeat(rng.permutation(34)[: height // 8], 8)[:, None].repeat(width, axis=1)
  instance = label.copy()
  for number in range(40):
    label_id = int(rng.integers(24, 34))
    top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
    box = np.s_[top : top + rng.integers(4, 40), left : left + rng.integers(4, 40)]
    label[box] = label_id
    # Some are groups; their instance id is the label id.
    instance[box] = label_id if number % 5 == 0 else 1000 * label_id + number
  return label.astype(np.uint8), instance.astype(np.uint16)


def _drawn_scenes():
  return [_draw(np.random.default_rng(seed)) for seed in range(3)]


def _real_scenes(folder):
  with zipfile.ZipFile(folder / "gtFine_trainvaltest.zip") as archive:

    def read(name):
      return cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)

    names = [name for name in archive.namelist() if name.endswith("labelIds.png")][:3]
    return [(read(name), read(name.replace("labelIds", "instanceIds"))) for name in names]


@pytest.fixture(params=["drawn", "real"])
def scenes(request):
  if request.param == "drawn":
    return _drawn_scenes()
  return _real_scenes(request.getfixturevalue("cityscapes_zips"))


def _shift_and_add_noise(label, rng):
  """A prediction with every kind of error: wrong classes, unscored classes and void."""
  prediction = np.roll(label, (3, 7), (0, 1))
  noise = rng.random(label.shape) < 0.2
  prediction[noise] = rng.integers(0, 34, np.count_nonzero(noise))
  return prediction


def _official_scores(official, scenes, predictions, folder, **options):
  for index, ((label, instance), prediction) in enumerate(zip(scenes, predictions, strict=True)):
    for kind, ids in (("labelIds", label), ("instanceIds", instance), ("pred", prediction)):
      cv2.imwrite(str(folder / f"{index}_{kind}.png"), ids)
  labels = [str(folder / f"{index}_labelIds.png") for index in range(len(scenes))]
  options = {**vars(official.args), "quiet": True, "JSONOutput": False, **options}
  return official.evaluateImgLists(
    [name.replace("labelIds", "pred") for name in labels],
    labels,
    types.SimpleNamespace(**options),
  )


def _count_instances(label, prediction, instance):
  id_counts = counting.joint_histogram(label, prediction)
  return instances.count(id_counts, prediction, instance, SPACE)


def _assert_equal(ours, theirs):
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_every_official_score(official, scenes, tmp_path):
  rng = np.random.default_rng(0)
  predictions = [_shift_and_add_noise(label, rng) for label, _ in scenes]
  theirs = _official_scores(official, scenes, predictions, tmp_path)

  counts = sum(
    counting.count(SPACE.to_index(label), SPACE.to_index(prediction), 19)
    for (label, _), prediction in zip(scenes, predictions, strict=True)
  )
  their_counts = np.array(theirs["confMatrix"])[SPACE.index_to_id].astype(np.int64)
  np.testing.assert_array_equal(counts[:, :19], their_counts[:, SPACE.index_to_id])
  np.testing.assert_array_equal(counts.sum(axis=1), their_counts.sum(axis=1))

  ours = segmentation.scores(counts, SPACE)
  _assert_equal(ours["mean_iou"], theirs["averageScoreClasses"])
  _assert_equal(ours["category_iou"], theirs["averageScoreCategories"])
  for name in SPACE.class_names:
    _assert_equal(ours["per_class"][name]["iou"], theirs["classScores"][name])
  for name in SPACE.categories:
    _assert_equal(ours["per_category"][name]["iou"], theirs["categoryScores"][name])

  weighted = instances.total(
    _count_instances(label, prediction, instance)
    for (label, instance), prediction in zip(scenes, predictions, strict=True)
  )
  ours = instances.scores(counts, weighted, SPACE)
  _assert_equal(ours["iiou"], theirs["averageScoreInstClasses"])
  _assert_equal(ours["category_iiou"], theirs["averageScoreInstCategories"])
  assert weighted.unscored_fp[-1] > 0  # caravans and trailers were predicted elsewhere
  assert set(ours["per_category"]) == {"human", "vehicle"}
  for name, item in ours["per_class"].items():
    _assert_equal(item["iiou"], theirs["classInstScores"][name])
  for name, item in ours["per_category"].items():
    _assert_equal(item["iiou"], theirs["categoryInstScores"][name])


def test_perfect_predictions(official, scenes, tmp_path):
  theirs = _official_scores(official, scenes, [label for label, _ in scenes], tmp_path)
  assert theirs["averageScoreClasses"] == theirs["averageScoreInstClasses"] == 1
  weighted = instances.total(_count_instances(label, label, ids) for label, ids in scenes)
  counts = sum(
    counting.count(SPACE.to_index(label), SPACE.to_index(label), 19) for label, _ in scenes
  )
  assert instances.scores(counts, weighted, SPACE)["iiou"] == 1


def test_pixel_accuracy_is_not_the_official_option(official, tmp_path):
  label = np.full((2, 4), 7, np.uint8)
  label[0] = 0  # half of the image is unlabeled
  prediction = np.array([[7, 7, 7, 0], [7, 7, 7, 8]], np.uint8)  # 3 of 4 scored pixels are correct
  instance = label.astype(np.uint16)
  theirs = _official_scores(
    official, [(label, instance)], [prediction], tmp_path, evalPixelAccuracy=True
  )
  (their_count,) = theirs["perImageScores"].values()
  # Its "not ignored" is the ignored half, and its "correct" counts the errors in it.
  assert their_count == {"nbNotIgnoredPixels": 4, "nbCorrectPixels": 3}
  counts = counting.count(SPACE.to_index(label), SPACE.to_index(prediction), 19)
  assert segmentation.scores(counts, SPACE)["pixel_accuracy"] == 3 / 4
