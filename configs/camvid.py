r"""CamVid: 367 street photographs to train on, 101 to validate, 233 to test; 11 classes.

    python main.py --config=configs/camvid.py:data=DIR

DIR is the folder `CamVid` of the SegNet authors' tutorial: images in `train`, `val` and `test`,
masks in `trainannot`, `valannot` and `testannot`. Without `test`, only `val` is evaluated. The
lists that come with it, such as `train.txt`, hold paths of another machine and are not used.

The recipe trains MA-UNet from scratch on crops of images at 0.45 to 0.9 times their resolution.
Validation images are resized to two thirds, 240 x 320, and scores are computed at full resolution,
360 x 480. The recipe was tuned on the validation images in short runs; docs/results.md lists the
variants and their scores. A step takes 56.5 GFLOP, the run 509 TFLOP: an hour on two cores.

Arguments after the colon:

    data=CamVid    The folder.
    quick          The same recipe with an eighth of the steps.
    model=ma_unet  The network, see docs/networks.md.
    width=16       Channels at its first level.
"""

import pathlib

from flax_unet import base_config, config_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(arg, data="CamVid", quick=False, model="ma_unet", width=16)
  config = base_config.get_config()
  has_test = (pathlib.Path(arg.data).expanduser() / "test").is_dir()

  config.label_space = "camvid_11"
  config.total_steps = 9000
  config.input.data = base_config.folder_data("", "")
  config.input.data.data_dir = arg.data
  config.input.data.folders = {
    "train": "train:trainannot",
    "validation": "val:valannot",
    "test": "test:testannot" if has_test else "",
  }
  config.input.pp = "label_map|random_scale(0.45, 0.9)|random_crop(192, 256)|flip_lr|photometric"
  config.input.batch_size = 4
  config.input.workers = 1
  base_config.set_network(config, arg.model, width=arg.width)

  config.lr = 2e-3
  config.wd = 0.05
  config.ema_decay = 0.999
  config.evals.val.pp = "label_map|resize_image(240, 320)"
  config.evals.val.log_steps = 1500

  if arg.quick:
    config.total_steps = config.evals.val.log_steps = 1150
    config.ema_decay = 0.99

  if has_test:
    config.evals = {"val": config.evals.val, "test": base_config.test_evaluation(config.evals.val)}
  return config
