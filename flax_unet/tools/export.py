"""Exports a run's network to one file for serving, for CPUs, GPUs and TPUs.

    python -m flax_unet.tools.export --workdir=RUN --output=model.jaxexport [--checkpoint=best]

The file maps pictures, uint8 RGB, to masks and class probabilities; normalisation and parameters
are inside, see `flax_unet/evaluation/exported.py`. It takes any number of pictures of any height
and width that the poolings divide, or with `--image_size=512x1024` those of one size.
`python -m flax_unet.tools.run_exported` predicts files with it.
"""

import pathlib
import re

from absl import flags, logging

from flax_unet import errors, files, terminal
from flax_unet.evaluation import exported
from flax_unet.training import trained

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", ["newest", "best"], "Which to export.")
_OUTPUT = flags.DEFINE_string("output", None, "The file to write.")
_IMAGE_SIZE = flags.DEFINE_string("image_size", None, "HEIGHTxWIDTH, where only one is wanted.")


def main(_):
  export_run(
    pathlib.Path(_WORKDIR.value).expanduser(),
    _CHECKPOINT.value,
    pathlib.Path(_OUTPUT.value).expanduser(),
    _IMAGE_SIZE.value,
  )


def export_run(folder: pathlib.Path, which: str, output: pathlib.Path, size: str | None) -> None:
  """Exports the network of a run.

  Args:
    folder: the run's folder.
    which: checkpoint, "newest" or "best".
    output: the file.
    size: of pictures, `HEIGHTxWIDTH`; or None, see `exported.export_model`.

  Raises:
    UserError: there is no such run, its network needs a size, or the file cannot be written.
  """
  image_size = None
  if size is not None:
    if not (match := re.fullmatch(r"(\d+)x(\d+)", size)):
      raise errors.UserError(f"--image_size={size}: give HEIGHTxWIDTH, such as 512x1024")
    image_size = int(match[1]), int(match[2])
  found = trained.load(folder, which)
  try:
    content = exported.export_model(found.model, found.variables, image_size).serialize()
  except ValueError as error:
    raise errors.UserError(f"--image_size={size}: {error}") from error
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(output) as temporary:
      temporary.write_bytes(content)
  except OSError as error:
    raise errors.UserError(f"--output={output}: cannot be written ({error.strerror})") from error
  logging.info(
    "Wrote step %d of %s to %s, %.1f MB, %d classes of %s",
    found.step,
    folder,
    output,
    len(content) / 1e6,
    found.label_space.num_classes,
    found.label_space.name,
  )


if __name__ == "__main__":
  flags.mark_flags_as_required(["workdir", "output"])
  terminal.set_up()
  errors.run(main)
