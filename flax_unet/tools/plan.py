"""Shows how much memory a train step needs and whether it fits, before you rent the hardware.

    python -m flax_unet.tools.plan --config=configs/cityscapes.py --topology=v5e:2x4 --search

Compiles the train step that `main.py` would run, for a TPU topology that need not be present (with
libtpu: pip install -e '.[tpu]') or for this machine's devices, and lowers it for CUDA. Prints the
compiler's count of operations and memory; `--search` looks for the largest batch that fits. A
compilation takes minutes. Needs no data; settings that a run would choose from its data
(`config.plan.rules`) take their defaults here. Evaluation is not taken into account: it keeps no
activations for a backward pass, but may process larger images.
"""

import re
import sys

import jax
from absl import flags, logging

from flax_unet import config_flag, errors, terminal
from flax_unet.evaluation.report.page_facts import amount
from flax_unet.run import chips, cost, parts, processes, rehearsal
from flax_unet.training.state import num_params

_CONFIG = config_flag.define()
_TOPOLOGY = flags.DEFINE_string(
  "topology", None, "A TPU topology, such as v5e:2x4 (default: this machine's devices)."
)
_IMAGE_SIZE = flags.DEFINE_string(
  "image_size", None, "The size of the images, if training uses whole ones, such as 512x1024."
)
_MEMORY = flags.DEFINE_float(
  "memory_gib", None, "Memory per device, in GiB (default: all of it).", lower_bound=0
)
_SEARCH = flags.DEFINE_bool("search", False, "Look for the largest batch that fits.")


def main(_) -> int:
  """Runs the program; see above."""
  if _TOPOLOGY.value:
    jax.config.update("jax_platforms", "cpu")  # leave this machine's accelerators alone
    devices = chips.topology_devices(_TOPOLOGY.value)
  else:
    processes.start_backend()
    devices = jax.devices()
  processes.keep_compiled_programs()
  config_flag.settle()
  config = _CONFIG.value
  if config.plan.rules:
    logging.warning(
      "config.plan.rules: a run chooses %s from its data; here they have their defaults. To plan "
      "what a run chose, give --config=RUN/config.json",
      ", ".join(config.plan.rules),
    )
  built = parts.build(config, len(devices))
  plan = cost.StepPlan(built, _image_size(built), devices)
  limit = round(_MEMORY.value * 2**30) if _MEMORY.value else cost.device_memory(devices[0])

  per_device = config.input.batch_size // len(devices)
  _print("devices", f"{len(devices)} x {devices[0].device_kind}")
  _print("images", f"{per_device} per device, {plan.image_size[0]} x {plan.image_size[1]} pixels")
  _print("parameters", f"{num_params(plan.state):,}")
  lowered = plan.export("cuda", config.input.batch_size).mlir_module()
  custom = ", ".join(sorted(set(re.findall(r"custom_call @(\w+)", lowered)))) or "none"
  _print("on GPUs", f"lowers for CUDA; custom kernels: {custom}")
  try:
    total = _print_cost(plan, limit)
  except cost.DoesNotFitError as error:
    _print("fits", f"no: {error}")
    total = None
  if _SEARCH.value:
    batch_size = _search(plan, limit, total)
    _print("largest batch", f"{batch_size} ({batch_size // len(devices)} per device)")
    return 0 if batch_size else 1
  return 0 if total is not None and total <= limit else 1


def _image_size(built: parts.Parts) -> tuple[int, int]:
  """Returns the size of training images, from the flag if the configuration does not fix it.

  Raises:
    UserError: the flag is missing or malformed, or the network does not take that size.
  """
  whole = None
  if text := _IMAGE_SIZE.value:
    if not (match := re.fullmatch(r"([0-9]+)x([0-9]+)", text)):
      raise errors.UserError(f"--image_size={text}: write HEIGHTxWIDTH, for example 512x1024")
    whole = (int(match[1]), int(match[2]))
  size = built.train_op.output_size(whole)
  if size is None:
    raise errors.UserError(
      f"config.input.pp = '{built.config.input.pp}' takes images in their original size: give it "
      "with --image_size=HEIGHTxWIDTH"
    )
  rehearsal.network(built.model, size)
  return size


def _print_cost(plan: cost.StepPlan, limit: int) -> int:
  """Prints the cost of the step, and returns the bytes needed per device."""
  batch_size, devices = plan.parts.config.input.batch_size, len(plan.devices)
  step = plan.cost(batch_size)
  _print("FLOPs per step", f"{amount(step.flops * devices)}, {amount(step.flops)} per device")
  _print("arguments", f"{terminal.memory(step.arguments)} per device")
  _print("temporaries", f"{terminal.memory(step.temporaries)} per device")
  _print(
    "total",
    f"{terminal.memory(step.total)} of {terminal.memory(limit)} per device "
    f"({step.total / limit:.1%})",
  )
  _print("fits", "yes" if step.total <= limit else "no")
  if chip := chips.find(plan.devices[0]):
    bounds = step.seconds_at_peak(chip)
    bound = max(bounds, key=bounds.get)
    rate = 1 / bounds[bound]
    _print("traffic", f"{terminal.memory(step.traffic)} per device and step, by XLA's count")
    _print("estimate", f"at most {rate:.3g} steps/s ({rate * batch_size:.3g} images/s), bound by")
    _print("", f"{bound} at the chip's peak; not measured, a real step is slower")
  return step.total


def _search(plan: cost.StepPlan, limit: int, first: int | None) -> int:
  """Finds the largest batch that fits, and prints each compilation.

  Args:
    plan: the step.
    limit: bytes that a device has.
    first: bytes that it needs for the configured batch; None if that does not fit.
  """
  unit = len(plan.devices) * plan.parts.config.accumulate_steps  # images in one part of a batch
  start = plan.parts.config.input.batch_size // unit

  def bytes_needed(number: int) -> int | None:
    if number == start:
      return first
    try:
      total = plan.cost(number * unit).total
    except cost.DoesNotFitError as error:
      print(f"  batch {number * unit}: {error}", file=sys.stderr)
      return None
    print(f"  batch {number * unit}: {terminal.memory(total)} per device", file=sys.stderr)
    return total

  return unit * cost.largest_batch(bytes_needed, limit, start)


def _print(name: str, value: str) -> None:
  print(f"{name:16s}{value}", flush=True)


def run() -> None:
  """Runs the program with the arguments of the command line."""
  flags.mark_flag_as_required("config")
  terminal.set_up()
  errors.run(main)


if __name__ == "__main__":
  run()
