"""Exports the network of a run to one file for serving."""

import pathlib
import re

from absl import logging

from flax_unet import errors, files
from flax_unet.evaluation.inference import exported
from flax_unet.run import trained


def export_run(folder: pathlib.Path, which: str, output: pathlib.Path, size: str | None) -> None:
  """Exports the network of a run.

  Args:
    folder: the run folder.
    which: checkpoint, "newest" or "best".
    output: the file to write.
    size: image size, `HEIGHTxWIDTH`. None: the size to which the run resizes images, or any size,
      see `exported.export_model`.

  Raises:
    UserError: there is no such run, its network needs a size, or the file cannot be written.
  """
  found = trained.load(folder, which)
  image_size = found.resize
  if size is not None:
    if not (match := re.fullmatch(r"(\d+)x(\d+)", size)):
      raise errors.UserError(f"--image_size={size}: give HEIGHTxWIDTH, such as 512x1024")
    image_size = int(match[1]), int(match[2])
  options = found.options
  if options.mode != "whole" or options.scales != (1.0,) or options.flip:
    logging.warning(
      "The run predicts with mode=%s, scales=%s, flip=%s; the file sees each image once, as it is, "
      "so its masks differ from those of --mode=predict",
      options.mode,
      options.scales,
      options.flip,
    )
  try:
    content = exported.export_model(
      found.model, found.variables, image_size, found.label_space.name, found.multiple
    ).serialize()
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
