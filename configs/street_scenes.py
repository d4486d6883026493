"""Synthetic street scenes, drawn by the program: a complete run in minutes, without any download.

    python main.py --config=configs/street_scenes.py

The scenes have the classes and label ids of Cityscapes, so all code after data loading is the same.
Nothing needs to be prepared.

Arguments after the colon: `runlocal` (a few steps, for debugging), `depth` (a disparity map as a
fourth channel), `res=256x512`, `model=segnet` (see docs/networks.md), `width=32`.
"""

from flax_unet import base_config, config_arg


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(arg, runlocal=False, depth=False, res="128x256", model="unet", width=16)
  config = base_config.get_config()

  config.label_space = "cityscapes_19"
  config.total_steps = 1500
  config.input.data.name = f"street_scenes/{arg.res}"
  config.input.pp = "label_map|flip_lr"
  config.input.batch_size = 2  # in five minutes, many small steps learn more than a few large ones
  config.input.workers = 0
  config.input.prefetch = 4

  base_config.set_network(config, arg.model, width=arg.width)

  # One per class: (1 / log(1.02 + share)) ** 0.5, after ENet (Paszke et al. 2016) but milder.
  # Without them, rare classes need more steps than fit into a few minutes.
  config.class_weights = (
    *(0.60, 1.23, 0.77, 1.89, 1.86),  # road, sidewalk, building, wall, fence
    *(1.62, 2.20, 1.92, 0.79, 1.74),  # pole, traffic light, traffic sign, vegetation, terrain
    *(1.15, 1.89, 2.17, 1.01, 1.92),  # sky, person, rider, car, truck
    *(2.18, 2.05, 2.11, 2.03),  # bus, train, motorcycle, bicycle
  )
  config.optax.b2 = 0.99  # 0.999 would still remember the first steps at the end
  config.lr = 3e-3
  config.schedule.decay_type = "polynomial"
  config.schedule.power = 1.0  # linear: in so few steps, it works better than a cosine

  config.evals.val.pp = "label_map"
  config.evals.val.batch_size = 4
  config.evals.val.inference.tile = (512, 1024)
  config.ckpt_steps = 200

  if arg.runlocal:
    config.total_steps = 10
    config.schedule.warmup_steps = 2
    config.input.data.name = "street_scenes/tiny"
    config.input.pp = "label_map|random_crop(64, 128)|flip_lr"
    config.evals.val.batch_size = 2
    config.model.width = 8
    config.log_training_steps = 2
  if arg.depth:
    config.input.data.name += "_disparity"
    base_config.set_images(config, extra_channels=1, extra_dtype="uint16")
  return config
