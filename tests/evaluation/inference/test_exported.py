"""An exported network predicts the same as the network, for all image sizes that it takes."""

import jax
import numpy as np
import pytest
from jax import export

from flax_unet import errors
from flax_unet.evaluation.inference import exported, fitting, passes
from flax_unet.evaluation.inference.prediction import Predictor
from flax_unet.models import base
from flax_unet.models.unet import UNet

RGB = base.Network(num_classes=1)  # with the usual mean and deviation


def _network(**attributes):
  """A network whose statistics fit the images, so that its logits vary between them."""
  model = UNet(5, **{"width": 4, "depth": 2, **attributes})
  images = base.normalize(_images(2, 64, 96), RGB)
  variables = model.init(jax.random.key(0), images, train=False)
  if "batch_stats" in variables:
    step = jax.jit(lambda v: model.apply(v, images, train=True, mutable=["batch_stats"])[1])
    for _ in range(20):
      variables = {"params": variables["params"], **step(variables)}
  return model, jax.device_get(variables)


def _images(*shape):
  return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def _write(path, *arguments):
  path.write_bytes(exported.export_model(*arguments, "voc_21").serialize())
  return path


@pytest.mark.parametrize(
  "attributes", [{}, {"norm": "group"}, {"norm": "none"}, {"upsample": "bilinear"}]
)
def test_any_size_and_number_gives_masks_and_probabilities_of_the_network(tmp_path, attributes):
  model, variables = _network(**attributes)
  path = _write(tmp_path / "model.jaxexport", model, variables, None)
  loaded = export.deserialize(path.read_bytes())
  assert loaded.platforms == ("cpu", "cuda", "tpu")
  for shape in ((1, 32, 64), (3, 20, 12)):
    images = _images(*shape)
    outputs = loaded.call(images)
    logits = model.apply(variables, base.normalize(images, RGB), train=False)
    assert np.std(logits, axis=(0, 1, 2)).min() > 0.02  # they depend on the images
    np.testing.assert_allclose(outputs["probabilities"], jax.nn.softmax(logits), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(outputs["mask"], np.argmax(outputs["probabilities"], -1))
    assert outputs["mask"].dtype == np.uint8


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_single_size_need_not_fit_the_network(tmp_path, padding):
  model, variables = _network(padding=padding)
  path = _write(tmp_path / "model.jaxexport", model, variables, (50, 70))
  images = _images(2, 50, 70)
  outputs = export.deserialize(path.read_bytes()).call(images)
  expected = jax.nn.softmax(passes.whole_picture(model, variables, images))
  np.testing.assert_allclose(outputs["probabilities"], expected, rtol=0, atol=1e-5)
  # As images: one of this size, and another that must be resized.
  small = images[0][::2, ::2].copy()
  masks = dict(exported.ExportedPredictor(path)([("a", images[0]), ("b", small)]))
  np.testing.assert_array_equal(masks["a"], np.asarray(outputs["mask"])[0])
  assert masks["b"].shape == (25, 35)


def test_pictures_get_the_masks_of_the_predictor_in_the_process(tmp_path):
  model, variables = _network()
  path = _write(tmp_path / "model.jaxexport", model, variables, None)
  pictures = [(shape, _images(*shape)) for shape in ((128, 128), (100, 50), (131, 77), (3, 5))]
  masks = dict(exported.ExportedPredictor(path)(pictures))
  expected = dict(Predictor(model, variables, passes.Options())(pictures))
  for shape, mask in expected.items():
    np.testing.assert_array_equal(masks[shape], mask)
  assert len(np.unique(masks[128, 128])) > 1
  image = pictures[0][1]
  whole = fitting.predict(model, variables, image[None], (128, 128))[0]
  np.testing.assert_array_equal(masks[128, 128], whole)


def test_mistakes_are_told_in_one_line(tmp_path):
  model, variables = _network(padding="valid")
  with pytest.raises(ValueError, match="padding='valid' takes images of one size only"):
    exported.export_model(model, variables, None, "voc_21")
  with pytest.raises(ValueError, match="image size of 0x5"):
    exported.export_model(model, variables, (0, 5), "voc_21")
  (tmp_path / "text").write_text("no model")
  with pytest.raises(errors.UserError, match="text: cannot be read as a file of"):
    exported.ExportedPredictor(tmp_path / "text")
  with pytest.raises(errors.UserError, match=r"none: cannot be read \(No such file"):
    exported.ExportedPredictor(tmp_path / "none")
  other = export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((3,), np.float32))
  (tmp_path / "other").write_bytes(other.serialize())
  with pytest.raises(errors.UserError, match="other: cannot be read as a file of"):
    exported.ExportedPredictor(tmp_path / "other")
