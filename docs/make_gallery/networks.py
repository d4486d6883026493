"""What every network takes at its published size: parameters, FLOPs, memory and time.

Parameters and FLOPs follow from the network. Memory and time are of one machine, and are kept in a
file, so that the page can be made again without measuring again.
"""

import collections
import datetime
import functools
import os
import pathlib
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from configs import street_scenes
from flax_unet import base_config, errors, files
from flax_unet.evaluation.inference import fitting
from flax_unet.models import registry
from flax_unet.run import cost, parts, processes
from flax_unet.training import flops, state

SIZE = (128, 256)  # height and width of an image, in pixels
_DEVICES = 2  # each has one image


class Counts(NamedTuple):
  """What does not depend on the machine.

  Attributes:
    parameters: how many numbers are trained, with 19 classes.
    prediction_flops: floating-point operations of a prediction for one image.
    step_flops: those of a train step on one image.
  """

  parameters: int
  prediction_flops: float
  step_flops: float


def count(name: str) -> Counts:
  """Counts a network's parameters and operations; nothing is run or compiled."""
  plan = _plan(name, 1)
  predict = functools.partial(fitting.predict, plan.parts.model, size=SIZE)
  images = jax.ShapeDtypeStruct((1, *SIZE, 3), np.uint8)
  traced = jax.jit(predict).trace(plan.state.eval_variables, images)
  # As XLA counts the GPU program, see `training.flops`.
  counted = traced.lower(lowering_platforms=("cuda",)).cost_analysis()
  step = plan.parts.map_train_step(plan.devices)
  return Counts(
    parameters=state.num_params(plan.state),
    prediction_flops=counted["flops"],
    step_flops=flops.count(step, plan.state, plan.batch(1), 1),
  )


def measure(path: pathlib.Path, turns: int) -> None:
  """Measures all networks on this machine, which takes minutes.

  They take turns, so that other load on the machine affects all alike. Each is prepared anew in its
  turn, as they do not fit into memory together; the compiled programs come from the cache.

  Args:
    path: the file to write.
    turns: how often each has its turn, of three timed predictions and train steps; the file has the
      medians.
  """
  jax.config.update("jax_num_cpu_devices", _DEVICES)
  processes.keep_compiled_programs()
  bytes_needed = {}
  for name in registry.NETWORKS:
    print(f"compiling {name}", file=sys.stderr)
    bytes_needed[name] = _plan(name, _DEVICES).cost(_DEVICES).total
  times = {name: collections.defaultdict(list) for name in registry.NETWORKS}
  for turn in range(turns):
    for name in registry.NETWORKS:
      print(f"turn {turn + 1} of {turns}: {name}", file=sys.stderr)
      for kind, function in _prepare(name).items():
        times[name][kind] += [_seconds(function) for _ in range(3)]
  measured = {
    name: count(name)._asdict()
    | {"step_bytes": bytes_needed[name]}
    | {kind: round(statistics.median(seconds), 4) for kind, seconds in times[name].items()}
    for name in registry.NETWORKS
  }
  about = {"date": datetime.date.today().isoformat(), "hardware": _hardware()}
  files.write_json(path, {**about, "jax": jax.__version__, "networks": measured})


def read(path: pathlib.Path) -> dict[str, Any]:
  """Reads what `measure` wrote.

  Raises:
    UserError: it is missing, or was measured with other networks than are registered.
  """
  content = files.read_json(path)
  if differ := sorted(set(content["networks"]) ^ set(registry.NETWORKS)):
    raise errors.UserError(
      f"{path}: it and the registry of networks differ in {', '.join(differ)}: measure again, "
      "with --speeds"
    )
  return content


def _plan(name: str, num_devices: int) -> cost.StepPlan:
  """The train step of the street scenes' configuration with a network as published."""
  config = street_scenes.get_config()
  config.input.batch_size = num_devices
  config.evals.val.batch_size = num_devices
  base_config.set_network(config, name)
  devices = jax.devices()[:num_devices]
  return cost.StepPlan(parts.build(config, num_devices), SIZE, devices)


def _prepare(name: str) -> dict[str, Callable[[], Any]]:
  """Compiles a network, and returns what is to be timed, after a first time."""
  plan = _plan(name, _DEVICES)
  random = np.random.default_rng(0)
  shape = (_DEVICES, 1, *SIZE)
  batch = {
    "image": random.integers(256, size=(*shape, 3), dtype=np.uint8),
    "label": random.integers(19, size=shape, dtype=np.uint8),
  }
  made, step = (
    plan.parts.init_state(SIZE, plan.parts.config.total_steps),
    plan.parts.map_train_step(),
  )
  predict = jax.pmap(
    functools.partial(fitting.predict, plan.parts.model, size=SIZE), in_axes=(None, 0)
  )

  def train() -> Any:
    nonlocal made
    made, metrics = step(made, batch)
    return made, metrics

  take = {
    "prediction_seconds": lambda: predict(made.eval_variables, batch["image"]),
    "step_seconds": train,
  }
  for function in take.values():
    jax.block_until_ready(function())
  return take


def _hardware() -> str:
  """The number and the kind of the processor's cores."""
  kind = platform.processor() or platform.machine()
  cpuinfo = pathlib.Path("/proc/cpuinfo")
  if cpuinfo.exists() and (found := re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.M)):
    kind = found[1]
  return f"{os.cpu_count()} cores of an {kind}"


def _seconds(function: Callable[[], Any]) -> float:
  start = time.perf_counter()
  jax.block_until_ready(function())
  return time.perf_counter() - start
