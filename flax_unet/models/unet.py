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

from flax_unet.models.base import Geometry, Network, center_crop
from flax_unet.models.cpu.conv import conv_3x3
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
  "conv": ("auto", "xla"),
}


def _conv_1x1(features: int, dtype: jnp.dtype, conv: str, name: str) -> nn.Module:
  return nn.Conv(
    features,
    (1, 1),
    kernel_init=initializers.he_normal(),
    dtype=dtype,
    conv_general_dilated=conv_1x1 if conv == "auto" else None,
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
  conv: str

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
        conv_general_dilated=conv_3x3 if self.conv == "auto" else None,
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


class UNet(Network):
  """U-Net.

  Attributes:
    width: channels of the first block; each of the following blocks doubles them.
    depth: number of 2x2 max poolings, and of the upsamplings that undo them.
    norm: "batch" (synchronised over `axis_name`; momentum and epsilon as in PyTorch), "group", or
      "none", in which case the 3x3 convolutions have biases.
    padding: "same", or "valid" as in the paper, where the middle of each skip is used and the
      logits are smaller than the image.
    upsample: "transpose", a 2x2 transposed convolution with stride 2, or "bilinear", a 1x1
      convolution and bilinear interpolation. Both halve the channels.
    dropout: rate at the end of the contracting path (section 3.1): behind the bottleneck and behind
      the block before it, as in the authors' network. Needs an rng named "dropout" in training; the
      masks follow from the pictures' places in the global batch, int `[batch]`, which the variable
      `places` in the collection `batch` holds (without it: `0, 1, ...`).
    dtype: type of the computation. Parameters, statistics of the normalisations and logits are
      float32 in any case.
    remat: whether the backward pass computes the blocks anew instead of keeping their activations:
      less memory for about a third more computation.
    conv: "auto", the convolutions of `cpu/` on CPUs, which are faster there; or "xla", those of
      Flax, which can be differentiated in forward mode too.
  """

  width: int = 64
  depth: int = 4
  norm: str = "batch"
  padding: str = "same"
  upsample: str = "transpose"
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32
  remat: bool = False
  conv: str = "auto"

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    multiple = 2**self.depth
    # Under "valid" the two 3x3 convolutions of a block take 4 pixels. In front of the bottleneck
    # that is 4 * (1 + 2 + .. + multiple / 2) pixels of the image, behind it as many, in it
    # 4 * multiple. Half of it is the context; of group normalisation's statistics there is no end.
    reach = 6 * multiple - 2 if self.norm != "group" else None
    name = f"a U-Net with depth={self.depth}, padding='{self.padding}'"
    if self.padding == "valid":
      return Geometry(multiple, offset=4, lost=12 * multiple - 8, context=reach, name=name)
    return Geometry(multiple, context=reach, name=name)

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
    return block(
      features, self.norm, self.padding, self.dtype, self.axis_name, self.conv, name=name
    )

  def _upsample(self, x: jax.Array, features: int, name: str) -> jax.Array:
    if self.upsample == "transpose":
      return TransposedConv2x2(features, self.dtype, self.conv, name=name)(x)
    # A 1x1 convolution and an interpolation commute; this order convolves a quarter of the pixels.
    return upsample_bilinear_2x(_conv_1x1(features, self.dtype, self.conv, name)(x))

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
      self.geometry.output_size(size)

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
      skip = center_crop(skips[level], x.shape[1:3])
      x = jnp.concatenate([skip, x], axis=-1)
      x = self._block(features, f"decoder_{level}")(x, train)

    # In float32 at least, or bfloat16 would round the logits to 8 bits.
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    return _conv_1x1(self.num_classes, dtype, self.conv, name="logits")(x)
