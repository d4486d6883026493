"""Trains and evaluates a network, or evaluates a run, or predicts with it.

    python main.py --config=configs/street_scenes.py
    python main.py --config=configs/cityscapes.py:width=32 --config.lr=0.02 --workdir=runs/half
    python main.py --mode=evaluate --workdir=runs/half --checkpoint=best
    python main.py --mode=predict --workdir=runs/half --images='photos/*.jpg' --output=masks

Running the same command again resumes an interrupted run. `--config.KEY=VALUE` changes settings of
the configuration; `python -m flax_unet.tools.show_config --config=FILE` lists them.
"""

import pathlib
import sys

from absl import flags, logging
from ml_collections import config_flags

from flax_unet import config_flag, errors, memory
from flax_unet.tools import prediction_flags

_CONFIG = config_flag.define()
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "The run folder, such as runs/mine (default: runs/CONFIG)."
)
_MODE = flags.DEFINE_enum(
  "mode", "train", ["train", "evaluate", "predict"], "What to do; the last two only need --workdir."
)
_CHECKPOINT = flags.DEFINE_enum(
  "checkpoint", "newest", ["newest", "best"], "Which checkpoint to evaluate or to predict with."
)
_ZIP = flags.DEFINE_bool(
  "zip", False, "Pack masks of --format=cityscapes for the benchmark server."
)
_DISTRIBUTED = flags.DEFINE_bool(
  "distributed", False, "Join the other processes of a SLURM job or a TPU pod."
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator_address",
  None,
  "On other clusters: HOST:PORT of the first process, such as node0:1234.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "The number of processes, such as 2.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "The number of this process, starting at 0.")

flags.adopt_module_key_flags(prediction_flags)


def main(arguments):
  """Runs the program; see above."""
  if arguments[1:]:
    raise errors.UserError(f"unexpected argument '{arguments[1]}': settings begin with --config.")
  if _MODE.value != "predict":
    prediction_flags.refuse_in(_MODE.value)
  memory.keep()
  # Imported here, so that --help and the data workers start fast.
  from flax_unet import terminal

  terminal.set_up()  # first, as libraries log while they are imported
  config_flag.settle()
  logging.info("Loading libraries")
  from flax_unet.run import processes, workdir

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
  # Each mode imports what it needs: TensorFlow alone, which only training uses, takes seconds.
  if _MODE.value == "train":
    from flax_unet.run import loop

    return loop.train(_CONFIG.value, folder)
  if _MODE.value == "predict":
    from flax_unet.tools import predict

    request = prediction_flags.request(make_zip=_ZIP.value)
    return predict.predict(_CONFIG.value, folder, _CHECKPOINT.value, request)
  from flax_unet.run import reporting

  output = prediction_flags.request().output
  output = pathlib.Path(output).expanduser() if output else None
  reporting.evaluate(_CONFIG.value, folder, _CHECKPOINT.value, output)
  return 0


def run() -> None:
  """Runs the program with the arguments of the command line."""
  sys.argv = config_flag.of_run(sys.argv)
  flags.register_validator(
    "config",
    lambda config: config is not None,
    message="give --config=FILE; to evaluate or predict, --workdir=RUN is enough",
  )
  errors.run(main)


if __name__ == "__main__":
  run()
