"""FCN-32s, -16s and -8s (Long, Shelhamer, Darrell 2015), https://arxiv.org/abs/1411.4038.

VGG-16 with its fully connected layers turned into convolutions; coarse scores are upsampled and
added to those of finer layers. Without ImageNet weights it hardly learns: see docs/networks.md.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers

from flax_unet.models import vgg
from flax_unet.models.base import Geometry
from flax_unet.models.blocks import ConvNetwork
from flax_unet.models.layers import ImageDropout
from flax_unet.models.pooling import max_pool_2x2_ceil
from flax_unet.models.upsampling import upsample_bilinear

_STRIDES = (8, 16, 32)
# How much of the enlarged scores is cut off at the top and on the left to meet the layer's own
# place, by the layer: it follows from the first convolution's padding of 100.
_OFFSETS = {"pool4": 5, "pool3": 9}
_LAST_OFFSETS = {8: 31, 16: 27, 32: 19}


class FCN(ConvNetwork):
  """Fully convolutional network on VGG-16.

  Attributes:
    width: channels of VGG's first stage, 64 as published.
    fc_width: channels of `fc6` and `fc7`, 4096 as published.
    stride: 32, 16 or 8: the stride of the scores before the last upsampling.
    border: "padded", as the authors': a padding of 100 pixels in the first convolution, none in
      `fc6`, and transposed convolutions, which begin bilinear (the authors keep them so:
      `config.lr_mult = (("upscore.*", 0.0),)`); or "same", the common variant: padding of 1, `fc6`
      padded too, and bilinear interpolation, which does no work outside of the image.
    skip_scales: what the outputs of pool4 and pool3 are multiplied by before they are scored. The
      authors train at once with (0.01, 0.0001), in stages with (1.0, 1.0).
    norm: of VGG's convolutions, "none" or "batch".
    dropout: rate behind `fc6` and `fc7`.
  """

  width: int = 64
  fc_width: int = 4096
  stride: int = 8
  border: str = "padded"
  skip_scales: tuple[float, float] = (1.0, 1.0)
  norm: str = "none"
  dropout: float = 0.5

  @property
  def geometry(self) -> Geometry:
    """See base class."""
    # fc6 sees 3 pixels of 32 to either side, the scores' enlargements less than one of their own.
    return Geometry(32, context=vgg.CONTEXT + 5 * 32, name=f"FCN-{self.stride}s")

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Computes the logits of images whose height and width are multiples of 32; see `UNet`."""
    self.check(
      {"stride": _STRIDES, "border": ("padded", "same"), "norm": ("none", "batch")},
      ("width", "fc_width"),
    )
    self.check_rates("dropout")
    if len(self.skip_scales) != 2:
      raise ValueError(f"FCN needs two skip_scales, of pool4 and pool3, not {self.skip_scales}")
    self.check_size(images)
    padded = self.border == "padded"
    places = self.get_variable("batch", "places")
    stages = vgg.VGG16(
      self.width,
      self.norm,
      self.layers,
      max_pool_2x2_ceil,
      first_padding=100 if padded else 1,
      name="encoder",
    )(images.astype(self.dtype), train)
    x = max_pool_2x2_ceil(stages[-1])
    for name, size in (("fc6", 7), ("fc7", 1)):
      x = self.layers.conv(self.fc_width, size, padding="VALID" if padded else "SAME", name=name)(x)
      x = ImageDropout(self.dropout)(nn.relu(x), places, train)
    x = self._score(x, "score_fr")

    stride = 32
    for stage, layer, scale in zip((3, 2), _OFFSETS, self.skip_scales, strict=True):
      if stride == self.stride:
        break
      stride //= 2
      skip = max_pool_2x2_ceil(stages[stage])
      x = self._enlarge(x, 2, f"upscore_{layer}")
      skip = self._score(skip * scale if scale != 1 else skip, f"score_{layer}")
      offset = _OFFSETS[layer] if padded else 0
      x += skip[:, offset : offset + x.shape[1], offset : offset + x.shape[2]]
    x = self._enlarge(x, stride, "upscore")
    offset = _LAST_OFFSETS[self.stride] if padded else 0
    return x[:, offset : offset + images.shape[1], offset : offset + images.shape[2]]

  def _score(self, x: jax.Array, name: str) -> jax.Array:
    """Scores of the classes, which begin with 0 as the authors' do."""
    return self.layers.logits(self.num_classes, name, kernel_init=initializers.zeros)(x)

  def _enlarge(self, x: jax.Array, factor: int, name: str) -> jax.Array:
    if self.border == "same":
      return upsample_bilinear(x, factor)
    return nn.ConvTranspose(
      self.num_classes,
      (2 * factor, 2 * factor),
      strides=(factor, factor),
      padding="VALID",
      transpose_kernel=True,
      use_bias=False,
      kernel_init=_bilinear,
      name=name,
    )(x)


def _bilinear(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
  """A kernel `[size, size, channels, channels]` that interpolates each channel by itself."""
  del key
  size = shape[0]
  line = 1 - np.abs((np.arange(size) - (size - 1) / 2) / (size // 2))
  kernel = np.zeros(shape)
  channels = np.arange(shape[2])
  kernel[:, :, channels, channels] = np.outer(line, line)[:, :, None]
  return jnp.asarray(kernel, dtype)
