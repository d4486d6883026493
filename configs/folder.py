r"""One's own pictures: a folder of images and a folder of masks, without a line of code.

    python main.py --config=configs/folder.py:images=DIR,labels=DIR,num_classes=3
    python main.py --config=configs/folder.py:images=DIR,labels=DIR,classes=FILE.csv

An image and its mask have the same name but for the ending: `images/day/7.jpg`, `labels/day/7.png`.
Images are JPEG, PNG, TIFF, BMP or WebP with 8 bits a channel, gray or RGB. Masks are PNG, TIFF or
BMP of class indices (0 to `num_classes - 1`, and 255 for pixels to ignore), or of the colours in a
classes file:

    name,r,g,b
    background,0,0,0
    cell,255,128,0

Its columns `id` and `ignored`, for masks with other numbers, are told in
`flax_unet/data/classes_file.py`. Pictures may be of different sizes: training cuts out crops, and
evaluation scores every picture as a whole. All files are checked before the training begins.

Arguments after the colon:

    images=DIR          The images.
    labels=DIR          The masks.
    num_classes=3       The number of classes; their names are their indices.
    ignore=11           A value of the masks that is ignored, as 255 is, and is no class. Or:
    classes=FILE.csv    Names and colours of the classes.
    suffix=_mask        What masks have at the end of their names: 7.jpg and 7_mask.png.
    image_suffix=_sat   The same for images: 7_sat.jpg. Either may hold the ending, as _sat.jpg, and
                        then images and masks may lie in one folder.
    train_list=FILE     The training pictures, one a line: the id (`day/7`), the path of the image,
                        or the paths of image and mask.
    val_list=FILE       Those for validation, and
    test_list=FILE      those that are scored once, at the end.
    train_dir=train     Instead of lists, the folder of each split: `images/train/7.jpg` and
    val_dir=val         `labels/train/7.png`, or `train/images/7.jpg` and `train/labels/7.png`.
    test_dir=test       Where masks lie elsewhere, train_dir=train:trainannot names both.
    val_share=0.2       Without lists and folders, the share that is drawn for validation.
    res=256x256         Height and width of the training crops; multiples of 16.
    width=32            Channels of the first level.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs.common import parse_arg
from flax_unet import errors


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = parse_arg(
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
    res="256x256",
    width=32,
  )
  if not arg.images or not arg.labels or bool(arg.classes) == bool(arg.num_classes):
    raise errors.UserError(
      "configs/folder.py needs images=DIR,labels=DIR and either num_classes=N or classes=FILE.csv, "
      "for example --config=configs/folder.py:images=photos,labels=masks,num_classes=3"
    )
  if arg.ignore and not (arg.ignore.isdecimal() and arg.num_classes):
    raise errors.UserError(
      f"configs/folder.py, ignore={arg.ignore}: give a number from 0 to 255, with num_classes=N; "
      "in a classes file, the column 'ignored' says so"
    )
  if any((arg.train_dir, arg.val_dir, arg.test_dir)) and not (arg.train_dir and arg.val_dir):
    raise errors.UserError("configs/folder.py: give train_dir=DIR and val_dir=DIR, or neither")
  config = ml_collections.ConfigDict()

  config.seed = 0
  config.deterministic = False  # True: on GPUs, the same bits in every run, at some cost in speed
  config.label_space = arg.classes or f"{arg.num_classes}_classes" + f"_ignore_{arg.ignore}" * bool(
    arg.ignore
  )
  config.total_steps = placeholder(int)  # either this or total_epochs
  config.total_epochs = 100

  config.input = {
    "data": {
      "name": "folder",
      "split": "train",
      "data_dir": placeholder(str),  # where the paths below start; None: the current folder
      "images": arg.images,
      "labels": arg.labels,
      "image_suffix": arg.image_suffix,
      "label_suffix": arg.suffix,
      "lists": {"train": arg.train_list, "validation": arg.val_list, "test": arg.test_list},
      "folders": {"train": arg.train_dir, "validation": arg.val_dir, "test": arg.test_dir},
      "validation_share": arg.val_share,  # where there are neither lists nor folders
      "validation_seed": 0,  # the draw depends on it and on the pictures' names only
    },
    "pp": (
      f"label_map|random_scale(0.5, 2.0)|random_crop({arg.res.replace('x', ', ')})"
      "|flip_lr|photometric"
    ),
    "batch_size": 8,  # over all devices
    "on_bad_example": "raise",  # or "skip": the next one takes its place
    "cache": "none",  # or "disk": keep decoded pictures, which takes room but no time to decode
    "cache_dir": placeholder(str),  # where to keep them; None: ~/.cache/flax_unet_decoded
    "workers": 4,  # processes that prepare batches; 0: threads of this one
    "timeout": 300,  # seconds after which a batch that does not come ends the run
    "prefetch": 2,  # batches prepared ahead (by each worker)
    "prefetch_to_device": 1,  # batches sent to the devices ahead
  }

  config.model_name = "unet"
  config.model = {
    "width": arg.width,
    "depth": 4,
    "norm": "batch",
    "padding": "same",
    "upsample": "transpose",
    "dropout": 0.0,
    "dtype": "float32",  # or bfloat16; parameters are float32 in any case
    "conv": "auto",  # on CPUs our own convolutions, which are faster; or "xla"
    "remat": False,  # True: less memory, about a third more computation
  }
  config.init_from = ""  # weights to start with: a run, a checkpoint of one, .pth, .safetensors

  config.loss = "cross_entropy_dice"  # or dice, focal(gamma=2.0), tversky, .., a + 0.5 * b
  config.class_weights = placeholder(tuple)  # one a class; None: all 1

  config.optax_name = "adamw"
  config.optax = {"b1": 0.9, "b2": 0.999}
  config.lr = 1e-3
  config.wd = 1e-4
  config.wd_on = "kernels"  # or "all": biases and normalisations too
  config.lr_mult = ()  # by parameter, the first that matches, such as (("encoder_.*", 0.1),)
  config.grad_clip_norm = 1.0
  config.schedule = {
    "decay_type": "cosine",  # or constant, cosine, cosine_restarts, steps, one_cycle, ..
    "warmup_steps": 50,
    "power": 0.9,  # of a polynomial decay
    "end_lr": 0.0,
  }
  config.accumulate_steps = 1  # parts of a batch worked on one after the other, to save memory
  config.skip_nonfinite = 0  # steps in a row that may be skipped for a loss that is not finite
  config.ema_decay = placeholder(float)  # for example 0.999; None: no moving average

  config.evals = {
    "val": {
      "split": "validation",
      "pp": "label_map|pad_to_multiple(128)",  # few shapes, so few compilations
      "batch_size": 8,
      "log_steps": 500,
      "num_pictures": 6,  # in the report and TensorBoard
      "inference": {
        "mode": "whole",  # or "tiles": windows that overlap, for pictures of any size
        "tile": (512, 512),  # height and width of a window
        "overlap": 128,  # pixels that neighbouring windows share
        "scales": (1.0,),  # probabilities are averaged over these, for example (0.75, 1.0, 1.25)
        "flip": False,  # whether to average over the mirrored picture too
      },
    },
  }

  if arg.test_list or arg.test_dir:
    config.evals.test = config.evals.val.copy_and_resolve_references()
    config.evals.test.split = "test"
    config.evals.test.log_steps = 1_000_000  # at the end only

  config.log_training_steps = 50
  config.ckpt_steps = 500
  config.profile_steps = 0  # so many soon after the start, for TensorBoard
  return config
