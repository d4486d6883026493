"""Street scenes that the program draws itself: the whole job in minutes, without any download.

    python main.py --config=configs/street_scenes.py

The scenes have the classes and label ids of Cityscapes, so everything behind the data is the same
code. Needs nothing.

Arguments after the colon: `runlocal` (a few steps, for debugging), `res=256x512`, `width=32`.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs.common import parse_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = parse_arg(arg, runlocal=False, res="128x256", width=16)
  config = ml_collections.ConfigDict()

  config.seed = 0
  config.deterministic = False  # True: on GPUs, the same bits in every run, at some cost in speed
  config.label_space = "cityscapes_19"
  config.total_steps = 1500
  config.total_epochs = placeholder(int)  # either this or total_steps

  config.input = {
    "data": {
      "name": f"street_scenes/{arg.res}",
      "split": "train",
      "data_dir": placeholder(str),  # where prepared data lies; None: ~/tensorflow_datasets
      "manual_dir": placeholder(str),
    },
    "pp": "label_map|flip_lr",
    "batch_size": 2,  # over all devices; many small steps learn more in five minutes than few large
    "on_bad_example": "raise",  # or "skip": the next one takes its place
    "cache": "none",  # or "disk": keep decoded pictures, which takes room but no time to decode
    "cache_dir": placeholder(str),  # where to keep them; None: ~/.cache/flax_unet_decoded
    "workers": 0,  # processes that prepare batches; 0: threads of this one
    "timeout": 300,  # seconds after which a batch that does not come ends the run
    "prefetch": 4,  # batches prepared ahead (by each worker)
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
    "dtype": "float32",
    "conv": "auto",  # on CPUs our own convolutions, which are faster; or "xla"
    "remat": False,
  }
  config.init_from = ""  # weights to start with: a run, a checkpoint of one, .pth, .safetensors

  config.loss = "cross_entropy_dice"  # or dice, focal(gamma=2.0), tversky, .., a + 0.5 * b
  # One a class: (1 / log(1.02 + share)) ** 0.5, after ENet (Paszke et al. 2016) but milder. Rare
  # classes would otherwise need more steps than a few minutes have. (): all 1.
  config.class_weights = (
    *(0.60, 1.23, 0.77, 1.89, 1.86),  # road, sidewalk, building, wall, fence
    *(1.62, 2.20, 1.92, 0.79, 1.74),  # pole, traffic light, traffic sign, vegetation, terrain
    *(1.15, 1.89, 2.17, 1.01, 1.92),  # sky, person, rider, car, truck
    *(2.18, 2.05, 2.11, 2.03),  # bus, train, motorcycle, bicycle
  )

  config.optax_name = "adamw"
  config.optax = {"b1": 0.9, "b2": 0.99}  # 0.999 would remember the first steps up to the last
  config.lr = 3e-3
  config.wd = 1e-4
  config.grad_clip_norm = 1.0
  config.schedule = {
    "decay_type": "polynomial",  # or constant, cosine, cosine_restarts, steps, one_cycle, ..
    "warmup_steps": 50,
    "power": 1.0,  # linear, which learns more than a cosine in so few steps
    "end_lr": 0.0,
  }
  config.accumulate_steps = 1  # parts of a batch worked on one after the other, to save memory
  config.skip_nonfinite = 0  # steps in a row that may be skipped for a loss that is not finite
  config.ema_decay = placeholder(float)  # for example 0.999; None: no moving average

  config.evals = {
    "val": {
      "split": "validation",
      "pp": "label_map",
      "batch_size": 4,
      "log_steps": 500,
      "num_pictures": 6,  # in the report and TensorBoard
      "inference": {
        "mode": "whole",  # or "tiles": windows that overlap, for pictures of any size
        "tile": (512, 1024),  # height and width of a window
        "overlap": 128,  # pixels that neighbouring windows share
        "scales": (1.0,),  # probabilities are averaged over these, for example (0.75, 1.0, 1.25)
        "flip": False,  # whether to average over the mirrored picture too
      },
    },
  }

  config.log_training_steps = 50
  config.ckpt_steps = 200
  config.profile_steps = 0  # so many soon after the start, for TensorBoard

  if arg.runlocal:
    config.total_steps = 10
    config.schedule.warmup_steps = 2
    config.input.data.name = "street_scenes/tiny"
    config.input.pp = "label_map|random_crop(64, 128)|flip_lr"
    config.evals.val.batch_size = 2
    config.model.width = 8
    config.log_training_steps = 2
  return config
