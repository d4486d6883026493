"""Exports a run's network to one file for serving, for CPUs, GPUs and TPUs.

    python -m flax_unet.tools.export --workdir=RUN --output=model.jaxexport [--checkpoint=best]

The file maps images, uint8 RGB or as `config.images` of the run says, to masks and class
probabilities. It contains the normalisation and the parameters, see
`flax_unet/evaluation/inference/exported.py`. It takes any number of images of any height and width
divisible by the pooling factor; only images of one size if the run resizes them (`resize_image`),
or with `--image_size=512x1024`. `python -m flax_unet.tools.run_exported` uses it to predict image
files of any size.
"""

import pathlib

from absl import flags

from flax_unet import errors, terminal
from flax_unet.run import processes, serving

_WORKDIR = flags.DEFINE_string("workdir", None, "The run folder, such as runs/mine.")
_CHECKPOINT = flags.DEFINE_enum(
  "checkpoint", "newest", ["newest", "best"], "Which checkpoint to export."
)
_OUTPUT = flags.DEFINE_string("output", None, "The file to write, such as model.jaxexport.")
_IMAGE_SIZE = flags.DEFINE_string(
  "image_size",
  None,
  "The only image size that the file accepts, such as 512x1024 (default: the run's, if any).",
)


def main(_):
  """Runs the program; see above."""
  processes.start_backend()
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
