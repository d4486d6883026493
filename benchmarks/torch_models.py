"""Every network in PyTorch by the name it has in `config.model_name`, to compare with."""

from typing import Any

from torch import nn

from benchmarks import torch_networks, torch_smp, torch_unet, torch_vgg


def make(name: str, num_classes: int, width: int, depth: int, norm: str) -> nn.Module:
  """Makes a network for RGB images.

  Args:
    name: see `flax_unet.models.registry`.
    num_classes: number of classes.
    width: channels of the first level.
    depth: number of poolings, where a network lets one choose.
    norm: "batch" or "none", where a network lets one choose.
  """
  sizes: dict[str, tuple[type[nn.Module], tuple[Any, ...]]] = {
    "unet": (torch_unet.TorchUNet, (width, depth, norm)),
    "unet_s5": (torch_networks.UNetS5, (width, depth)),
    "attention_unet": (torch_networks.AttentionUNet, (width, depth)),
    "ma_unet": (torch_networks.MAUNet, (width, depth, 2**depth)),
    "segnet_basic": (torch_networks.SegNetBasic, (width, depth)),
    "segnet": (torch_vgg.SegNet, (width,)),
    "fcn": (torch_vgg.FCN, (width, 64 * width, 8, "same")),
    "unet_vgg16": (torch_smp.Unet, ("vgg16_bn", width)),
    **{f"unet_resnet{size}": (torch_smp.Unet, (size, width)) for size in torch_smp.BLOCKS},
  }
  network, arguments = sizes[name]
  return network(3, num_classes, *arguments)
