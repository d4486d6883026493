"""A U-Net in PyTorch, with the layers of milesial/Pytorch-UNet, for comparison."""

import torch
from torch import nn


class TorchUNet(nn.Module):
  """A U-Net from images to logits, both `[batch, channels, height, width]`."""

  def __init__(self, channels: int, num_classes: int, width: int, depth: int, norm: str):
    super().__init__()
    features = [width * 2**level for level in range(depth + 1)]
    inputs = [channels, *features]
    self.encoder = nn.ModuleList(
      _conv_block(inputs[level], features[level], norm) for level in range(depth + 1)
    )
    self.upsample = nn.ModuleList(
      nn.ConvTranspose2d(features[level + 1], features[level], 2, stride=2)
      for level in range(depth)
    )
    self.decoder = nn.ModuleList(
      _conv_block(2 * features[level], features[level], norm) for level in range(depth)
    )
    self.logits = nn.Conv2d(width, num_classes, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Computes the logits."""
    skips = []
    for block in self.encoder[:-1]:
      x = block(x)
      skips.append(x)
      x = nn.functional.max_pool2d(x, 2)
    x = self.encoder[-1](x)
    for level in reversed(range(len(skips))):
      x = self.decoder[level](torch.cat([skips[level], self.upsample[level](x)], 1))
    return self.logits(x)


def _conv_block(inputs: int, features: int, norm: str) -> nn.Sequential:
  layers = []
  for channels in (inputs, features):
    layers.append(nn.Conv2d(channels, features, 3, padding=1, bias=norm == "none"))
    if norm == "batch":
      layers.append(nn.BatchNorm2d(features))
    layers.append(nn.ReLU(inplace=True))
  return nn.Sequential(*layers)


def flax_params(model: TorchUNet, read=lambda parameter: parameter) -> dict:
  """Arranges `read(parameter)` (the parameter, or its gradient) like the Flax parameters."""

  def arrays(module: nn.Module) -> dict:
    weight = read(module.weight).detach().numpy()
    if isinstance(module, nn.Conv2d):
      named = {"kernel": weight.transpose(2, 3, 1, 0)}
    elif isinstance(module, nn.ConvTranspose2d):
      named = {"kernel": weight.transpose(2, 3, 0, 1)}
    else:
      named = {"scale": weight}
    if module.bias is not None:
      named["bias"] = read(module.bias).detach().numpy()
    return named

  params = {
    name: {layer: arrays(module) for layer, module in layers.items()}
    for name, layers in _blocks(model).items()
  }
  params |= {f"upsample_{level}": arrays(module) for level, module in enumerate(model.upsample)}
  return {**params, "logits": arrays(model.logits)}


def flax_batch_stats(model: TorchUNet) -> dict:
  """Arranges the running statistics like the Flax network's collection "batch_stats"."""
  return {
    name: {
      layer: {"mean": module.running_mean.numpy(), "var": module.running_var.numpy()}
      for layer, module in layers.items()
      if isinstance(module, nn.BatchNorm2d)
    }
    for name, layers in _blocks(model).items()
  }


def _blocks(model: TorchUNet) -> dict[str, dict[str, nn.Module]]:
  """The convolutions and normalisations, by their names in the Flax network."""
  *encoder, bottleneck = model.encoder
  blocks = {f"encoder_{level}": block for level, block in enumerate(encoder)}
  blocks["bottleneck"] = bottleneck
  blocks |= {f"decoder_{level}": block for level, block in enumerate(model.decoder)}
  kinds = {"conv": nn.Conv2d, "norm": nn.BatchNorm2d}
  return {
    name: {
      f"{prefix}_{index}": module
      for prefix, kind in kinds.items()
      for index, module in enumerate((m for m in block if isinstance(m, kind)), 1)
    }
    for name, block in blocks.items()
  }
