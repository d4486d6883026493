import pytest

from configs import cityscapes, street_scenes
from flax_unet.errors import UserError
from flax_unet.run import parts


def _config(**changes):
  config = street_scenes.get_config()
  fixed = {
    "total_steps": 600,
    "input.batch_size": 8,
    "input.pp": "label_map|random_crop(128, 256)",
    "evals.val.batch_size": 8,
  }
  config.update_from_flattened_dict(fixed | changes)
  return config


@pytest.mark.parametrize("module", [cityscapes, street_scenes])
@pytest.mark.parametrize("arg", [None, "runlocal"])
def test_configurations_pass(module, arg):
  config = module.get_config(arg)
  config.input.batch_size = config.evals.val.batch_size = 8  # on the tests' four devices
  parts.build(config)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"label_space": "cityscapes_91"},
      "unknown label space 'cityscapes_91': did you mean 'cityscapes_19'",
    ),
    ({"lr": None}, "config.lr = None: it needs a value"),
    ({"evals.val.pp": None}, "config.evals.val.pp = None: it needs a value"),
    (
      {"loss": "cross_entrpy"},
      "unknown loss in config.loss 'cross_entrpy': did you mean 'cross_entropy'",
    ),
    (
      {"total_epochs": 3},
      "config.total_steps = 600 and config.total_epochs = 3: one of them must be a number and the "
      "other None, such as --config.total_steps=1000 --config.total_epochs=None",
    ),
    ({"total_steps": None}, "config.total_steps = None and config.total_epochs = None"),
    ({"total_steps": 0}, "config.total_steps = 0: it must be a whole number, at least 1"),
    ({"ckpt_steps": 0}, "config.ckpt_steps = 0: it must be a whole number, at least 1"),
    (
      {"evals.val.log_steps": 0},
      "config.evals.val.log_steps = 0: it must be a whole number, at least 1",
    ),
    ({"class_weights": (1.0, 2.0)}, "config.class_weights has 2 values; .* has 19 classes"),
    ({"class_weights": (-1.0,) + (1.0,) * 18}, "config.class_weights = .*at least 0"),
    ({"class_weights": (0.0,) * 19}, "config.class_weights = .*not all of them 0"),
    (
      {"seed": -1},
      "config.seed = -1: it must be a whole number, at least 0 and below 4,294,967,296",
    ),
    ({"input.workers": -1}, "config.input.workers = -1: it must be a whole number, at least 0"),
    ({"input.prefetch": 0}, "config.input.prefetch = 0: it must be a whole number, at least 1"),
    ({"input.prefetch_to_device": -1}, "config.input.prefetch_to_device = -1: it must be"),
    ({"input.timeout": 0}, "config.input.timeout = 0: it must be a whole number, at least 1"),
    ({"grad_clip_norm": 0.0}, "config.grad_clip_norm = 0.0: it must be a number, above 0"),
    ({"grad_clip_norm": float("nan")}, "config.grad_clip_norm = nan: it must be a number"),
    ({"ema_decay": 1.0}, "config.ema_decay = 1.0: it must be a number, at least 0 and below 1"),
    ({"skip_nonfinite": -1}, "config.skip_nonfinite = -1: it must be a whole number, at least 0"),
    (
      {"accumulate_steps": 2, "loss": "ohem"},
      "config.accumulate_steps = 2 .*ohem': this loss needs the logits of the whole",
    ),
    (
      {"input.batch_size": 6},
      "config.input.batch_size = 6 cannot be divided among 4 devices: use 4 or 8",
    ),
    ({"input.batch_size": 2}, "config.input.batch_size = 2 cannot .* 4 devices: use 4$"),
    ({"evals.val.batch_size": 0}, "config.evals.val.batch_size = 0 cannot .*: use 4$"),
    ({"input.cache": "disc"}, "config.input.cache 'disc': did you mean 'disk'"),
    ({"input.pp": "label_mop"}, "config.input.pp: .*'label_mop': did you mean 'label_map'"),
    ({"evals.val.pp": "resize(1)"}, r"config.evals.val.pp: bad arguments in 'resize\(1\)'"),
    (
      {"input.pp": "label_map|random_crop(100, 256)"},
      "config.model with training images of 100 x 256 pixels: an image height or width of 100 "
      "does not fit a U-Net with depth=4, padding='same': the nearest that fits is 96 or 112",
    ),
    ({"model_name": "unet2"}, "config.model_name 'unet2': did you mean 'unet'"),
    ({"model.norm": "layer"}, "UNet has no norm='layer': choose one of batch, group, none"),
    ({"model.dtype": "float16"}, "config.model.dtype 'float16'.*choose from bfloat16, float32"),
    ({"optax_name": "sgd"}, "unknown argument of 'sgd' in config.optax 'b1'"),
    ({"evals.val.inference.mode": "tile"}, "config.evals.val.inference.mode = 'tile'"),
  ],
)
def test_what_cannot_be_run_is_refused(changes, message):
  with pytest.raises(UserError, match=message) as error:
    parts.build(_config(**changes))
  assert "\n" not in str(error.value)


def test_an_unknown_argument_of_the_model_is_refused():
  config = _config()
  with config.unlocked():
    config.model.widht = 3
  with pytest.raises(UserError, match=r"in config.model 'widht': did you mean 'width'"):
    parts.build(config)


def test_without_an_evaluation_there_is_nothing_to_report():
  config = _config()
  with config.unlocked():
    del config.evals.val
  with pytest.raises(UserError, match=r"config.evals is empty"):
    parts.build(config)


def test_settings_that_are_missing_or_that_nothing_reads_are_named():
  config = street_scenes.get_config()
  config.evals = {"val": {**config.evals.val.to_dict(), "typ": "boundary"}}
  with pytest.raises(UserError, match=r"setting in config.evals.val 'typ': did you mean 'type'"):
    parts.build(config)
  config = street_scenes.get_config()
  config.evals = {"val": {"split": "validation", "pp": "label_map"}}
  with pytest.raises(UserError, match=r"config.evals.val.batch_size is missing: start from"):
    parts.build(config)
