"""U-Nets on ResNet and VGG-16 in PyTorch, by the names of segmentation_models.pytorch 0.6."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_networks import conv
from benchmarks.torch_vgg import before_poolings, vgg16_features

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Block(nn.Module):
  """torchvision's `BasicBlock` (expansion 1) and `Bottleneck` (4)."""

  def __init__(self, inputs, features, expansion, stride):
    super().__init__()
    out = features * expansion
    if expansion == 1:
      sizes = [(inputs, features, 3, stride), (features, out, 3, 1)]
    else:
      sizes = [(inputs, features, 1, 1), (features, features, 3, stride), (features, out, 1, 1)]
    self.number = len(sizes)
    for index, (before, after, size, step) in enumerate(sizes, 1):
      setattr(self, f"conv{index}", conv(before, after, size, stride=step, bias=False))
      setattr(self, f"bn{index}", nn.BatchNorm2d(after))
    self.downsample = None
    if stride > 1 or inputs != out:
      shortcut = conv(inputs, out, 1, stride=stride, bias=False)
      self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

  def forward(self, x):
    """See base class."""
    residual = x if self.downsample is None else self.downsample(x)
    for index in range(1, self.number + 1):
      x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x))
      x = functional.relu(x) if index < self.number else x
    return functional.relu(x + residual)


class ResNet(nn.Module):
  """torchvision's ResNet without its classifier; returns the features of five resolutions."""

  def __init__(self, channels, size, width=64):
    super().__init__()
    self.conv1 = conv(channels, width, 7, stride=2, bias=False)
    self.bn1 = nn.BatchNorm2d(width)
    expansion, inputs = (4 if size >= 50 else 1), width
    for layer, number in enumerate(BLOCKS[size]):
      features, blocks = width * 2**layer, []
      for index in range(number):
        stride = 2 if layer and not index else 1
        blocks.append(Block(inputs, features, expansion, stride))
        inputs = features * expansion
      setattr(self, f"layer{layer + 1}", nn.Sequential(*blocks))

  def forward(self, x):
    """See base class."""
    outputs = [functional.relu(self.bn1(self.conv1(x)))]
    x = functional.max_pool2d(outputs[0], 3, 2, 1)
    for layer in range(1, 5):
      x = getattr(self, f"layer{layer}")(x)
      outputs.append(x)
    return outputs


def _conv_relu(inputs, features):
  """smp's `Conv2dReLU`."""
  convolution = conv(inputs, features, bias=False)
  return nn.Sequential(convolution, nn.BatchNorm2d(features), nn.ReLU())


class _DecoderBlock(nn.Module):
  def __init__(self, inputs, features):
    super().__init__()
    self.conv1, self.conv2 = _conv_relu(inputs, features), _conv_relu(features, features)

  def forward(self, x, skip):
    """See base class."""
    x = functional.interpolate(x, scale_factor=2, mode="nearest")
    return self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], 1)))


class Unet(nn.Module):
  """smp's `Unet`.

  Args:
    encoder: a size of ResNet, "vgg16" or "vgg16_bn".
  """

  def __init__(self, channels, num_classes, encoder, width=64, decoder_width=16):
    super().__init__()
    self.is_vgg = isinstance(encoder, str)
    self.decoder = nn.Module()
    if self.is_vgg:
      self.encoder = nn.Module()
      self.encoder.features = vgg16_features(channels, width, encoder.endswith("_bn"))
      skips = [8 * width, 8 * width, 4 * width, 2 * width, 0]
      inputs = 8 * width
      self.decoder.center = nn.Sequential(_conv_relu(inputs, inputs), _conv_relu(inputs, inputs))
    else:
      self.encoder = ResNet(channels, encoder, width)
      expansion = 4 if encoder >= 50 else 1
      skips = [expansion * width * factor for factor in (4, 2, 1)] + [width, 0]
      inputs = 8 * expansion * width
    blocks = []
    for index, skip in enumerate(skips):
      features = decoder_width * 2 ** (4 - index)
      blocks.append(_DecoderBlock(inputs + skip, features))
      inputs = features
    self.decoder.blocks = nn.ModuleList(blocks)
    self.segmentation_head = nn.Sequential(conv(decoder_width, num_classes))

  def forward(self, x):
    """See base class."""
    if self.is_vgg:
      _, *skips, x = before_poolings(self.encoder.features, x)
      x = self.decoder.center(x)
    else:
      *skips, x = self.encoder(x)
    for block, skip in zip(self.decoder.blocks, (*skips[::-1], None), strict=True):
      x = block(x, skip)
    return self.segmentation_head(x)
