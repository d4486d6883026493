"""Turns a run's weights into a PyTorch state dict of milesial/Pytorch-UNet, or such into a run.

    python -m flax_unet.tools.convert --workdir=RUN --output=unet.pth [--checkpoint=best]
    python -m flax_unet.tools.convert --input=unet.pth --config=FILE --workdir=NEW_RUN

The file's name tells its format: `.pth` (or `.pt`), or `.safetensors`. The second form makes a run
of no steps, which `main.py` evaluates, predicts with or trains on, given the same `--config` and
`--workdir`. To only start training from a file, `--config.init_from=unet.pth` does without.

The logits are equal for equal inputs, and inputs here are normalised by ImageNet's mean and
standard deviation (`base.normalize`). The public program only divides pictures by 255: in
PyTorch, normalise before a network from here; a network from there was trained on other inputs.
"""

import pathlib

from absl import flags

from flax_unet import config_flag, errors, terminal
from flax_unet.run import conversion

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder, such as runs/mine.")
_CHECKPOINT = flags.DEFINE_enum(
  "checkpoint", "newest", ["newest", "best"], "Which checkpoint to write."
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
  config_flag.settle_length()
  return conversion.to_run(_INPUT.value, _CONFIG.value, folder)


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("workdir")
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
