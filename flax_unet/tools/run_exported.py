"""Predicts images with an exported file, without the run or its configuration.

    python -m flax_unet.tools.run_exported --model=model.jaxexport --images='photos/*.jpg' \
        --output=masks --format=color,overlay

Finds images and writes masks as `main.py --mode=predict` does, which can also tile images that are
too large for one pass.
"""

import pathlib

from absl import flags

from flax_unet import errors, terminal
from flax_unet.data import label_spaces
from flax_unet.evaluation.inference import exported
from flax_unet.run import processes
from flax_unet.tools import predict, prediction_flags

_MODEL = flags.DEFINE_string(
  "model", None, "A file written by flax_unet.tools.export, such as model.jaxexport."
)
_LABEL_SPACE = flags.DEFINE_string(
  "label_space", None, "The classes, if not those of the run: a name, or FILE.csv."
)

flags.adopt_module_key_flags(prediction_flags)


def main(_):
  """Runs the program; see above."""
  processes.start_backend()
  path = pathlib.Path(_MODEL.value).expanduser()
  predictor = exported.ExportedPredictor(path)
  try:
    label_space = label_spaces.get(_LABEL_SPACE.value or predictor.label_space)
  except errors.UserError as error:  # the classes file may have moved
    raise errors.UserError(
      f"{error}; name it with --label_space, or give --label_space={predictor.num_classes}_classes"
    ) from error
  if label_space.num_classes != predictor.num_classes:
    raise errors.UserError(
      f"--label_space={label_space.name} has {label_space.num_classes} classes, but {path} has "
      f"{predictor.num_classes}"
    )
  predict.write_masks(
    lambda: predictor,
    label_space,
    predictor.image_format,
    prediction_flags.request(),
  )


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flags_as_required(["model", "images", "output"])
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
