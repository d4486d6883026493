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
    suffix="",
    train_list="",
    val_list="",
    val_share=0.2,
    res="256x256",
    width=32,
  )
  if not arg.images or not arg.labels or bool(arg.classes) == bool(arg.num_classes):
    raise errors.UserError(
      "configs/folder.py needs images=DIR,labels=DIR and either num_classes=N or classes=FILE.csv, "
      "for example --config=configs/folder.py:images=photos,labels=masks,num_classes=3"
    )
  config = ml_collections.ConfigDict()

  config.seed = 0
  config.deterministic = False  # True: on GPUs, the same bits in every run, at some cost in speed
  config.label_space = arg.classes or f"{arg.num_classes}_classes"
  config.total_steps = placeholder(int)  # either this or total_epochs
  config.total_epochs = 100

  config.input = {
    "data": {
      "name": "folder",
      "split": "train",
      "data_dir": placeholder(str),  # where the paths below start; None: the current folder
      "images": arg.images,
      "labels": arg.labels,
      "label_suffix": arg.suffix,
      "lists": {"train": arg.train_list, "validation": arg.val_list},
      "validation_share": arg.val_share,  # where there are no lists
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
    "remat": False,  # True: less memory, about a third more computation
  }
  config.init_from = ""  # weights to start with: a run, a checkpoint of one, .pth, .safetensors

  config.loss = "cross_entropy_dice"  # or cross_entropy, dice
  config.class_weights = placeholder(tuple)  # one a class; None: all 1

  config.optax_name = "adamw"
  config.optax = {"b1": 0.9, "b2": 0.999}
  config.lr = 1e-3
  config.wd = 1e-4  # not on biases and norms
  config.grad_clip_norm = 1.0
  config.schedule = {
    "decay_type": "cosine",
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

  config.log_training_steps = 50
  config.ckpt_steps = 500
  config.profile_steps = 0  # so many soon after the start, for TensorBoard
  return config
