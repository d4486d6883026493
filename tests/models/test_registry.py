import flax.linen as nn
import jax.numpy as jnp
import pytest

from flax_unet.data.image_format import ImageFormat
from flax_unet.errors import UserError
from flax_unet.models import base, registry
from flax_unet.models.unet import UNet


class Pixelwise(base.Network):
  """A network from outside the package."""

  hidden: int = 4

  @nn.compact
  def __call__(self, images, *, train):
    del train
    x = nn.relu(nn.Dense(self.hidden)(images))
    return nn.Dense(self.num_classes)(x)


class Pooled(Pixelwise):
  """Declares logits of the image's size, and returns others."""

  def __call__(self, images, *, train):
    return nn.max_pool(super().__call__(images, train=train), (2, 2), (2, 2))


FOUR = ImageFormat(4, mean=())
HERE = "tests.models.test_registry"


def test_networks_by_name_and_by_import():
  model = registry.build(
    "unet", {"width": 2, "dtype": "bfloat16", "mean": [], "stddev": []}, 3, FOUR
  )
  assert isinstance(model, UNet)
  assert (model.dtype, model.axis_name, model.channels) == (jnp.bfloat16, "batch", 4)
  model = registry.build(f"{HERE}.Pixelwise", {"hidden": 5}, 3)
  shapes = base.variable_shapes(model, (3, 5))
  assert shapes["params"]["Dense_0"]["kernel"].shape == (3, 5)


@pytest.mark.parametrize(
  ("name", "arguments", "message"),
  [
    ("unit", {}, "^unknown model in config.model_name 'unit': did you mean 'unet'"),
    (
      "unet",
      {"widht": 3},
      "^unknown argument of 'unet' in config.model 'widht': did you mean 'wid",
    ),
    (
      f"{HERE}.Pixelwise",
      {"attention_grid": 3},
      "choose from hidden, mean, stddev; to change the network, and config.model with it, write "
      "model=NAME after the colon",
    ),
    ("unet", {"dtype": "float16"}, "^unknown type in config.model.dtype 'float16': "),
    ("json.dumps", {}, "'json.dumps': is not a network: it does not inherit from"),
    (f"{HERE}.Pixelwide", {}, "did you mean 'Pixelwise'"),
  ],
)
def test_what_is_no_network_is_refused(name, arguments, message):
  with pytest.raises(UserError, match=message):
    registry.build(name, arguments, 3)


def test_a_network_that_breaks_its_promise_is_refused():
  model = registry.build(f"{HERE}.Pooled", {}, 3)
  with pytest.raises(
    ValueError, match=r"^Pooled returns \(1, 4, 4, 3\) for images \(1, 8, 8, 3\), "
  ):
    base.variable_shapes(model, (8, 8))
