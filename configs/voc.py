r"""U-Net on PASCAL VOC 2012: 20 classes and background; object borders are ignored.

    python main.py --config=configs/voc.py --config.input.data.data_dir=DIR

DIR is the folder `VOCdevkit/VOC2012` of the official archive VOCtrainval_11-May-2012.tar: images
in `JPEGImages`, palette PNGs in `SegmentationClass`, lists in `ImageSets/Segmentation` (1,464
images for training, 1,449 for validation). Not run here in full: neither the data nor an
accelerator was available.

Arguments after the colon:

    aug            The 10,582 training images of Hariharan et al. (2011) that most papers use:
                   masks in `SegmentationClassAug`, list in `train_aug.txt`.
    res=512x512    Height and width of the training crops. No image is larger than 500 x 500.
    mmseg, fcn8s, segnet, ma_unet, resnet34
                   A published recipe, see flax_unet/recipes.py.
    model=unet     The network, see docs/networks.md.
    width=64       Channels at its first level.
"""

from flax_unet import base_config, config_arg, recipes


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(arg, aug=False, **recipes.SWITCHES, res="512x512", model="unet", width=64)
  config = base_config.get_config()

  config.label_space = "voc_21"
  config.total_steps = 40_000
  config.input.data = base_config.folder_data(
    "JPEGImages", "SegmentationClassAug" if arg.aug else "SegmentationClass"
  )
  config.input.data.data_dir = "VOCdevkit/VOC2012"
  lists = "ImageSets/Segmentation"
  config.input.data.lists.train = f"{lists}/{'train_aug' if arg.aug else 'train'}.txt"
  config.input.data.lists.validation = f"{lists}/val.txt"
  config.input.pp = config.input.pp.replace("256, 256", arg.res.replace("x", ", "))
  config.input.batch_size = 16
  config.input.workers = 8
  base_config.set_network(config, arg.model, width=arg.width)
  config.evals.val.log_steps = 4000
  config.ckpt_steps = 1000
  recipes.apply(config, arg)
  return config
