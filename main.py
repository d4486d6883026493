"""Trains and evaluates a U-Net, and predicts.

python main.py --config=configs/street_scenes.py
"""

import pathlib
import sys

from absl import flags, logging
from ml_collections import config_flags

from flax_unet import config_flag, errors, memory

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder (default: runs/CONFIG).")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate", "predict"], "What to do.")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "newest", ["newest", "best"], "Which to use.")
_IMAGES = flags.DEFINE_string("images", None, "To predict: a folder, or a pattern in quotes.")
_OUTPUT = flags.DEFINE_string(
  "output", None, "The folder for masks, or for an evaluation's report."
)
_FORMAT = flags.DEFINE_list(
  "format", ["label_ids"], "Of masks: label_ids, train_ids, color, overlay, cityscapes."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether to replace predicted masks.")
_ZIP = flags.DEFINE_bool("zip", False, "Pack the masks of format cityscapes for its server.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of a cluster's processes (SLURM, TPU).")
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "The first process's HOST:PORT.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes train together.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "The number of this process, from 0.")


def main(arguments):
  """Runs the program; see above."""
  if arguments[1:]:
    raise errors.UserError(f"unexpected argument '{arguments[1]}': settings begin with --config.")
  memory.keep()
  # Imported here, so that --help and the data's worker processes start fast.
  from flax_unet import terminal

  terminal.set_up()  # first, as libraries talk while they are imported
  config_flag.settle_length()
  logging.info("Loading libraries")
  from flax_unet.run import loop, processes, reporting, workdir
  from flax_unet.tools import predict

  processes.keep_compiled_programs()
  if _CONFIG.value.deterministic:
    processes.make_deterministic()
  if not _DISTRIBUTED.value and _NUM_PROCESSES.value is None:
    processes.divide_cores(_CONFIG.value)
  processes.connect(
    distributed=_DISTRIBUTED.value,
    coordinator_address=_COORDINATOR.value,
    num_processes=_NUM_PROCESSES.value,
    process_id=_PROCESS_ID.value,
  )
  processes.check_devices()
  filename = config_flags.get_config_filename(flags.FLAGS["config"])
  folder = workdir.choose(_WORKDIR.value, filename)
  if _MODE.value == "train":
    return loop.train(_CONFIG.value, folder)
  if _MODE.value == "predict":
    return predict.predict(
      _CONFIG.value,
      folder,
      _CHECKPOINT.value,
      pictures=_IMAGES.value,
      output=_OUTPUT.value,
      formats=_FORMAT.value,
      make_zip=_ZIP.value,
      overwrite=_OVERWRITE.value,
    )
  output = pathlib.Path(_OUTPUT.value).expanduser() if _OUTPUT.value else None
  reporting.evaluate(_CONFIG.value, folder, _CHECKPOINT.value, output)
  return 0


if __name__ == "__main__":
  sys.argv = config_flag.of_run(sys.argv)
  flags.register_validator(
    "config",
    lambda config: config is not None,
    message="give --config=FILE; to evaluate or predict, --workdir=RUN is enough",
  )
  errors.run(main)
