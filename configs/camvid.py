r"""U-Net on CamVid: 367 street photographs to train on, 101 to validate, 233 to test; 11 classes.

    python main.py --config=configs/camvid.py:data=DIR

DIR is the folder `CamVid` of the SegNet authors' tutorial: images in `train`, `val` and `test`,
masks in `trainannot`, `valannot` and `testannot`. Without `test`, only `val` is evaluated. Their
lists `train.txt` and so on hold paths of another machine and are not read.

Arguments after the colon:

    data=CamVid    The folder.
    res=192x256    Height and width of the training crops.
    model=unet     The network, see docs/networks.md.
    width=16       Channels at its first level.
"""

import pathlib

from flax_unet import base_config, config_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(arg, data="CamVid", res="192x256", model="unet", width=16)
  config = base_config.get_config()
  has_test = (pathlib.Path(arg.data).expanduser() / "test").is_dir()

  config.label_space = "camvid_11"
  config.total_steps = 7000
  config.input.data = base_config.folder_data("", "")
  config.input.data.data_dir = arg.data
  config.input.data.folders = {
    "train": "train:trainannot",
    "validation": "val:valannot",
    "test": "test:testannot" if has_test else "",
  }
  size = arg.res.replace("x", ", ")
  config.input.pp = f"label_map|random_scale(0.75, 1.5)|random_crop({size})|flip_lr|photometric"
  config.input.batch_size = 8
  config.input.workers = 1
  base_config.set_network(config, arg.model, width=arg.width)
  config.evals.val.pp = "label_map|pad_to_multiple(16)"
  if has_test:
    config.evals = {"val": config.evals.val, "test": base_config.test_evaluation(config.evals.val)}
  return config
