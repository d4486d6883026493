"""Published recipes: networks with the losses, optimizers and schedules they were trained with.

They are selected after the colon of a configuration, such as `configs/cityscapes.py:fcn8s`, which
adds what depends on the data. The mean IoUs below are the published ones; no recipe has been run
here in full.

    mmseg      mmsegmentation 1.2.2, `unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024`: Cityscapes
               validation 69.10 %, 71.05 % with several scales and flips.
    fcn8s      Long et al. (2015), FCN-8s trained in one stage: PASCAL VOC 2011 validation 65.4 %;
               Cityscapes test 65.3 %, trained on train and val. Starts from VGG-16's weights:
               --config.init_from=vgg16-397923af.pth
    segnet     Badrinarayanan et al. (2017): CamVid test 60.1 %; Cityscapes test 56.1 % at a quarter
               of the resolution. Starts from --config.init_from=vgg16_bn-6c64b313.pth
    ma_unet    Cai and Wang (2020), arXiv 2012.10952, who publish neither widths nor a number for
               these data. The recipe is mmsegmentation's.
    resnet34   U-Net on a ResNet-34, as in segmentation_models.pytorch, which publishes no recipe:
               all of it is assumed. Starts from --config.init_from=resnet34-b627a593.pth
"""

import ml_collections

from flax_unet import base_config


def mmseg(config: ml_collections.ConfigDict, width: int = 64) -> None:
  """SGD with polynomial decay; weight decay on all parameters; an auxiliary head."""
  base_config.set_network(config, "unet_s5", width=width)
  _sgd(config, lr=0.01, momentum=0.9)
  # Its cross-entropy divides by all pixels, ignored ones included (`avg_non_ignore=False`).
  config.loss = "cross_entropy(over_all_pixels=True)"
  config.wd_on = "all"
  config.schedule.decay_type = "polynomial"
  config.schedule.power = 0.9
  config.schedule.end_lr = 1e-4


def fcn8s(config: ml_collections.ConfigDict, width: int = 64) -> None:
  """Batches of one image, a high momentum, a low rate; fixed bilinear upsampling."""
  base_config.set_network(
    config, "fcn", width=width, fc_width=64 * width, skip_scales=(0.01, 0.0001)
  )
  # Published: 1e-10 on the sum over the pixels. Here the loss is their mean.
  _sgd(config, lr=1e-10 * 512 * 512, momentum=0.99)
  config.input.batch_size = 1
  config.lr_mult = (("upscore.*", 0.0), (".*/bias", 2.0))
  config.input.pp = "label_map|random_crop(512, 512)|flip_lr"


def segnet(config: ml_collections.ConfigDict, width: int = 64) -> None:
  """SGD at a constant rate, batches of five."""
  base_config.set_network(config, "segnet", width=width)
  _sgd(config, lr=1e-3, momentum=0.9)
  config.input.batch_size = 5
  config.input.pp = "label_map|resize(256, 512)|flip_lr"


def ma_unet(config: ml_collections.ConfigDict, width: int = 64) -> None:
  """The recipe of mmsegmentation, without its auxiliary head."""
  mmseg(config, width)
  base_config.set_network(config, "ma_unet", width=width)


def resnet34(config: ml_collections.ConfigDict, width: int = 64) -> None:
  """AdamW at a low rate, as is usual for fine-tuning."""
  base_config.set_network(config, "unet_resnet34", width=width)
  _sgd(config, lr=1e-4, momentum=0.9)
  config.optax_name, config.optax = "adamw", {"b1": 0.9, "b2": 0.999}
  config.wd = 1e-4
  config.schedule.decay_type = "polynomial"
  config.schedule.power = 0.9


def _sgd(config: ml_collections.ConfigDict, lr: float, momentum: float) -> None:
  """SGD with weight decay 5e-4 at a constant rate, the plain loss, no average, no clipping."""
  config.optax_name, config.optax = "sgd", {"momentum": momentum}
  config.lr, config.wd = lr, 5e-4
  config.loss = "cross_entropy"
  config.grad_clip_norm = None
  config.schedule = {"decay_type": "constant", "warmup_steps": 0, "power": 0.9, "end_lr": 0.0}
  config.ema_decay = None


ALL = {function.__name__: function for function in (mmseg, fcn8s, segnet, ma_unet, resnet34)}
SWITCHES = dict.fromkeys(ALL, False)  # arguments of a configuration


def apply(config: ml_collections.ConfigDict, arg: ml_collections.ConfigDict) -> None:
  """Applies the recipes whose switches an argument has on, see `config_arg.parse`."""
  for name, recipe in ALL.items():
    if arg[name]:
      recipe(config, arg.width)
