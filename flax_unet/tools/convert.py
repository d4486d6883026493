"""Converts a run's weights to a PyTorch state dict of the program it comes from, or back to a run.

    python -m flax_unet.tools.convert --workdir=RUN --output=unet.pth [--checkpoint=best]
    python -m flax_unet.tools.convert --input=unet.pth --config=FILE --workdir=NEW_RUN

The file extension selects the format: `.pth` (or `.pt`), or `.safetensors`. The second form creates
a run at step 0 that `main.py` can evaluate, predict with or continue to train, given the same
`--config` and `--workdir`. To only start training from a file, use `--config.init_from=unet.pth`
instead.

Weights of mmsegmentation, segmentation_models.pytorch and milesial/Pytorch-UNet can be read and
written, see docs/weights.md. For the same inputs, the logits are the same up to rounding. Here,
inputs are normalised by the mean and standard deviation in `config.model`, ImageNet's by default;
milesial's program only divides images by 255, so normalise the inputs yourself before you use such
a network there.
"""

import pathlib

from absl import flags

from flax_unet import config_flag, errors, terminal
from flax_unet.run import conversion

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string("workdir", None, "The run folder, such as runs/mine.")
_CHECKPOINT = flags.DEFINE_enum(
  "checkpoint", "newest", ["newest", "best"], "Which checkpoint to convert."
)
_INPUT = flags.DEFINE_string(
  "input", None, "A state dict to read, such as unet.pth; needs --config."
)
_OUTPUT = flags.DEFINE_string("output", None, "The state dict to write, such as unet.safetensors.")


def main(_):
  """Runs the program; see above."""
  folder = pathlib.Path(_WORKDIR.value).expanduser()
  if bool(_INPUT.value) == bool(_OUTPUT.value):
    raise errors.UserError("give either --output=FILE to write, or --input=FILE to read")
  if _OUTPUT.value:
    return conversion.to_file(folder, _CHECKPOINT.value, pathlib.Path(_OUTPUT.value).expanduser())
  if _CONFIG.value is None:
    raise errors.UserError("--input needs --config=FILE, the configuration of the new run")
  config_flag.settle()
  return conversion.to_run(_INPUT.value, _CONFIG.value, folder)


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("workdir")
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
