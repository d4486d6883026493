"""FCN and SegNet in PyTorch: torchvision's names for VGG-16, and ours for the other layers."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_networks import conv


def vgg16_features(channels: int, width: int, norm: bool, padding: int = 1) -> nn.Sequential:
  """torchvision's `vgg16(_bn).features`; a padding above 1 is FCN's, whose poolings round up."""
  layers: list[nn.Module] = []
  for stage, number in enumerate((2, 2, 3, 3, 3)):
    features = width * min(2**stage, 8)
    for _ in range(number):
      layers.append(conv(channels, features, padding=padding if not layers else 1))
      layers += [nn.BatchNorm2d(features)] * norm + [nn.ReLU()]
      channels = features
    layers.append(nn.MaxPool2d(2, ceil_mode=padding > 1))
  return nn.Sequential(*layers)


def before_poolings(features: Sequence[nn.Module], x: torch.Tensor) -> list[torch.Tensor]:
  """What VGG's stages compute, and the output of the last pooling."""
  outputs = []
  for layer in features:
    if isinstance(layer, nn.MaxPool2d):
      outputs.append(x)
    x = layer(x)
  return [*outputs, x]


class FCN(nn.Module):
  """FCN on VGG-16: torchvision's names for it, `classifier.0` and `.3` are fc6 and fc7."""

  def __init__(self, channels, num_classes, width=64, fc_width=4096, stride=8, border="padded"):
    super().__init__()
    self.padded, self.stride = border == "padded", stride
    self.features = vgg16_features(channels, width, False, 100 if self.padded else 1)
    fc6 = nn.Linear(8 * width * 49, fc_width)
    self.classifier = nn.Sequential(fc6, nn.ReLU(), nn.Dropout(), nn.Linear(fc_width, fc_width))
    self.score_fr = nn.Conv2d(fc_width, num_classes, 1)
    self.names = [name for name, at in (("pool4", 16), ("pool3", 8)) if stride <= at]
    self.ups = {"upscore": stride, **{f"upscore_{name}": 2 for name in self.names}}
    for name, inputs in zip(self.names, (8 * width, 4 * width), strict=False):
      setattr(self, f"score_{name}", nn.Conv2d(inputs, num_classes, 1))
    if self.padded:
      for name, factor in self.ups.items():
        up = nn.ConvTranspose2d(num_classes, num_classes, 2 * factor, factor, bias=False)
        setattr(self, name, up)

  def _up(self, name, x):
    if self.padded:
      return getattr(self, name)(x)
    return functional.interpolate(x, scale_factor=self.ups[name], mode="bilinear")

  def forward(self, images):
    """See base class."""
    *stages, x = before_poolings(self.features, images)
    fc6, fc7 = self.classifier[0], self.classifier[3]
    kernel = fc6.weight.view(len(fc6.weight), -1, 7, 7)
    x = functional.relu(functional.conv2d(x, kernel, fc6.bias, padding=0 if self.padded else 3))
    x = functional.relu(functional.conv2d(x, fc7.weight[:, :, None, None], fc7.bias))
    x = self.score_fr(x)
    for name, stage, offset in zip(self.names, (3, 2), (5, 9), strict=False):
      x = self._up(f"upscore_{name}", x)
      skip = functional.max_pool2d(stages[stage], 2, ceil_mode=self.padded)
      skip, offset = getattr(self, f"score_{name}")(skip), offset * self.padded
      x = x + skip[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]]
    x, offset = self._up("upscore", x), {8: 31, 16: 27, 32: 19}[self.stride] * self.padded
    return x[:, :, offset : offset + images.shape[2], offset : offset + images.shape[3]]


class SegNet(nn.Module):
  """SegNet: torchvision's names of `vgg16_bn`, and ours for the decoder."""

  def __init__(self, channels, num_classes, width=64):
    super().__init__()
    self.features = vgg16_features(channels, width, True)
    widths = [width * min(2**stage, 8) for stage in range(5)]
    for stage, number in enumerate((2, 2, 3, 3, 3)):
      block, inputs = nn.Module(), widths[stage]
      outputs = [widths[stage]] * (number - 1) + widths[stage - 1 : stage] * (stage > 0)
      for index, features in enumerate(outputs, 1):
        setattr(block, f"conv_{index}", conv(inputs, features, bias=False))
        setattr(block, f"norm_{index}", nn.BatchNorm2d(features))
        inputs = features
      block.number = len(outputs)
      setattr(self, f"decoder_{stage + 1}", block)
    self.logits = conv(width, num_classes)

  def forward(self, x):
    """See base class."""
    *stages, _ = before_poolings(self.features, x)
    pooled = [functional.max_pool2d(stage, 2, return_indices=True) for stage in stages]
    x = pooled[-1][0]
    for stage in reversed(range(5)):
      x = functional.max_unpool2d(x, pooled[stage][1], 2)
      block = getattr(self, f"decoder_{stage + 1}")
      for index in range(1, block.number + 1):
        x = getattr(block, f"conv_{index}")(x)
        x = functional.relu(getattr(block, f"norm_{index}")(x))
    return self.logits(x)
