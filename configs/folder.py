r"""Your own images: a folder of images and a folder of masks, without writing any code.

    python main.py --config=configs/folder.py:images=DIR,labels=DIR,num_classes=3
    python main.py --config=configs/folder.py:images=DIR,labels=DIR,classes=FILE.csv

An image and its mask have the same name except for the extension: `images/day/7.jpg`,
`labels/day/7.png`. Images are JPEG, PNG, TIFF, BMP or WebP with 8 bits per channel, grayscale or
RGB; or, with `channels` and `dtype`, any images with 1 to 32 channels, including TIFF and NPY files
with 16-bit or floating-point values. Masks are PNG, TIFF or BMP files with class indices (0 to
`num_classes - 1`, and 255 for pixels to ignore), or with the colours of a classes file:

    name,r,g,b
    background,0,0,0
    cell,255,128,0

For masks with other numbers, this file has the optional columns `id` and `ignored`, see
docs/reference/label_spaces.md. Images may have different sizes: training uses crops, and evaluation
scores each whole image. All files are checked before training starts.

Arguments after the colon:

    images=DIR          The images.
    labels=DIR          The masks.
    num_classes=3       The number of classes; their names are their indices.
    ignore=11           A mask value to ignore, like 255, rather than a class. Or:
    classes=FILE.csv    Names and colours of the classes.
    suffix=_mask        Suffix of the mask names: 7.jpg and 7_mask.png.
    image_suffix=_sat   The same for images: 7_sat.jpg. Either may include the extension, as in
                        _sat.jpg; images and masks can then share a folder.
    train_list=FILE     The training images, one per line: the id (`day/7`), the path of the image,
                        or the paths of image and mask.
    val_list=FILE       The validation images.
    test_list=FILE      The test images, scored once, at the end.
    train_dir=train     Instead of lists, one folder per split: `images/train/7.jpg` and
    val_dir=val         `labels/train/7.png`, or `train/images/7.jpg` and `train/labels/7.png`.
    test_dir=test       If masks are elsewhere, train_dir=train:trainannot names both.
    val_share=0.2       Without lists and folders, the share drawn for validation.
    touching=True       Gives more weight to the gaps between touching objects, such as cells (the
                        border weights of the original U-Net); class 0 is the background.
    channels=4          Channels of each image, 1 to 32; 3 is RGB.
    dtype=uint16        Type of their values: uint8, uint16, or float32 for numbers of any type.
    range=0..4095       The lowest and highest value, if not the full range of the type.
    view=3/2/1          Channels that reports show as red, green and blue, counted from 0.
    extra=DIR           Files with extra channels, such as depth, named like the images.
    extra_channels=1    Their number; `extra_dtype` and `extra_range` are as above, `extra_suffix`
                        is the suffix of these files' names.
    model=ma_unet       The network, see docs/networks.md.
    hours=1             How long to train; without it, about 100 epochs.
    memory_gib=8        Memory that a run may use on each device; without it, 90 % of its memory.

The rest is planned from the data and the machine before training starts: resolution and size of
the crops, depth and width of the network, batch, sampling, class weights, inference and the number
of steps. A table shows each choice with its reason (`inspect_data` shows it without training), and
the run's config.json holds the result. docs/reference/planning.md explains the rules. Settings that
you give are kept:

    res=256x256         Height and width of the training crops, at the images' full resolution.
    width=32            Channels at the network's first level.

and so are settings such as --config.input.batch_size=16 or --config.total_steps=5000. The learning
rate and weight decay are those that worked best on CamVid, see docs/results.md.
"""

import re

from flax_unet import base_config, config_arg, errors
from flax_unet.planning import rules


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(
    arg,
    images="",
    labels="",
    num_classes=0,
    classes="",
    ignore="",
    suffix="",
    image_suffix="",
    train_list="",
    val_list="",
    test_list="",
    train_dir="",
    val_dir="",
    test_dir="",
    val_share=0.2,
    touching=False,
    channels=3,
    dtype="uint8",
    range="",
    view="",
    extra="",
    extra_suffix="",
    extra_channels=1,
    extra_dtype="uint8",
    extra_range="",
    model="ma_unet",
    hours=0.0,
    memory_gib=0.0,
    res="",
    width=0,
  )
  if not arg.images or not arg.labels or bool(arg.classes) == bool(arg.num_classes):
    raise errors.UserError(
      "configs/folder.py needs images=DIR,labels=DIR and either num_classes=N or classes=FILE.csv, "
      "for example --config=configs/folder.py:images=photos,labels=masks,num_classes=3"
    )
  if arg.ignore and not (arg.ignore.isdecimal() and arg.num_classes):
    raise errors.UserError(
      f"configs/folder.py, ignore={arg.ignore}: give a number from 0 to 255, with num_classes=N; "
      "in a classes file, use the column 'ignored' instead"
    )
  if any((arg.train_dir, arg.val_dir, arg.test_dir)) and not (arg.train_dir and arg.val_dir):
    raise errors.UserError("configs/folder.py: give train_dir=DIR and val_dir=DIR, or neither")
  if arg.res and not re.fullmatch(r"\d+x\d+", arg.res):
    raise errors.UserError(
      f"configs/folder.py, res={arg.res}: give HEIGHTxWIDTH in pixels, such as res=256x256"
    )
  if not arg.extra and (arg.extra_suffix or arg.extra_range or arg.extra_dtype != "uint8"):
    raise errors.UserError(
      "configs/folder.py: extra_suffix, extra_dtype and extra_range need extra=DIR"
    )
  config = base_config.get_config()

  ignored = f"_ignore_{arg.ignore}" if arg.ignore else ""
  config.label_space = arg.classes or f"{arg.num_classes}_classes{ignored}"
  config.total_epochs = 100
  config.lr = 2e-3
  config.wd = 0.05
  config.input.data = base_config.folder_data(arg.images, arg.labels)
  config.input.data.image_suffix = arg.image_suffix
  config.input.data.label_suffix = arg.suffix
  config.input.data.extra = arg.extra
  config.input.data.extra_suffix = arg.extra_suffix
  config.input.data.lists = {
    "train": arg.train_list,
    "validation": arg.val_list,
    "test": arg.test_list,
  }
  config.input.data.folders = {
    "train": arg.train_dir,
    "validation": arg.val_dir,
    "test": arg.test_dir,
  }
  config.input.data.validation_share = arg.val_share
  is_color = arg.channels == 3 and arg.dtype != "float32"
  config.input.pp = (
    f"label_map{'|border_weights' * arg.touching}|random_scale(0.5, 2.0)"
    f"|random_crop({(arg.res or '256x256').replace('x', ', ')})"
    f"|flip_lr|{'photometric' if is_color else 'intensity'}"
  )
  base_config.set_network(config, arg.model, **({"width": arg.width} if arg.width else {}))
  given = {"resolution", "crop"} if arg.res else set()
  given |= {"width"} if arg.width else set()
  config.plan.rules = tuple(name for name in rules.RULES if name not in given)
  config.plan.hours = arg.hours or None
  config.plan.memory_gib = arg.memory_gib or None
  base_config.set_images(
    config,
    channels=arg.channels,
    dtype=arg.dtype,
    range=_numbers("range", arg.range, "..", float),
    view=_numbers("view", arg.view, "/", int),
    extra_channels=arg.extra_channels if arg.extra else 0,
    extra_dtype=arg.extra_dtype,
    extra_range=_numbers("extra_range", arg.extra_range, "..", float),
  )
  if arg.test_list or arg.test_dir:
    config.evals = {"val": config.evals.val, "test": base_config.test_evaluation(config.evals.val)}
  return config


def _numbers(name, text, separator, kind):
  """Splits an argument into numbers."""
  try:
    return tuple(map(kind, text.split(separator))) if text else ()
  except ValueError:
    example = "3/2/1" if name == "view" else "0..4095"
    raise errors.UserError(
      f"configs/folder.py, {name}={text}: give numbers, such as {name}={example}"
    ) from None
