r"""U-Net on Cityscapes.

    python main.py --config=configs/cityscapes.py --config.input.data.manual_dir=DIR

DIR contains the official archives leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip. They
are prepared on first use (about 12 GB in `data_dir`).

The default follows mmsegmentation's `unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024`, which reaches
69.10 % mean IoU (71.05 % with several scales and flips), but upsamples with transposed
convolutions, has no auxiliary head, and keeps a moving average of the parameters. The batch of 16
crops needs 8 devices with 16 GB each. Not run here in full: no accelerator was available.

Arguments after the colon:

    paper          The report "Image Segmentation using U-Net Model": 10 epochs on whole images, no
                   normalisation. Values that it does not state are marked as assumed below.
    mmseg, fcn8s, segnet, ma_unet, resnet34
                   A published recipe, see flax_unet/recipes.py. `mmseg` is the one above,
                   unchanged, and evaluates its published weights, see docs/weights.md.
    coarse         Trains on the 19,998 images with coarse labels, which need
                   leftImg8bit_trainextra.zip and gtCoarse.zip in DIR too. Then fine-tune:
                   --config=configs/cityscapes.py --config.init_from=RUN
    mixed          Half of each batch has coarse labels, the other half fine labels.
    depth          Disparity as a fourth channel; needs disparity_trainvaltest.zip in DIR too.
                   Unknown disparity is 0 in these files, which the network has to learn.
    runlocal       A few steps of a tiny network, for debugging.
    res=256x512    Height and width of the training crops (with `paper`: of the whole images).
    model=unet     The network, see docs/networks.md.
    width=32       Channels at its first level.
"""

from ml_collections.config_dict import placeholder

from flax_unet import base_config, config_arg, errors, recipes


def get_config(arg=None):
  """Returns the configuration; see the module's docstring for `arg`."""
  arg = config_arg.parse(
    arg,
    paper=False,
    **recipes.SWITCHES,
    coarse=False,
    mixed=False,
    depth=False,
    runlocal=False,
    res="512x1024",
    model="unet",
    width=64,
  )
  size = arg.res.replace("x", ", ")
  config = base_config.get_config()

  config.label_space = "cityscapes_19"  # or cityscapes_categories, cityscapes_30
  config.total_steps = 160_000
  config.input.data.name = "cityscapes/semantic_segmentation"
  config.input.pp = (
    f"label_map|random_scale(0.5, 2.0)|random_crop({size}, cat_max_ratio=0.75)|flip_lr|photometric"
  )
  config.input.batch_size = 16
  config.input.workers = 8

  base_config.set_network(config, arg.model, width=arg.width)

  config.loss = "cross_entropy"
  config.optax_name, config.optax = "sgd", {"momentum": 0.9}
  config.lr, config.wd = 0.01, 5e-4
  config.grad_clip_norm = None
  config.schedule.decay_type = "polynomial"
  config.schedule.warmup_steps = 1000
  config.schedule.end_lr = 1e-4
  config.ema_decay = 0.999

  config.evals.val.pp = "label_map"
  config.evals.val.log_steps = 8000
  config.evals.val.inference.tile = (512, 1024)
  config.ckpt_steps = 1000

  if arg.paper:
    config.total_steps, config.total_epochs = None, 10
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
    config.evals.val.pp = f"label_map|resize_image({size})"  # still scored at 1024 x 2048
    config.evals.val.log_steps = 372  # one epoch

  recipes.apply(config, arg)
  if arg.segnet:  # a quarter of the resolution, as published; scored at 1024 x 2048 all the same
    config.evals.val.pp = "label_map|resize_image(256, 512)"

  if arg.coarse or arg.mixed:
    coarse = config.input.data.copy_and_resolve_references()
    coarse.name, coarse.split = "cityscapes/semantic_segmentation_extra", "train_extra"
    base_config.add_data(config, "coarse", coarse, share=1.0 if arg.coarse else 0.5)
    config.input.on_bad_example = "skip"  # troisdorf_000000_000073 is damaged

  if arg.depth and (arg.coarse or arg.mixed):
    raise errors.UserError("configs/cityscapes.py: there is no disparity for the coarse labels")
  if arg.depth:
    config.input.data.name = "cityscapes_disparity"
    base_config.set_images(config, extra_channels=1, extra_dtype="uint16")

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
