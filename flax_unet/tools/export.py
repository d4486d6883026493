"""Exports a run's network to one file for serving, for CPUs, GPUs and TPUs.

    python -m flax_unet.tools.export --workdir=RUN --output=model.jaxexport [--checkpoint=best]

The file maps pictures, uint8 RGB, to masks and class probabilities; normalisation and parameters
are inside, see `flax_unet/evaluation/inference/exported.py`. It takes any number of pictures of any
height and width that the poolings divide, or with `--image_size=512x1024` those of one size.
`python -m flax_unet.tools.run_exported` predicts files with it.
"""

import pathlib

from absl import flags

from flax_unet import errors, terminal
from flax_unet.run import serving

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder, such as runs/mine.")
_CHECKPOINT = flags.DEFINE_enum(
  "checkpoint", "newest", ["newest", "best"], "Which checkpoint to export."
)
_OUTPUT = flags.DEFINE_string("output", None, "The file to write, such as model.jaxexport.")
_IMAGE_SIZE = flags.DEFINE_string(
  "image_size", None, "The only size that the file takes, such as 512x1024."
)


def main(_):
  """Runs the program; see above."""
  serving.export_run(
    pathlib.Path(_WORKDIR.value).expanduser(),
    _CHECKPOINT.value,
    pathlib.Path(_OUTPUT.value).expanduser(),
    _IMAGE_SIZE.value,
  )


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flags_as_required(["workdir", "output"])
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
