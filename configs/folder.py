r"""One's own pictures: a folder of images and a folder of masks, without a line of code.

    python main.py --config=configs/folder.py:images=DIR,labels=DIR,num_classes=3
    python main.py --config=configs/folder.py:images=DIR,labels=DIR,classes=FILE.csv

An image and its mask have the same name but for the suffix: `images/day/7.jpg`, `labels/day/7.png`.
Masks are PNGs of class indices (0 to `num_classes - 1`, and 255 for pixels to ignore), or of the
colours in a classes file:

    name,r,g,b
    background,0,0,0
    cell,255,128,0

Its columns `id` and `ignored`, for masks with other numbers, are told in
`flax_unet/data/classes_file.py`. Pictures may be of different sizes: training cuts out crops, and
evaluation scores every picture as a whole. All files are checked before the training begins.

Arguments after the colon:

    images=DIR          The images.
    labels=DIR          The masks.
    num_classes=3       The number of classes; their names are their indices. Or:
    classes=FILE.csv    Names and colours of the classes.
    suffix=_mask        What masks have at the end of their names: 7.jpg and 7_mask.png.
    train_list=FILE     The ids of the training pictures, one a line (`day/7`), and
    val_list=FILE       those for validation. Without lists, a share is drawn for it:
    val_share=0.2       how much.
    res=256x256         Height and width of the training crops; multiples of 16.
    width=32            Channels of the first level.
"""

from ml_collections.config_dict import placeholder

from configs import street_scenes
from configs.common import parse_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = parse_arg(
    arg,
    images="",
    labels="",
    num_classes=0,
    classes="",
    suffix="",
    train_list="",
    val_list="",
    val_share=0.2,
    res="256x256",
    width=32,
  )
  if not arg.images or not arg.labels or bool(arg.classes) == bool(arg.num_classes):
    raise ValueError("needs images=DIR,labels=DIR, and either num_classes=N or classes=FILE.csv")
  config = street_scenes.get_config(f"width={arg.width}")

  config.label_space = arg.classes or f"{arg.num_classes}_classes"
  config.total_steps = placeholder(int)
  config.total_epochs = 100
  config.input.data = {
    "name": "folder",
    "split": "train",
    "data_dir": placeholder(str),  # where the paths below start; None: the current folder
    "images": arg.images,
    "labels": arg.labels,
    "label_suffix": arg.suffix,
    "lists": {"train": arg.train_list, "validation": arg.val_list},
    "validation_share": arg.val_share,  # where there are no lists
    "validation_seed": 0,  # the draw depends on it and on the pictures' names only
  }
  config.input.pp = (
    f"label_map|random_scale(0.5, 2.0)|random_crop({arg.res.replace('x', ', ')})"
    "|flip_lr|photometric"
  )
  config.input.batch_size = 8
  config.class_weights = None
  config.evals.val.batch_size = 8
  config.evals.val.pp = "label_map|pad_to_multiple(128)"  # few shapes, so few compilations
  config.evals.val.log_steps = 500
  config.ckpt_steps = 500
  return config
