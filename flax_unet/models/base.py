"""The interface of all networks."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flax_unet.data.image_format import RGB, ImageFormat

# Mean and standard deviation of ImageNet's pixels, in units of 0..1: the field's convention.
MEAN = (0.485, 0.456, 0.406)
STDDEV = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Geometry:
  """How the size of a network's logits follows from that of its images.

  Heights and widths that fit are `multiple * k - offset`, and the logits are `lost` pixels smaller,
  in the middle of the image.

  Attributes:
    multiple: sizes that fit are this far apart; also the grid of the poolings.
    offset: see above.
    lost: pixels of an image's height (or width) that its logits do not have.
    context: how many pixels to either side of a logit's cell of `multiple` pixels influence it;
      None: without bound.
    name: what error messages call the network.
  """

  multiple: int = 1
  offset: int = 0
  lost: int = 0
  context: int | None = None
  name: str = "the network"

  def output_size(self, size: int) -> int:
    """Returns the height (or width) of the logits of images of a height (or width), in pixels.

    Raises:
      ValueError: images of this size do not fit; the message holds the nearest sizes that do.
    """
    below = self._below(size)
    if below != size or size <= self.lost:
      smallest = self._below(self.lost) + self.multiple
      near = sorted({max(smallest, below), max(smallest, below + self.multiple)})
      raise ValueError(
        f"an image height or width of {size} does not fit {self.name}: the nearest that fits is "
        f"{' or '.join(map(str, near))}"
      )
    return size - self.lost

  def covering_size(self, size: int) -> int:
    """Returns the smallest input that fits and whose logits cover `size` pixels."""
    for candidate in itertools.count(size + self.lost):
      if self._below(candidate) == candidate:
        return candidate

  def reaching(self, pixels: int | None) -> "Geometry":
    """The same with a context that is larger by so many pixels; None: without bound."""
    unbounded = pixels is None or self.context is None
    return dataclasses.replace(self, context=None if unbounded else self.context + pixels)

  def _below(self, size: int) -> int:
    """The largest size that fits and is no larger."""
    return (size + self.offset) // self.multiple * self.multiple - self.offset


class Network(nn.Module):
  """Base of all networks: maps images to one logit per pixel and class.

  A network defines `__call__(images, *, train)`, from normalised images float `[batch, height,
  width, channels]` to float32 logits `[batch, height', width', num_classes]`. `geometry` gives
  their size.

  Attributes:
    num_classes: number of classes.
    axis_name: the mapped axis over which batch normalisation takes its statistics in training.
    mean: of each channel of the images it is trained on, in units of 0..1; (): not known yet.
    stddev: the standard deviation of each channel.
    image_format: that of the images.
  """

  num_classes: int
  axis_name: str | None = None
  mean: tuple[float, ...] = MEAN
  stddev: tuple[float, ...] = STDDEV
  image_format: ImageFormat = RGB

  @property
  def geometry(self) -> Geometry:
    """By default any size fits, logits have the image's size, and context is without bound."""
    return Geometry()

  @property
  def channels(self) -> int:
    """How many channels its images have."""
    return self.image_format.channels


def normalize(images: jax.Array, model: Network) -> jax.Array:
  """Normalises images for a network.

  Args:
    images: `[..., channels]` as the network's image format says: uint8, or uint16; or floats of
      the same values.
    model: the network, which has the mean and standard deviation.

  Returns:
    float32 of the same shape.
  """
  mean, stddev = (
    jnp.array(value).reshape((1,) * (images.ndim - 1) + (-1,))
    for value in (model.mean or (0.0,), model.stddev or (1.0,))
  )
  low, high = model.image_format.array_range
  images = images.astype(jnp.float32)
  if low:
    images = images - low
  return (images / (high - low) - mean) / stddev


@dataclasses.dataclass(frozen=True)
class OnImages:
  """`model.apply` for images as data have them, integers `[batch, height, width, channels]`.

  Equal for equal networks, as training states that hold it have to be.
  """

  model: Network

  def __call__(self, variables: Mapping[str, Any], images: jax.Array, **options: Any) -> Any:
    """See class."""
    return self.model.apply(variables, normalize(images, self.model), **options)


def center_crop(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Crops `[batch, height, width, ...]` to its central `size`, a height and a width."""
  top, left = (x.shape[1] - size[0]) // 2, (x.shape[2] - size[1]) // 2
  return x[:, top : top + size[0], left : left + size[1]]


def variable_shapes(model: Network, size: tuple[int, int] | None = None) -> dict[str, Any]:
  """Returns the shapes of a network's variables, `params` and `batch_stats`.

  Args:
    model: the network.
    size: height and width of its images; None: the smallest that fit.

  Raises:
    ValueError: an attribute of the network is out of range, the size does not fit, or the network
      does not return what it should.
  """
  size = size or (model.geometry.covering_size(1),) * 2
  expected = (1, *map(model.geometry.output_size, size), model.num_classes)
  images = jax.ShapeDtypeStruct((1, *size, model.channels), jnp.float32)
  init = functools.partial(model.init_with_output, train=False)
  logits, variables = jax.eval_shape(init, jax.random.key(0), images)
  if not isinstance(logits, jax.ShapeDtypeStruct) or logits.shape != expected:
    returned = getattr(logits, "shape", type(logits).__name__)
    raise ValueError(
      f"{type(model).__name__} returns {returned} for images {images.shape}, and not logits of "
      f"{expected}, [batch, height, width, classes], as its geometry says"
    )
  return variables
