import jax
import numpy as np
import pytest

from flax_unet.data import label_spaces, op_spec
from flax_unet.evaluation import evaluation
from flax_unet.evaluation.inference import fitting
from flax_unet.evaluation.metrics.counting import count
from flax_unet.models.unet import UNet

SPACE = label_spaces.get("3_classes")
SIZES = [(20, 30), (33, 9), (32, 32), (31, 2), (8, 8)]


@pytest.fixture(scope="module")
def source():
  rng = np.random.default_rng(0)
  return [
    {
      "image": rng.integers(0, 256, (*size, 3), np.uint8),
      "label": rng.choice(np.array([0, 1, 2, 255], np.uint8), size),
      "id": f"picture {index}",
    }
    for index, size in enumerate(SIZES)
  ]


@pytest.fixture(scope="module")
def model():
  # Group normalisation takes its statistics over the whole image, padding included.
  return UNet(3, width=2, depth=1, norm="group", axis_name="batch")


@pytest.fixture(scope="module")
def variables(model):
  return model.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32), train=False)


def _evaluator(source, model, spec="label_map|pad_to_multiple(32)", batch_size=4, **kwargs):
  op = op_spec.parse(spec, SPACE)
  return evaluation.Evaluation(source, op, model, SPACE, batch_size=batch_size, **kwargs)


def test_pictures_of_many_sizes_are_scored_as_each_alone(source, model, variables):
  result = _evaluator(source, model)(variables)
  assert result.ids.tolist() == [example["id"] for example in source]
  op = op_spec.parse("pad_to_multiple(32)", SPACE)
  predict = jax.jit(fitting.predict, static_argnums=(0, 3), static_argnames="multiple")
  for example, confusion in zip(source, result.confusions, strict=True):
    padded = op(example, np.random.default_rng(0))
    height, width = example["label"].shape
    images, size = padded["image"][None], padded["label"].shape
    prediction = predict(model, variables, images, size, multiple=32)
    expected = count(example["label"], np.asarray(prediction)[0, :height, :width], 3)[:, :3]
    np.testing.assert_array_equal(confusion, expected)
    # Every pixel that is not ignored, at the resolution of the label.
    assert confusion.sum() == (example["label"] < 3).sum()


def test_the_batch_changes_nothing(source, model, variables):
  results = [_evaluator(source, model, batch_size=size)(variables) for size in (4, 8)]
  np.testing.assert_array_equal(results[0].confusions, results[1].confusions)


def test_pictures_come_as_they_were_and_in_the_order_asked_for(source, model, variables):
  evaluate = _evaluator(source, model, num_pictures=2)
  result = evaluate(variables)
  assert [picture.id for picture in result.examples] == ["picture 0", "picture 1"]
  pictures = evaluate.pictures(variables, [4, 1, 3])
  assert [picture.id for picture in pictures] == ["picture 4", "picture 1", "picture 3"]
  for picture, place in zip(pictures, [4, 1, 3], strict=True):
    np.testing.assert_array_equal(picture.image, source[place]["image"])
    np.testing.assert_array_equal(picture.label, source[place]["label"])
    found = count(picture.label, picture.prediction, 3)[:, :3]
    np.testing.assert_array_equal(found, result.confusions[place])


def test_images_of_another_resolution_than_their_labels(source, model, variables):
  evaluate = _evaluator(source, model, "label_map|resize_image(16, 24)", num_pictures=5)
  result = evaluate(variables)
  for picture, example, confusion in zip(result.examples, source, result.confusions, strict=True):
    assert picture.image.shape == (16, 24, 3)
    assert picture.prediction.shape == example["label"].shape
    assert confusion.sum() == (example["label"] < 3).sum()
