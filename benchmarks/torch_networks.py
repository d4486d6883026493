"""The networks in PyTorch, to compare with: published names of tensors where there are any.

Other layers are called as in `flax_unet.models`, so that `by_our_names` carries them over.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from flax import traverse_util
from torch import nn
from torch.nn import functional


def by_torchs_names(
  network: nn.Module, read: Callable[[torch.Tensor], torch.Tensor] = lambda x: x
) -> dict[str, np.ndarray]:
  """A state dict of arrays; `read` may give the gradients of its parameters instead."""
  tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
  found = {name: read(tensor) for name, tensor in tensors.items()}
  return {name: x.detach().numpy().copy() for name, x in found.items() if x is not None}


def by_our_names(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
  """Arranges arrays of PyTorch as our variables, by names that are ours but for dots."""
  leaves = {"weight": "scale", "running_mean": "mean", "running_var": "var"}
  flat = {}
  for name, array in arrays.items():
    *layers, leaf = name.split(".")
    if leaf == "weight" and array.ndim == 4:
      leaf, axes = "kernel", (2, 3, 1, 0)
      axes = (2, 3, 0, 1) if layers[-1].startswith("upsample") else axes
      array = array.transpose(axes)
    collection = "batch_stats" if leaf.startswith("running") else "params"
    if leaf != "num_batches_tracked":
      flat[collection, *layers, leaves.get(leaf, leaf)] = array
  return traverse_util.unflatten_dict(flat)


def conv(inputs: int, features: int, size: int = 3, **options: Any) -> nn.Conv2d:
  """A convolution with half its kernel as padding."""
  return nn.Conv2d(inputs, features, size, **{"padding": size // 2, **options})


class ConvNorm(nn.Module):
  """Convolution, batch normalisation, ReLU; `conv` and `norm` are what the program calls them."""

  def __init__(self, inputs, features, size=3, relu=True, names=("conv", "norm")):
    super().__init__()
    self.names, self.relu = names, relu
    setattr(self, names[0], conv(inputs, features, size, bias=False))
    setattr(self, names[1], nn.BatchNorm2d(features))

  def forward(self, x):
    """See base class."""
    for name in self.names:
      x = getattr(self, name)(x)
    return functional.relu(x) if self.relu else x


class DoubleConv(nn.Module):
  """Two 3x3 convolutions with batch normalisation and ReLU, by our names."""

  def __init__(self, inputs, features):
    super().__init__()
    self.conv_1, self.norm_1 = conv(inputs, features, bias=False), nn.BatchNorm2d(features)
    self.conv_2, self.norm_2 = conv(features, features, bias=False), nn.BatchNorm2d(features)

  def forward(self, x):
    """See base class."""
    x = functional.relu(self.norm_1(self.conv_1(x)))
    return functional.relu(self.norm_2(self.conv_2(x)))


class _Mmseg(nn.Module):
  """The two convolutions of mmsegmentation's `BasicConvBlock`."""

  def __init__(self, inputs, features):
    super().__init__()
    names = ("conv", "bn")
    self.convs = nn.Sequential(
      ConvNorm(inputs, features, names=names), ConvNorm(features, features, names=names)
    )

  def forward(self, x):
    """See base class."""
    return self.convs(x)


class _MmsegUp(nn.Module):
  """A level of mmsegmentation's decoder."""

  def __init__(self, inputs, features):
    super().__init__()
    self.upsample = nn.Module()
    up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    self.upsample.interp_upsample = nn.Sequential(
      up, ConvNorm(inputs, features, 1, names=("conv", "bn"))
    )
    self.conv_block = _Mmseg(2 * features, features)

  def forward(self, skip, x):
    """See base class."""
    return self.conv_block(torch.cat([skip, self.upsample.interp_upsample(x)], 1))


class _MmsegHead(nn.Module):
  """mmsegmentation's `FCNHead` with one convolution."""

  def __init__(self, inputs, width, num_classes, dropout):
    super().__init__()
    self.convs = nn.Sequential(ConvNorm(inputs, width, names=("conv", "bn")))
    self.dropout = nn.Dropout2d(dropout)
    self.conv_seg = nn.Conv2d(width, num_classes, 1)

  def forward(self, x):
    """See base class."""
    return self.conv_seg(self.dropout(self.convs(x)))


class UNetS5(nn.Module):
  """mmsegmentation's `fcn_unet_s5-d16`; in training, returns the auxiliary logits too."""

  def __init__(self, channels, num_classes, width=64, depth=4, dropout=0.1):
    super().__init__()
    widths = [width * 2**level for level in range(depth + 1)]
    self.backbone = nn.Module()
    encoder = [nn.Sequential(_Mmseg(channels, width))]
    encoder += [
      nn.Sequential(nn.MaxPool2d(2), _Mmseg(inputs, features))
      for inputs, features in zip(widths[:-1], widths[1:], strict=True)
    ]
    self.backbone.encoder = nn.ModuleList(encoder)
    self.backbone.decoder = nn.ModuleList(
      _MmsegUp(widths[level + 1], widths[level]) for level in range(depth)
    )
    self.decode_head = _MmsegHead(width, width, num_classes, dropout)
    self.auxiliary_head = _MmsegHead(2 * width, width, num_classes, dropout)

  def forward(self, x):
    """See base class."""
    skips = []
    for block in self.backbone.encoder:
      x = block(x)
      skips.append(x)
    outputs = [skips.pop()]
    for level in reversed(range(len(skips))):
      outputs.append(self.backbone.decoder[level](skips[level], outputs[-1]))
    logits = self.decode_head(outputs[-1])
    return (logits, self.auxiliary_head(outputs[-2])) if self.training else logits


class AttentionUNet(nn.Module):
  """U-Net with transposed convolutions whose skips pass attention gates, by our names."""

  def __init__(self, channels, num_classes, width=64, depth=4):
    super().__init__()
    self.depth = depth
    for level in range(depth):
      features = width * 2**level
      inputs = channels if level == 0 else features // 2
      setattr(self, f"encoder_{level}", DoubleConv(inputs, features))
      setattr(self, f"decoder_{level}", DoubleConv(2 * features, features))
      setattr(self, f"upsample_{level}", nn.ConvTranspose2d(2 * features, features, 2, 2))
      gate = nn.Module()
      half = features // 2
      gate.skip, gate.gate = conv(features, half, 1, bias=False), conv(features, half, 1)
      gate.psi = conv(half, 1, 1)
      setattr(self, f"attention_{level}", gate)
    self.bottleneck = DoubleConv(width * 2 ** (depth - 1), width * 2**depth)
    self.logits = conv(width, num_classes, 1)

  def levels(self, x):
    """The outputs of the decoder's levels, the bottleneck first."""
    skips = []
    for level in range(self.depth):
      skips.append(getattr(self, f"encoder_{level}")(x))
      x = functional.max_pool2d(skips[-1], 2)
    outputs = [self.bottleneck(x)]
    for level in reversed(range(self.depth)):
      x, skip = getattr(self, f"upsample_{level}")(outputs[-1]), skips[level]
      gate = getattr(self, f"attention_{level}")
      skip = skip * torch.sigmoid(gate.psi(functional.relu(gate.skip(skip) + gate.gate(x))))
      outputs.append(getattr(self, f"decoder_{level}")(torch.cat([skip, x], 1)))
    return outputs

  def forward(self, x):
    """See base class."""
    return self.logits(self.levels(x)[-1])


class MAUNet(AttentionUNet):
  """MA-UNet as `flax_unet.models.ma_unet` describes it; concatenates before it fuses."""

  def __init__(self, channels, num_classes, width=64, depth=4, grid=16):
    super().__init__(channels, num_classes, width, depth)
    self.grid = grid
    for level in range(depth + 1):
      setattr(self, f"fusion_{level}", conv(width * 2**level, width, 1, bias=level == 0))
    narrow = max(1, width // 8)
    self.channel_attention, self.spatial_attention = nn.Module(), nn.Module()
    for attention in (self.channel_attention, self.spatial_attention):
      attention.factor = nn.Parameter(torch.zeros(()))
    for name, features in (("query", narrow), ("key", narrow), ("value", width)):
      setattr(self.spatial_attention, name, conv(width, features, 1))

  def forward(self, x):
    """See base class."""
    size = x.shape[2:]
    outputs = self.levels(x)
    enlarged = [functional.interpolate(y, size, mode="bilinear") for y in outputs]
    fusions = [getattr(self, f"fusion_{level}") for level in reversed(range(self.depth + 1))]
    kernel = torch.cat([fusion.weight for fusion in fusions], 1)
    x = functional.conv2d(torch.cat(enlarged, 1), kernel, fusions[-1].bias)
    return self.logits(self._channel(x) + self._spatial(x))

  def _channel(self, x):
    flat = x.flatten(2)
    energy = flat @ flat.transpose(1, 2)
    attention = torch.softmax(energy.max(-1, keepdim=True)[0] - energy, -1)
    return self.channel_attention.factor * (attention @ flat).view_as(x) + x

  def _spatial(self, x):
    module = self.spatial_attention
    cells = functional.avg_pool2d(x, self.grid)
    query, key, value = (getattr(module, n)(cells).flatten(2) for n in ("query", "key", "value"))
    attention = torch.softmax(query.transpose(1, 2) @ key, -1)
    attended = (value @ attention.transpose(1, 2)).view_as(cells)
    return module.factor * functional.interpolate(attended, x.shape[2:], mode="bilinear") + x


class SegNetBasic(nn.Module):
  """SegNet-Basic by our names."""

  def __init__(self, channels, num_classes, width=64, depth=4):
    super().__init__()
    self.depth = depth
    for level in range(depth):
      setattr(self, f"encoder_{level}", ConvNorm(width if level else channels, width, 7))
      setattr(self, f"decoder_{level}", ConvNorm(width, width, 7, relu=False))
    self.logits = conv(width, num_classes, 1)

  def forward(self, x):
    """See base class."""
    indices = []
    for level in range(self.depth):
      x = getattr(self, f"encoder_{level}")(x)
      x, index = functional.max_pool2d(x, 2, return_indices=True)
      indices.append(index)
    for level in reversed(range(self.depth)):
      x = getattr(self, f"decoder_{level}")(functional.max_unpool2d(x, indices[level], 2))
    return self.logits(x)
