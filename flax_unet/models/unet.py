"""The U-Net of Ronneberger, Fischer and Brox (2015), https://arxiv.org/abs/1505.04597.

With `padding="valid"` and `norm="none"` this is the network of the paper (figure 1): 572x572 pixels
in, 388x388 out. The defaults are what is trained today, with the layers and parameters of
https://github.com/milesial/Pytorch-UNet: padded convolutions, so that the logits have the size of
the image, and batch normalisation.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from flax_unet.models.conv import conv_3x3
from flax_unet.models.layers import (
  PictureDropout,
  TransposedConv2x2,
  conv_1x1,
  max_pool_2x2,
  upsample_bilinear_2x,
)

_CHOICES = {
  "norm": ("batch", "group", "none"),
  "padding": ("same", "valid"),
  "upsample": ("transpose", "bilinear"),
}


def output_size(size: int, depth: int, padding: str) -> int:
  """Returns the height (or width) of the logits for images of a height (or width).

  Args:
    size: height or width of the image, in pixels.
    depth: number of poolings in the network.
    padding: "same" or "valid".

  Raises:
    ValueError: images of this size do not fit; the message holds the nearest sizes that do.
  """
  multiple = 2**depth  # sizes that fit are this far apart
  # Under "valid" the two 3x3 convolutions of a block take 4 pixels. In front of the bottleneck that
  # is 4 * (1 + 2 + .. + multiple / 2) pixels of the image, behind it as many, in it 4 * multiple.
  lost = 12 * multiple - 8 if padding == "valid" else 0
  offset = 4 if padding == "valid" else 0
  below = (size + offset) // multiple * multiple - offset
  if below != size or size <= lost:
    smallest = (lost + offset) // multiple * multiple + multiple - offset
    near = sorted({max(smallest, below), max(smallest, below + multiple)})
    raise ValueError(
      f"an image height or width of {size} does not fit a U-Net with depth={depth}, "
      f"padding='{padding}': the nearest that fits is {' or '.join(map(str, near))}"
    )
  return size - lost


def _center_crop(x: jax.Array, height: int, width: int) -> jax.Array:
  """Cuts the middle `[batch, height, width, channels]` out of `x`."""
  top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
  return x[:, top : top + height, left : left + width]


def _conv_1x1(features: int, dtype: jnp.dtype, name: str) -> nn.Module:
  return nn.Conv(
    features,
    (1, 1),
    kernel_init=initializers.he_normal(),
    dtype=dtype,
    conv_general_dilated=conv_1x1,
    name=name,
  )


class ConvBlock(nn.Module):
  """Two 3x3 convolutions, each followed by a normalisation (if any) and a ReLU.

  The attributes are those of `UNet`, but for `features`, the number of output channels.
  """

  features: int
  norm: str
  padding: str
  dtype: jnp.dtype
  axis_name: str | None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
    for index in (1, 2):
      x = nn.Conv(
        self.features,
        (3, 3),
        padding=self.padding.upper(),
        use_bias=self.norm == "none",  # a normalisation takes the mean out and adds its own bias
        kernel_init=initializers.he_normal(),
        dtype=self.dtype,
        conv_general_dilated=conv_3x3,
        name=f"conv_{index}",
      )(x)
      if self.norm == "batch":
        x = nn.BatchNorm(
          use_running_average=not train,
          momentum=0.9,
          epsilon=1e-5,
          axis_name=self.axis_name if train else None,
          dtype=self.dtype,
          name=f"norm_{index}",
        )(x)
      elif self.norm == "group":
        # 32 groups as in Wu and He (2018), fewer where the channels cannot be divided by 32.
        groups = math.gcd(32, self.features)
        x = nn.GroupNorm(groups, epsilon=1e-5, dtype=self.dtype, name=f"norm_{index}")(x)
      x = nn.relu(x)
    return x


class UNet(nn.Module):
  """U-Net: maps images to one logit a pixel and class.

  Attributes:
    num_classes: number of classes.
    width: channels of the first block; each of the following blocks doubles them.
    depth: number of 2x2 max poolings, and of the upsamplings that undo them.
    norm: "batch" (synchronised over `axis_name`; momentum and epsilon as in PyTorch), "group", or
      "none", in which case the 3x3 convolutions have biases.
    padding: "same", or "valid" as in the paper, where the middle of each skip is used and the
      logits are smaller than the image (see `output_size`).
    upsample: "transpose", a 2x2 transposed convolution with stride 2, or "bilinear", a 1x1
      convolution and bilinear interpolation. Both halve the channels.
    dropout: rate at the end of the contracting path (section 3.1): behind the bottleneck and behind
      the block before it, as in the authors' network. Needs an rng named "dropout" in training; the
      masks follow from the pictures' places in the global batch, int `[batch]`, which the variable
      `places` in the collection `batch` holds (without it: `0, 1, ...`).
    dtype: type of the computation. Parameters, statistics of the normalisations and logits are
      float32 in any case.
    axis_name: the mapped axis over which batch normalisation takes its statistics in training.
    remat: whether the backward pass computes the blocks anew instead of keeping their activations:
      less memory for about a third more computation.
  """

  num_classes: int
  width: int = 64
  depth: int = 4
  norm: str = "batch"
  padding: str = "same"
  upsample: str = "transpose"
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32
  axis_name: str | None = None
  remat: bool = False

  def _check(self):
    for name, choices in _CHOICES.items():
      if (value := getattr(self, name)) not in choices:
        raise ValueError(f"UNet has no {name}='{value}': choose one of {', '.join(choices)}")
    for name in ("num_classes", "width", "depth"):
      if (value := getattr(self, name)) < 1:
        raise ValueError(f"UNet needs {name} of at least 1, not {value}")
    if not 0 <= self.dropout < 1:
      raise ValueError(f"UNet needs a dropout rate in [0, 1), not {self.dropout}")

  def _block(self, features: int, name: str) -> nn.Module:
    block = nn.remat(ConvBlock, static_argnums=(2,)) if self.remat else ConvBlock
    return block(features, self.norm, self.padding, self.dtype, self.axis_name, name=name)

  def _upsample(self, x: jax.Array, features: int, name: str) -> jax.Array:
    if self.upsample == "transpose":
      return TransposedConv2x2(features, dtype=self.dtype, name=name)(x)
    # A 1x1 convolution and an interpolation commute; this order convolves a quarter of the pixels.
    return upsample_bilinear_2x(_conv_1x1(features, self.dtype, name)(x))

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: whether batch normalisation uses (and records) the statistics of this batch, and
        whether dropout is on.

    Returns:
      float32 `[batch, height', width', num_classes]`; the size is the images' under "same".

    Raises:
      ValueError: an attribute has no such value, or images of this size do not fit (with the
        nearest sizes that do).
    """
    self._check()
    for size in images.shape[1:3]:
      output_size(size, self.depth, self.padding)

    x = images.astype(self.dtype)
    skips = []
    places = self.get_variable("batch", "places")
    for level in range(self.depth):
      x = self._block(self.width * 2**level, f"encoder_{level}")(x, train)
      if level == self.depth - 1:
        x = PictureDropout(self.dropout)(x, places, train)
      skips.append(x)
      x = max_pool_2x2(x)

    x = self._block(self.width * 2**self.depth, "bottleneck")(x, train)
    x = PictureDropout(self.dropout)(x, places, train)

    for level in reversed(range(self.depth)):
      features = self.width * 2**level
      x = self._upsample(x, features, f"upsample_{level}")
      skip = _center_crop(skips[level], *x.shape[1:3])
      x = jnp.concatenate([skip, x], axis=-1)
      x = self._block(features, f"decoder_{level}")(x, train)

    # In float32 at least, or bfloat16 would round the logits to 8 bits.
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    return _conv_1x1(self.num_classes, dtype, name="logits")(x)
