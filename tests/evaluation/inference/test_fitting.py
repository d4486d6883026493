"""Evaluation, prediction, exported files and plain calls give the same mask for an image."""

import cv2
import jax
import numpy as np
import pytest

from flax_unet.data import label_spaces, op_spec
from flax_unet.evaluation import evaluation
from flax_unet.evaluation.inference import exported, fitting, passes, prediction
from flax_unet.models.unet import UNet

SPACE = label_spaces.get("3_classes")
# GroupNorm takes its statistics over the whole image, so any other padding changes the result.
MODEL = UNet(3, width=4, depth=1, norm="group")
SIZES = [(128, 128), (64, 96), (97, 131), (3, 200), (1, 1)]
TILES = passes.Options("tiles", tile=(64, 96), overlap=40)
SCALES = passes.Options(scales=(0.75, 1.0), flip=True)


@pytest.fixture(scope="module", name="variables")
def _variables():
  init = jax.jit(lambda: MODEL.init(jax.random.key(0), np.zeros((1, 8, 8, 3)), train=False))
  return init()


@pytest.fixture(scope="module", name="source")
def _source():
  rng = np.random.default_rng(0)
  return [
    {
      "image": cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), size[::-1]),
      "label": rng.integers(0, 3, size, np.uint8),
      "id": str(size),
    }
    for size in SIZES
  ]


def _evaluated(source, variables, spec, options=passes.WHOLE):
  """What evaluation counts and shows."""
  op = op_spec.parse(spec, SPACE)
  evaluate = evaluation.Evaluation(
    source, op, MODEL, SPACE, batch_size=4, num_pictures=len(source), options=options
  )
  result = evaluate(variables)
  masks = [picture.prediction for picture in result.examples]
  for example, mask, confusion in zip(source, masks, result.confusions, strict=True):
    counted = np.bincount(3 * example["label"].reshape(-1) + mask.reshape(-1), minlength=9)
    np.testing.assert_array_equal(confusion, counted.reshape(3, 3))
  return masks


def _predicted(source, variables, options=passes.WHOLE, **arguments):
  predict = prediction.Predictor(MODEL, variables, options, **arguments)
  return [mask for _, mask in predict((None, example["image"]) for example in source)]


def _from_file(path, source, variables, size, multiple=128):
  file = exported.export_model(MODEL, variables, size, SPACE.name, multiple)
  path.write_bytes(file.serialize())
  predict = exported.ExportedPredictor(path)
  return [mask for _, mask in predict((None, example["image"]) for example in source)]


def _called(source, variables, options=passes.WHOLE, resize=None, multiple=128):
  predict = jax.jit(fitting.predict, static_argnums=(0, 3, 4, 5))
  masks = []
  for example in source:
    image = cv2.resize(example["image"], resize[::-1]) if resize else example["image"]
    size = example["label"].shape
    masks.append(np.asarray(predict(MODEL, variables, image[None], size, options, multiple))[0])
  return masks


def _assert_same(*ways):
  assert any(len(np.unique(mask)) > 1 for mask in ways[0])
  for masks in ways[1:]:
    for mask, expected in zip(masks, ways[0], strict=True):
      np.testing.assert_array_equal(mask, expected)


def test_pictures_of_any_size(tmp_path, variables, source):
  _assert_same(
    _called(source, variables),
    _evaluated(source, variables, "label_map"),
    _evaluated(source, variables, "label_map|pad_to_multiple(128)"),
    _predicted(source, variables),
    _from_file(tmp_path / "any", source, variables, None),
    [
      _from_file(tmp_path / "one", [example], variables, example["label"].shape)[0]
      for example in source
    ],
  )


def test_padded_up_to_another_multiple(tmp_path, variables, source):
  _assert_same(
    _called(source, variables, multiple=96),
    _evaluated(source, variables, "label_map|pad_to_multiple(96)"),
    _predicted(source, variables, multiple=96),
    _from_file(tmp_path / "any", source, variables, None, 96),
  )


def test_resampled_images_and_masks_of_the_labels_size(tmp_path, variables, source):
  _assert_same(
    _called(source, variables, resize=(50, 70)),
    _evaluated(source, variables, "label_map|resize_image(50, 70)"),
    _predicted(source, variables, resize=(50, 70)),
    _from_file(tmp_path / "one", source, variables, (50, 70)),
  )


@pytest.mark.parametrize("options", [TILES, SCALES])
@pytest.mark.parametrize("resize", [None, (50, 70)])
def test_tiles_and_scales(variables, source, options, resize):
  source = source[1:4]
  _assert_same(
    _called(source, variables, options, resize),
    _evaluated(
      source, variables, "label_map|resize_image(50, 70)" if resize else "label_map", options
    ),
    _predicted(source, variables, options, resize=resize),
  )


def test_too_large_for_one_pass(variables, source, monkeypatch):
  monkeypatch.setattr(fitting, "LARGEST_PASS", 128 * 128)
  options, source = passes.Options(tile=(64, 96), overlap=40), source[:3]
  expected = _called(source, variables, TILES)[2]
  for resize, spec in ((None, "label_map"), ((50, 70), "label_map|resize_image(50, 70)")):
    masks = _called(source, variables, options, resize)
    _assert_same(
      masks,
      _evaluated(source, variables, spec, options),
      _predicted(source, variables, options, resize=resize),
    )
    if not resize:
      np.testing.assert_array_equal(masks[2], expected)


@pytest.mark.parametrize(("old", "new"), [(7, 20), (20, 7), (5, 5), (1, 4)])
def test_masks_are_resampled_as_labels_are(old, new):
  mask = np.random.default_rng(0).integers(0, 200, (old, old), np.uint8)
  expected = cv2.resize(mask, (new, new), interpolation=cv2.INTER_NEAREST_EXACT)
  np.testing.assert_array_equal(fitting.resize_mask(mask, (new, new)), expected)
