"""Inspects the data of an experiment.

    python -m flax_unet.tools.inspect_data --config=configs/cityscapes.py

Reads every example of every split and prints the number of examples, image sizes, class shares,
unusable examples, and the class weights that each rule of `config.class_weights` would give. If
`config.plan.rules` chooses settings from the data, prints the choices that a run would make on this
machine, with their reasons. Draws the first training examples as the network sees them, after
preprocessing and with the run's seed: image | label over image | label. Exits with code 1 if an
example cannot be used.
"""

import functools
import pathlib

import cv2
import jax
import ml_collections
import numpy as np
import tqdm
from absl import flags
from ml_collections import config_flags

from flax_unet import config_flag, errors, files, terminal
from flax_unet.data import class_pixels, datasets, inspection, label_spaces, op_spec, pipeline
from flax_unet.evaluation.report import contact_sheet, data_report
from flax_unet.run import experiment, image_settings, parts, planner, processes, workdir

_CONFIG = config_flag.define()
_OUTPUT = flags.DEFINE_string(
  "output", None, "PNG file for training examples (default: runs/CONFIG/training_examples.png)."
)
_EXAMPLES = flags.DEFINE_integer("examples", 8, "How many examples to draw.", lower_bound=1)


def main(_):
  """Runs the program; see above."""
  config_flag.settle()
  config = _CONFIG.value
  processes.divide_cores(config)
  processes.start_backend()
  label_space = label_spaces.get(config.label_space)
  image_format = image_settings.image_format(config)
  parts.make_op("input", config.input.pp, label_space, image_format)  # a check, before reading
  dataset = datasets.open_dataset(
    config.input.data, label_space, True, image_format, log_bad_examples=False
  )
  splits = {}
  for name in _split_names(config, dataset):
    progress = functools.partial(tqdm.tqdm, desc=name, unit="images", leave=False, disable=None)
    source = dataset.split(name)
    splits[name] = inspection.inspect_split(
      source, label_space, functools.partial(progress, total=len(source)), image_format
    )
  print("\n\n".join(data_report.paragraphs(splits, config.input.data.name, label_space)))
  if unusable := sum(facts.unusable for facts in splits.values()):
    unknown = any(facts.strays or facts.refused for facts in splits.values())
    raise errors.UserError(
      f"{terminal.counted(unusable, 'example')} cannot be used, see above: fix the files, or "
      "leave them out with config.input.on_bad_example=skip"
      + ", or set config.label_space to the label space of the data"
      * unknown
    )
  source = dataset.split(config.input.data.split)
  facts = experiment.identity(dataset.fingerprint(), config.input.data.split)
  pixels = class_pixels.counted_once(source, label_space, facts)
  print(f"\n{data_report.class_weight_table(pixels, label_space)}")
  processes.keep_compiled_programs()
  config, plan = planner.settle(config)
  if plan:
    print(f"\n{planner.show(plan)}")
  train_op = parts.make_op("input", config.input.pp, label_space, image_format)
  examples = _training_examples(source, train_op, config.seed, _EXAMPLES.value)
  shown = [(name, image_format.shown(image), label) for name, image, label in examples]
  path = _write(contact_sheet.draw(shown, label_space))
  print(f"\nThe first training examples, as the network sees them: {path}")


def _split_names(config: ml_collections.ConfigDict, dataset: datasets.Dataset) -> list[str]:
  """Returns the splits that the experiment uses, then the others that the data set reports."""
  used = [config.input.data.split, *(part.split for part in config.evals.values())]
  return list(dict.fromkeys([*used, *dataset.fingerprint()["splits"]]))


def _training_examples(
  source: datasets.Source, op: op_spec.Chain, seed: int, number: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
  """Returns the first training examples: id, image and label."""
  devices = jax.local_device_count()
  batches = pipeline.train_batches(
    source, op, batch_size=-(-number // devices) * devices, seed=seed
  )
  batch = next(batches)
  batches.close()
  ids, images, labels = (
    batch[key].reshape(-1, *batch[key].shape[2:]) for key in ("id", "image", "label")
  )
  return list(zip(ids, images, labels, strict=True))[:number]


def _write(sheet: np.ndarray) -> pathlib.Path:
  """Writes an RGB image as PNG to the path given by the flags, and returns the path.

  Raises:
    UserError: it cannot be written.
  """
  filename = config_flags.get_config_filename(flags.FLAGS["config"])
  default = workdir.choose(None, filename) / "training_examples.png"
  path = pathlib.Path(_OUTPUT.value or default).expanduser()
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
      temporary.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
  except OSError as error:
    raise errors.UserError(
      f"cannot write {path} ({error.strerror}): choose another file with --output=FILE"
    ) from error
  return path


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("config")
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
