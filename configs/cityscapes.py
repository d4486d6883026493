r"""U-Net on Cityscapes.

    python main.py --config=configs/cityscapes.py --config.input.data.manual_dir=DIR

DIR holds the official archives leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip; they are
prepared on first use (about 12 GB in `data_dir`).

The default follows mmsegmentation's `unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024`, which reaches
69.10 % mean IoU (71.05 % with several scales and flips). It differs in that it has transposed
convolutions for upsampling and no auxiliary head, and keeps a moving average of the parameters. The
batch of 16 crops takes 8 devices with 16 GB each. Not run here in full: no accelerator was at hand.

Arguments after the colon:

    paper          The report "Image Segmentation using U-Net Model": 10 epochs on whole pictures,
                   no normalisation. What the report does not say is marked as assumed below.
    runlocal       A few steps of a tiny network, for debugging.
    res=256x512    Height and width of the training crops (with `paper`: of the whole pictures).
    width=32       Channels of the first level.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs.common import parse_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = parse_arg(arg, paper=False, runlocal=False, res="512x1024", width=64)
  size = arg.res.replace("x", ", ")
  config = ml_collections.ConfigDict()

  config.seed = 0
  config.deterministic = False  # True: on GPUs, the same bits in every run, at some cost in speed
  config.label_space = "cityscapes_19"  # or cityscapes_categories, cityscapes_30
  config.total_steps = 160_000
  config.total_epochs = placeholder(int)  # either this or total_steps

  config.input = {
    "data": {
      "name": "cityscapes/semantic_segmentation",
      "split": "train",
      "data_dir": placeholder(str),  # where prepared data lies; None: ~/tensorflow_datasets
      "manual_dir": placeholder(str),  # where the archives lie; None: downloads/manual in data_dir
    },
    "pp": (
      "label_map|random_scale(0.5, 2.0)"
      f"|random_crop({size}, cat_max_ratio=0.75)|flip_lr|photometric"
    ),
    "batch_size": 16,  # over all devices
    "on_bad_example": "raise",  # or "skip": the next one takes its place
    "cache": "none",  # or "disk": keep decoded pictures, which takes room but no time to decode
    "cache_dir": placeholder(str),  # where to keep them; None: ~/.cache/flax_unet_decoded
    "workers": 8,  # processes that prepare batches; 0: threads of this one
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

  config.loss = "cross_entropy"  # or dice, focal(gamma=2.0), tversky, .., a + 0.5 * b
  config.class_weights = placeholder(tuple)  # one a class; None: all 1

  config.optax_name = "sgd"
  config.optax = {"momentum": 0.9}
  config.lr = 0.01
  config.wd = 5e-4
  config.wd_on = "kernels"  # or "all": biases and normalisations too
  config.lr_mult = ()  # by parameter, the first that matches, such as (("encoder_.*", 0.1),)
  config.grad_clip_norm = placeholder(float)  # None: no clipping
  config.schedule = {
    "decay_type": "polynomial",  # or constant, cosine, cosine_restarts, steps, one_cycle, ..
    "warmup_steps": 1000,
    "power": 0.9,  # of the polynomial
    "end_lr": 1e-4,
  }
  config.accumulate_steps = 1  # parts of a batch worked on one after the other, to save memory
  config.skip_nonfinite = 0  # steps in a row that may be skipped for a loss that is not finite
  config.ema_decay = 0.999  # of the moving average of the parameters; None: none

  config.evals = {
    "val": {
      "split": "validation",
      "pp": "label_map",
      "batch_size": 8,
      "log_steps": 8000,
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
  config.ckpt_steps = 1000
  config.profile_steps = 0  # so many soon after the start, for TensorBoard

  if arg.paper:
    config.total_steps, config.total_epochs = placeholder(int), 10
    config.input.pp = f"label_map|resize({size})"  # assumed: size, and no augmentation
    config.input.batch_size = 8  # assumed
    config.model.norm = "none"
    config.model.dropout = 0.1  # "optional" in the report; the rate is assumed
    config.optax_name, config.optax = "adamw", {"b1": 0.9, "b2": 0.999}  # assumed
    config.lr, config.wd = 1e-3, 0.0  # assumed
    config.grad_clip_norm = 1.0  # assumed: without normalisation, early steps can blow up
    config.schedule.decay_type = "constant"  # assumed
    config.schedule.warmup_steps = 100  # assumed
    config.ema_decay = None
    config.evals.val.pp = f"label_map|resize_image({size})"  # scored at 1024 x 2048 all the same
    config.evals.val.log_steps = 372  # an epoch

  if arg.runlocal:
    config.total_steps, config.total_epochs = 10, placeholder(int)
    config.input.pp = config.input.pp.replace(size, "128, 256")
    config.input.batch_size = 2
    config.input.workers = 0
    config.model.width = 8
    config.schedule.warmup_steps = 2
    config.evals.val.batch_size = 1
    config.log_training_steps = 2

  return config
