import subprocess
import sys

import numpy as np
import pytest

import flax_unet
from flax_unet.data import label_space_file, label_spaces

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)


@pytest.fixture(scope="module")
def found(tmp_path_factory, tiny_config, make_run):
  folder = tmp_path_factory.mktemp("run")
  config = tiny_config(**{"model.depth": 1, "ema_decay": None})
  make_run(folder, config)
  label_space_file.write(folder / label_space_file.NAME, label_spaces.get(config.label_space))
  return flax_unet.load(folder)


def test_predicts_one_image_several_and_a_list(found):
  labels = found.predict(IMAGE)
  assert (labels.shape, labels.dtype) == ((30, 50), np.uint8)
  assert len(np.unique(labels)) > 1
  other = IMAGE[::-1].copy()
  np.testing.assert_array_equal(
    found.predict(np.stack([IMAGE, other])), [labels, found.predict(other)]
  )
  several = found.predict([IMAGE, other[:9, :7]])
  assert [mask.shape for mask in several] == [(30, 50), (9, 7)]
  np.testing.assert_array_equal(several[0], labels)
  assert found.predict([]) == []


def test_probabilities_are_those_of_the_prediction(found):
  probabilities = found.probabilities(IMAGE)
  assert probabilities.shape == (30, 50, found.label_space.num_classes)
  np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
  np.testing.assert_array_equal(probabilities.argmax(-1), found.predict(IMAGE))


def test_the_network_is_a_plain_module(found):
  images = np.zeros((1, 8, 8, 3), np.float32)
  logits, _ = found.model.apply(found.variables, images, train=True, mutable=["batch_stats"])
  assert logits.shape == (1, 8, 8, 19)


@pytest.mark.parametrize(
  ("image", "message"),
  [
    (IMAGE / 255, r"an image of float64: give uint8 .* 0 to 255 \(for floats in 0..1, np.rint"),
    (IMAGE[..., 0], r"an image of shape \[30, 50\]: .* \(for a grayscale image, np.dstack"),
    (
      IMAGE.transpose(2, 0, 1),
      r"an image of shape \[3, 30, 50\]: .* \(np.moveaxis",
    ),
    (IMAGE[..., :2], r"an image of shape \[30, 50, 2\]: give uint8 \[height, width, 3\]"),
    (IMAGE[:0], r"an image of shape \[0, 50, 3\]"),
    ([IMAGE, IMAGE.astype(np.int32)], "an image of int32"),
    (np.stack([[IMAGE]]), r"an image of shape \[1, 30, 50, 3\]"),
  ],
)
def test_what_is_no_image_is_refused(found, image, message):
  with pytest.raises(flax_unet.UserError, match=message):
    found.predict(image)


def test_scores_by_hand():
  labels = np.array([[[0, 0, 1, 255]], [[1, 1, 1, 1]]])
  predictions = np.array([[[0, 1, 1, 1]], [[1, 1, 0, 1]]])
  scores = flax_unet.score(predictions, labels, "2_classes")
  assert scores["per_class"]["0"]["iou"] == 1 / 3
  assert scores["per_class"]["1"]["iou"] == 4 / 6
  assert scores["pixel_accuracy"] == 5 / 7
  assert scores == flax_unet.score(list(predictions), list(labels), label_spaces.get("2_classes"))


@pytest.mark.parametrize(
  ("predictions", "labels", "message"),
  [
    ([], [], "0 predictions for 0 labels: give one of each"),
    ([np.zeros((2, 2), int)], [], "1 predictions for 0 labels"),
    (
      np.zeros((2, 2), int),
      np.zeros((2, 2), int),
      r"prediction 0 is int64 \[2\]: give integer arrays",
    ),
    ([np.zeros((2, 2))], [np.zeros((2, 2), int)], "prediction 0 is float64"),
    ([np.zeros((2, 2), int)], [np.zeros((2, 3), int)], r"prediction 0 has shape \[2, 2\], but"),
    (
      [np.full((2, 2), 2)],
      [np.zeros((2, 2), int)],
      "prediction 0 contains 2: give class indices",
    ),
    (
      [np.zeros((2, 2), int)],
      [np.full((2, 2), 7)],
      "label 0 contains 7: .* or 255 for ignored",
    ),
  ],
)
def test_what_cannot_be_scored_is_refused(predictions, labels, message):
  with pytest.raises(flax_unet.UserError, match=message):
    flax_unet.score(predictions, labels, "2_classes")


def test_there_is_no_other_name():
  with pytest.raises(AttributeError, match="has no attribute 'predict'"):
    flax_unet.predict  # noqa: B018
  with pytest.raises(flax_unet.UserError, match="unknown checkpoint 'last'"):
    flax_unet.load("x", "last")
  with pytest.raises(flax_unet.UserError, match=r"^x holds no run: train first"):
    flax_unet.history("x")


def test_load_score_and_history_need_no_tensorflow():
  program = (
    "import sys, flax_unet; flax_unet.load, flax_unet.score; "
    "from flax_unet.run import events; "  # for `history`
    "print([name for name in ('tensorflow', 'clu') if name in sys.modules])"
  )
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
  assert done.stdout == "[]\n"
