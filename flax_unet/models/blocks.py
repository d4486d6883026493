"""Building blocks of the networks: convolutions, normalisation, and shared attributes."""

import dataclasses
import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from flax_unet.models.base import Network
from flax_unet.models.cpu.conv import conv_3x3
from flax_unet.models.layers import conv_1x1

# He et al. (2015): "he_fan_in" is truncated at two deviations; "he_fan_out" is what torchvision,
# mmsegmentation and most papers start from.
_INITIALIZERS = {
  "he_fan_in": initializers.he_normal(),
  "he_fan_out": initializers.variance_scaling(2.0, "fan_out", "normal"),
}


@dataclasses.dataclass(frozen=True)
class Layers:
  """Makes the layers of a network, which differ in size only.

  Attributes:
    dtype: type of the computation. Parameters and statistics are float32.
    axis_name: the mapped axis over which batch normalisation takes its statistics in training.
    remat: whether the backward pass recomputes blocks.
    conv_backend: "auto" or "xla", see `ConvNetwork`.
    init: initialiser of the convolutions, "he_fan_in" or "he_fan_out".
  """

  dtype: jnp.dtype = jnp.float32
  axis_name: str | None = None
  remat: bool = False
  conv_backend: str = "auto"
  init: str = "he_fan_in"

  def block(self, kind: type[nn.Module], *arguments: Any, **attributes: Any) -> nn.Module:
    """Makes a block whose call takes `(x, train)`, to be recomputed if `remat` says so."""
    made = nn.remat(kind, static_argnums=(2,)) if self.remat else kind
    return made(*arguments, **attributes)

  def conv(
    self,
    features: int,
    size: int,
    *,
    name: str | None,
    stride: int = 1,
    padding: Any = None,
    use_bias: bool = True,
    **options: Any,
  ) -> nn.Conv:
    """Makes a square convolution.

    Args:
      features: number of output channels.
      size: of the kernel, odd.
      name: of the layer.
      stride: in both directions.
      padding: "SAME", "VALID" or pixels on each side; None: half the kernel, as in PyTorch.
      use_bias: whether there is a bias.
      **options: other attributes of `nn.Conv`.
    """
    if padding is None:
      padding = "SAME" if stride == 1 else size // 2
    fast = {1: conv_1x1, 3: conv_3x3}.get(size) if self.conv_backend == "auto" else None
    # The fast convolutions know stride 1 and named paddings.
    fast = fast if stride == 1 and isinstance(padding, str) else None
    options = {"kernel_init": _INITIALIZERS[self.init], "dtype": self.dtype, **options}
    return nn.Conv(
      features,
      (size, size),
      strides=(stride, stride),
      padding=padding,
      use_bias=use_bias,
      conv_general_dilated=fast,
      name=name,
      **options,
    )

  def batch_norm(self, train: bool, name: str) -> nn.BatchNorm:
    """Makes a batch normalisation with PyTorch's momentum and epsilon."""
    return nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      epsilon=1e-5,
      axis_name=self.axis_name if train else None,
      dtype=self.dtype,
      name=name,
    )

  def group_norm(self, features: int, name: str) -> nn.GroupNorm:
    """Makes a group normalisation of 32 groups, fewer where 32 does not divide the channels.

    Wu and He (2018), https://arxiv.org/abs/1803.08494.
    """
    return nn.GroupNorm(math.gcd(32, features), epsilon=1e-5, dtype=self.dtype, name=name)

  def logits(self, num_classes: int, name: str = "logits", **options: Any) -> nn.Conv:
    """Makes the last layer, a 1x1 convolution.

    It computes in float32 at least: bfloat16 would round the logits to 8 bits.
    """
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    return self.conv(num_classes, 1, name=name, dtype=dtype, **options)


class ConvNetwork(Network):
  """Base of the networks here.

  Attributes:
    dtype: type of the computation. Parameters, statistics of the normalisations and logits are
      float32 in any case.
    remat: whether the backward pass recomputes the blocks instead of keeping their activations:
      less memory for about a third more computation.
    conv: "auto", on CPUs the convolutions of `cpu/`, which are faster there; or "xla", those of
      Flax, which can be differentiated in forward mode too.
  """

  dtype: jnp.dtype = jnp.float32
  remat: bool = False
  conv: str = "auto"

  init_kind: ClassVar[str] = "he_fan_in"  # see `Layers`

  @property
  def layers(self) -> Layers:
    """Makes the layers."""
    return Layers(self.dtype, self.axis_name, self.remat, self.conv, self.init_kind)

  def check(self, choices: dict[str, tuple[Any, ...]], at_least_1: tuple[str, ...]) -> None:
    """Refuses values that an attribute cannot have.

    Args:
      choices: by attribute, the values it may have.
      at_least_1: attributes that count something.

    Raises:
      ValueError: the message names the attribute and what it may be.
    """
    kind = type(self).__name__
    for name, known in {**choices, "conv": ("auto", "xla")}.items():
      if (value := getattr(self, name)) not in known:
        text = ", ".join(map(str, known))
        raise ValueError(f"{kind} has no {name}={value!r}: choose one of {text}")
    for name in ("num_classes", *at_least_1):
      if (value := getattr(self, name)) < 1:
        raise ValueError(f"{kind} needs {name} of at least 1, not {value}")

  def check_rates(self, *names: str) -> None:
    """Refuses dropout rates that are out of range.

    Raises:
      ValueError: the message names the attribute.
    """
    for name in names:
      if not 0 <= (rate := getattr(self, name)) < 1:
        raise ValueError(
          f"{type(self).__name__} needs a {name.replace('_', ' ')} rate in [0, 1), not {rate}"
        )

  def check_size(self, images: jax.Array) -> None:
    """Refuses images that do not fit.

    Raises:
      ValueError: the message holds the nearest heights or widths that do.
    """
    for size in images.shape[1:3]:
      self.geometry.output_size(size)


class ConvNorm(nn.Module):
  """A convolution without bias, batch normalisation and a ReLU.

  Attributes:
    features: number of output channels.
    layers: makes the layers.
    size: of the kernel.
    stride: of the convolution.
    relu: whether there is a ReLU.
  """

  features: int
  layers: Layers
  size: int = 3
  stride: int = 1
  relu: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[.., height / stride, .., features]`."""
    x = self.layers.conv(self.features, self.size, stride=self.stride, use_bias=False, name="conv")(
      x
    )
    x = self.layers.batch_norm(train, "norm")(x)
    return nn.relu(x) if self.relu else x
