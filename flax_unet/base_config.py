"""Defines every setting and its default: the starting point of all configurations.

A configuration starts from these defaults and changes some of them:

    from flax_unet import base_config

    def get_config(arg=None):
      config = base_config.get_config()
      config.lr = 3e-3
      return config

The defaults suit small custom data sets. The configuration is locked, so a setting that does
not exist is an error, here and on the command line. Groups whose settings depend on a name
(`input.data`, `model`, `optax`, `evals`) can be replaced as a whole.
`python -m flax_unet.tools.show_config --config=FILE` shows what a configuration changes.
"""

from typing import Any

import ml_collections
from ml_collections.config_dict import placeholder

from flax_unet.models import registry


def get_config() -> ml_collections.ConfigDict:
  """Returns the defaults, locked."""
  config = ml_collections.ConfigDict()

  # The run
  config.seed = 0  # for the initial weights, the order of the examples, augmentation and dropout
  config.deterministic = False  # True: GPU runs are bit-for-bit reproducible, but slower
  config.label_space = ""  # the classes: a name, N_classes, or a classes file
  config.total_steps = placeholder(int)  # either this or total_epochs
  config.total_epochs = placeholder(int)  # of the main data set

  # Training data
  config.input = {
    "data": {
      "name": "",  # of a TFDS data set, "folder", or package.module.Dataset
      "split": "train",  # the split to train on
      "data_dir": placeholder(str),  # folder of prepared data; None: ~/tensorflow_datasets
      "manual_dir": placeholder(str),  # folder of archives; None: downloads/manual in data_dir
    },
    "extra_data": {},  # additional data sets by name, each with a share of the batch
    # Preprocessing ops, joined by a bar, see docs/reference/ops.md.
    "pp": "label_map|random_scale(0.5, 2.0)|random_crop(256, 256)|flip_lr|photometric",
    "batch_size": 8,  # over all devices
    "on_bad_example": "raise",  # or "skip": use the next example instead
    "cache": "none",  # or "disk": keep decoded images, which takes space but saves decoding
    "cache_dir": placeholder(str),  # where to keep them; None: ~/.cache/flax_unet_decoded
    "workers": 4,  # processes that prepare batches; 0: use threads instead
    "timeout": 300,  # seconds to wait for a batch before the run fails
    "prefetch": 2,  # batches prepared ahead (by each worker)
    "prefetch_to_device": 1,  # batches sent to the devices ahead
  }

  # Planning: settings that the program chooses from the data before the run begins, see
  # docs/reference/planning.md; they are stored in the run's config.json. Settings on the command
  # line take precedence over rules; a configuration that sets one of them leaves its rule out.
  config.plan = {
    "rules": (),  # such as ("crop", "batch")
    "memory_gib": placeholder(float),  # of each device; None: 90 % of what it has
    "hours": placeholder(float),  # of training, for the rule "length"; None: by epochs
  }

  # Format of the images
  config.images = {
    "channels": 3,  # 1 to 32
    "dtype": "uint8",  # of the values in files; or uint16, or float32 for numbers of any type
    "range": (),  # the lowest and highest value, such as (0, 4095); (): all that the type holds
    "view": (),  # channels to show as red, green, blue, such as (3, 2, 1); (): the first three
    "extra_channels": 0,  # extra channels from separate files, input.data.extra
    "extra_dtype": "uint8",  # of these, as above
    "extra_range": (),  # of these, as above
  }

  # Network: `model` holds the attributes of the network that `model_name` names; those below are
  # the U-Net's.
  config.model_name = "unet"  # of docs/reference/networks.md, or package.module.Network
  config.model = {
    "width": 32,  # channels of the first level
    "depth": 4,  # number of times the resolution is halved
    "norm": "batch",  # or group, none
    "padding": "same",  # or valid: unpadded convolutions, as in the original U-Net
    "upsample": "transpose",  # or bilinear, bilinear_conv, bilinear_aligned
    "dropout": 0.0,  # rate at the end of the contracting path
    "dtype": "float32",  # or bfloat16; parameters are float32 in any case
    "conv": "auto",  # our faster convolutions on CPUs; or "xla"
    "remat": False,  # True: less memory, but about a third more computation
    # Of each image channel, on a scale of 0 to 1: ImageNet's; (): computed on the training images.
    "mean": (0.485, 0.456, 0.406),
    "stddev": (0.229, 0.224, 0.225),
  }
  config.init_from = ""  # weights to start from: a run, a checkpoint, .pth or .safetensors

  # Loss
  config.loss = "cross_entropy_dice"  # or dice, focal(gamma=2.0), tversky, .., a + 0.5 * b
  # One per class, or a rule: median_frequency, effective_number, enet; None: all 1.
  config.class_weights = placeholder(object)

  # Optimizer and schedule
  config.optax_name = "adamw"  # any optimizer of optax, or package.module.function
  config.optax = {"b1": 0.9, "b2": 0.999}  # its arguments
  config.lr = 1e-3  # the highest learning rate
  config.wd = 1e-4  # weight decay
  config.wd_on = "kernels"  # or "all": biases and normalisations too
  config.lr_mult = ()  # by parameter; the first match applies, such as (("encoder_.*", 0.1),)
  config.grad_clip_norm = 1.0  # None: no clipping
  config.schedule = {
    "decay_type": "cosine",  # or constant, polynomial, cosine_restarts, steps, one_cycle
    "warmup_steps": 50,  # length of the linear warm-up from 0
    "power": 0.9,  # of a polynomial decay
    "end_lr": 0.0,  # learning rate at the end of the run
  }
  config.accumulate_steps = 1  # process each batch in this many parts, one by one, to save memory
  config.skip_nonfinite = 0  # consecutive steps that may be skipped if the loss is not finite
  config.ema_decay = placeholder(float)  # decay of the average to evaluate, such as 0.999

  # Evaluations
  config.evals = {"val": evaluation()}  # by name, each with the settings of `evaluation`
  config.best = "val/mean_iou"  # the score that selects the best checkpoint
  config.early_stopping = 0  # stop after this many evaluations without improvement of `best`

  # Logging and checkpoints
  config.log_training_steps = 50  # steps between logs of the training loss
  config.ckpt_steps = 500  # steps between checkpoints; a resumed run starts from the last one
  config.profile_steps = 0  # number of steps to profile for TensorBoard, soon after the start
  config.lock()
  config.input.extra_data.unlock()
  config.evals.unlock()  # further evaluations may be added: config.evals.test = evaluation("test")
  config.evals.val.lock()
  return config


def add_data(
  config: ml_collections.ConfigDict, name: str, data: ml_collections.ConfigDict, share: float
) -> None:
  """Adds a data set to train on in addition to `config.input.data`.

  Args:
    config: the configuration to change.
    name: the name of the data set in messages.
    data: like `config.input.data`.
    share: of each batch that comes from it; the main data set gets the rest.

  Raises:
    ValueError: there is a data set of that name already.
  """
  if name in config.input.extra_data:
    raise ValueError(f"config.input.extra_data.{name} exists already: choose another name")
  config.input.extra_data[name] = {**data.copy_and_resolve_references(), "share": share}


def set_network(config: ml_collections.ConfigDict, name: str, **attributes: Any) -> None:
  """Sets `config.model_name` and `config.model`: a network with its defaults.

  Args:
    config: the configuration to change.
    name: of the network, as in docs/reference/networks.md.
    **attributes: those of its attributes that differ from the defaults.
  """
  config.model_name = name
  config.model = {**registry.attributes(name), **attributes}


def set_images(config: ml_collections.ConfigDict, **images: Any) -> None:
  """Sets `config.images`; unless 8-bit RGB, mean and standard deviation come from the data.

  Args:
    config: the configuration to change.
    **images: those settings of `config.images` that differ from the defaults.
  """
  config.images.update(images)
  usual = {"channels": 3, "dtype": "uint8", "range": (), "extra_channels": 0}
  if any(config.images[key] != value for key, value in usual.items()):
    config.model.mean = config.model.stddev = ()


def evaluation(split: str = "validation") -> ml_collections.ConfigDict:
  """Returns the defaults of an evaluation, `config.evals.<name>`.

  Args:
    split: the split of the data set to evaluate.
  """
  config = ml_collections.ConfigDict()
  config.type = "segmentation"  # or boundary, or package.module.Evaluator
  config.split = split  # of the data set
  config.pp = "label_map|pad_to_multiple(128)"  # few image shapes, so few compilations
  config.batch_size = 8  # over all devices
  config.log_steps = 500  # steps between evaluations; there is also one at the end
  config.num_pictures = 6  # in the report and TensorBoard
  config.inference = {
    "mode": "whole",  # or "tiles": overlapping windows, for images of any size
    "tile": (512, 512),  # height and width of a window
    "overlap": 128,  # pixels that neighbouring windows share
    "scales": (1.0,),  # average probabilities over scales, for example (0.75, 1.0, 1.25)
    "flip": False,  # average over the mirrored image too
  }
  return config


def test_evaluation(val: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Returns a copy of an evaluation for the split "test" that runs only at the end."""
  config = val.copy_and_resolve_references()
  config.split = "test"
  config.log_steps = 1_000_000
  return config


def folder_data(images: str, labels: str) -> ml_collections.ConfigDict:
  """Returns the defaults of `config.input.data` for folders of images and masks.

  Args:
    images: folder of the images.
    labels: folder of the masks.
  """
  config = ml_collections.ConfigDict()
  config.name = "folder"  # not a TFDS data set
  config.split = "train"  # the split to train on
  config.data_dir = placeholder(str)  # the paths below are relative to it; None: the current folder
  config.images = images  # folder of the images
  config.labels = labels  # folder of the masks
  config.extra = ""  # folder of files with extra channels, such as depth, named like the images
  config.extra_suffix = ""  # what their names end with
  config.image_suffix = ""  # what image names end with; may include the extension: _sat.jpg
  config.label_suffix = ""  # the same for masks
  config.lists = {"train": "", "validation": "", "test": ""}  # files, one image per line
  config.folders = {"train": "", "validation": "", "test": ""}  # or a folder per split
  config.validation_share = 0.2  # if there are neither lists nor folders
  config.fold = ""  # or, for cross-validation, "2/5": the second of five folds validates
  config.validation_seed = 0  # the draw depends only on it and on the image names
  return config
