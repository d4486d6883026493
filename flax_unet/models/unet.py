"""The U-Net of Ronneberger, Fischer and Brox (2015), https://arxiv.org/abs/1505.04597.

With `padding="valid"` and `norm="none"` this is the network of the paper (figure 1): 572x572 pixels
in, 388x388 out. The defaults follow current practice, with the layers and parameters of
https://github.com/milesial/Pytorch-UNet: padded convolutions, so that the logits have the size of
the image, and batch normalisation.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from flax_unet.models.base import Geometry, center_crop
from flax_unet.models.blocks import ConvNetwork, ConvNorm, Layers
from flax_unet.models.layers import ImageDropout
from flax_unet.models.pooling import max_pool_2x2
from flax_unet.models.upsampling import (
  TransposedConv2x2,
  upsample_bilinear,
  upsample_bilinear_aligned_2x,
)

_CHOICES = {
  "norm": ("batch", "group", "none"),
  "padding": ("same", "valid"),
  "upsample": ("transpose", "bilinear", "bilinear_conv", "bilinear_aligned"),
}


class ConvBlock(nn.Module):
  """Two 3x3 convolutions, each followed by a normalisation (if any) and a ReLU.

  Attributes:
    features: number of output channels.
    norm: see `UNet`.
    padding: see `UNet`.
    layers: makes the layers.
    middle: number of channels between the two; None: `features`.
  """

  features: int
  norm: str
  padding: str
  layers: Layers
  middle: int | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height', width', features]`."""
    for index, features in enumerate((self.middle or self.features, self.features), start=1):
      x = self.layers.conv(
        features,
        3,
        padding=self.padding.upper(),
        use_bias=self.norm == "none",  # a normalisation subtracts the mean and adds its own bias
        name=f"conv_{index}",
      )(x)
      if self.norm == "batch":
        x = self.layers.batch_norm(train, f"norm_{index}")(x)
      elif self.norm == "group":
        x = self.layers.group_norm(features, f"norm_{index}")(x)
      x = nn.relu(x)
    return x


class UNet(ConvNetwork):
  """A U-Net with configurable width and depth.

  Attributes:
    width: channels of the first block; each of the following blocks doubles them.
    depth: number of 2x2 max poolings, and of the upsamplings that undo them.
    norm: "batch" (synchronised over `axis_name`; momentum and epsilon as in PyTorch), "group", or
      "none", in which case the 3x3 convolutions have biases.
    padding: "same", or "valid" as in the paper, where the middle of each skip is used and the
      logits are smaller than the image.
    upsample: how each level of the decoder doubles the resolution and halves the channels:
      "transpose", a 2x2 transposed convolution with stride 2; "bilinear", a 1x1 convolution and
      bilinear interpolation; "bilinear_conv", interpolation, a 1x1 convolution, batch
      normalisation and a ReLU, as in mmsegmentation; "bilinear_aligned", interpolation with aligned
      corners and no convolution, with the channels of milesial/Pytorch-UNet's bilinear variant: the
      bottleneck does not double them, the last convolution of each decoder block halves them.
    dropout: rate at the end of the contracting path (section 3.1): behind the bottleneck and behind
      the block before it, as in the authors' network. Needs an rng named "dropout" in training; the
      masks follow from the images' places in the global batch, int `[batch]`, which the variable
      `places` in the collection `batch` holds (without it: `0, 1, ...`).
    aux_weight: deep supervision (Lee et al. 2015, https://arxiv.org/abs/1409.5185): the weight in
      training of the loss at each coarser decoder level, relative to 1 at full resolution. The
      logits of these levels come from 1x1 convolutions and cost nothing outside of training. 0
      turns it off.
  """

  width: int = 64
  depth: int = 4
  norm: str = "batch"
  padding: str = "same"
  upsample: str = "transpose"
  dropout: float = 0.0
  aux_weight: float = 0.0

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    multiple = 2**self.depth
    # Under "valid" the two 3x3 convolutions of a block take 4 pixels. In front of the bottleneck
    # that is 4 * (1 + 2 + .. + multiple / 2) pixels of the image, behind it as many, in it
    # 4 * multiple. Half of it is the context. Interpolation adds a pixel of each level's input.
    reach = 6 * multiple - 2
    if self.upsample != "transpose":
      reach += 2 * multiple - 2
    if self.norm == "group" or self.upsample == "bilinear_aligned":
      reach = None  # statistics, and the places of interpolated pixels, depend on the whole image
    name = f"a U-Net with depth={self.depth}, padding='{self.padding}'"
    if self.padding == "valid":
      return Geometry(multiple, offset=4, lost=12 * multiple - 8, context=reach, name=name)
    return Geometry(multiple, context=reach, name=name)

  def _block(self, features: int, name: str, middle: int | None = None) -> nn.Module:
    return self.layers.block(
      ConvBlock, features, self.norm, self.padding, self.layers, middle, name=name
    )

  def _upsample(self, x: jax.Array, features: int, name: str, train: bool) -> jax.Array:
    if self.upsample == "transpose":
      return TransposedConv2x2(features, self.dtype, self.conv, name=name)(x)
    if self.upsample == "bilinear_conv":
      return ConvNorm(features, self.layers, size=1, name=name)(upsample_bilinear(x, 2), train)
    if self.upsample == "bilinear_aligned":
      return upsample_bilinear_aligned_2x(x)
    # A 1x1 convolution and an interpolation commute; this order convolves a quarter of the pixels.
    return upsample_bilinear(self.layers.conv(features, 1, name=name)(x), 2)

  def skip(self, skip: jax.Array, gate: jax.Array, level: int) -> jax.Array:
    """What of a skip is joined to the decoder: here, all of it.

    Args:
      skip: `[batch, height, width, channels]`, of the encoder.
      gate: of the decoder, upsampled to the same height and width.
      level: of both; 0 has the full resolution.
    """
    del gate, level
    return skip

  def levels(self, images: jax.Array, train: bool) -> list[jax.Array]:
    """Runs encoder and decoder.

    Args:
      images: float `[batch, height, width, channels]`, normalised.
      train: see `__call__`.

    Returns:
      The outputs of the decoder's levels, the bottleneck first, full resolution last.

    Raises:
      ValueError: see `__call__`.
    """
    self.check(_CHOICES, ("width", "depth"))
    self.check_rates("dropout")
    self.check_size(images)
    aligned = self.upsample == "bilinear_aligned"
    x = images.astype(self.dtype)
    skips = []
    places = self.get_variable("batch", "places")
    for level in range(self.depth):
      x = self._block(self.width * 2**level, f"encoder_{level}")(x, train)
      if level == self.depth - 1:
        x = ImageDropout(self.dropout)(x, places, train)
      skips.append(x)
      x = max_pool_2x2(x)

    x = self._block(self.width * 2 ** (self.depth - aligned), "bottleneck")(x, train)
    x = ImageDropout(self.dropout)(x, places, train)

    outputs = [x]
    for level in reversed(range(self.depth)):
      features = self.width * 2**level
      x = self._upsample(x, features, f"upsample_{level}", train)
      skip = self.skip(center_crop(skips[level], x.shape[1:3]), x, level)
      x = jnp.concatenate([skip, x], axis=-1)
      narrower = self.width * 2 ** max(level - 1, 0) if aligned else features
      x = self._block(narrower, f"decoder_{level}", features)(x, train)
      outputs.append(x)
    return outputs

  def supervise(self, outputs: Sequence[jax.Array], train: bool) -> None:
    """In training, sows logits of the decoder's coarser levels (see `Network`).

    Args:
      outputs: from `levels`.
      train: see `__call__`.
    """
    if self.aux_weight < 0:
      raise ValueError(f"needs aux_weight of at least 0, not {self.aux_weight}")
    if self.aux_weight and (train or self.is_initializing()):
      for index, x in enumerate(outputs[1:-1]):
        logits = self.layers.logits(self.num_classes, f"auxiliary_{self.depth - 1 - index}")(x)
        if train:
          self.sow("auxiliary", "levels", logits)

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
    outputs = self.levels(images, train)
    self.supervise(outputs, train)
    return self.layers.logits(self.num_classes)(outputs[-1])
