"""Plans a run: fills in the settings that `config.plan.rules` leaves to be chosen from the data.

`planning.rules` says what is chosen and why. This module inspects the data and the machine, and
compiles the resulting step to see whether it fits into memory.
"""

import dataclasses
import json
import os
import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from absl import logging

from flax_unet import errors, nested, tables, terminal
from flax_unet.data import datasets, label_spaces
from flax_unet.planning import facts, rules
from flax_unet.planning.situation import Choice, Machine, Situation, Step
from flax_unet.run import cost, experiment, parts, processes, workdir

_USABLE = 0.9  # of a device's memory
_NARROWEST = 8  # channels of the first level
_TIMED_STEPS = 5

Row = dict[str, str]  # "setting", "choice" and "reason"


def settle(config: ml_collections.ConfigDict) -> tuple[ml_collections.ConfigDict, list[Row]]:
  """Chooses the settings that are left open. All processes of a run get the same.

  Args:
    config: the configuration.

  Returns:
    The configuration with all settings chosen, and a row for each choice; the same configuration
    and no rows if nothing is open.

  Raises:
    UserError: a setting is out of range, the data cannot be used, or no plan fits into memory.
  """
  if not config.plan.rules:
    return config, []
  for name in config.plan.rules:
    if name not in rules.RULES:
      raise errors.unknown("rule in config.plan.rules", name, rules.RULES)
  if config.plan.hours is not None and jax.process_count() > 1:
    raise errors.UserError(
      f"config.plan.hours = {config.plan.hours}: only a run of one process is timed; give "
      "config.total_steps"
    )
  if config.plan.hours is not None and "length" not in config.plan.rules:
    raise errors.UserError(
      f"config.plan.hours = {config.plan.hours} and config.total_steps or total_epochs both give "
      "the length of the run: leave one of them out"
    )
  # Each process plans, since opening data needs all of them, and takes the plan of the first.
  settings, rows = json.loads(processes.broadcast(json.dumps(_plan(config))))
  return workdir.replaced(config, {**settings, "plan.rules": ()}), rows


def show(rows: list[Row]) -> str:
  """Formats the choices as a table."""
  header = ("setting", "choice", "reason")
  return tables.text_table(header, [[row[name] for name in header] for row in rows])


def _plan(config: ml_collections.ConfigDict) -> tuple[dict[str, Any], list[Row]]:
  """Returns the settings by dotted key, and a row for each choice."""
  choices: dict[str, Choice] = {}
  situation = _apply(_situation(config), choices, needs_step=False)
  situation = _fit(situation, choices)
  situation = _apply(situation, choices, needs_step=True)
  chosen = nested.flatten(situation.config.to_dict())
  settings = {key: chosen[key] for choice in choices.values() for key in choice.settings}
  rows = []
  for name in rules.RULES:
    if choice := choices.get(name):
      rows.append({"setting": name, "choice": choice.value, "reason": choice.reason})
    elif not situation.is_open(name):
      rows.append({"setting": name, "choice": "as given", "reason": ""})
  return settings, rows


def _apply(situation: Situation, choices: dict[str, Choice], *, needs_step: bool) -> Situation:
  """Applies the rules that need to know what a step takes, or those that do not."""
  for name, rule in rules.RULES.items():
    if not situation.is_open(name) or rule.needs_step != needs_step:
      continue
    if choice := rule.choose(situation):
      choices[name] = choice
      situation = _chosen(situation, choice)
  return situation


def _situation(config: ml_collections.ConfigDict) -> Situation:
  """Checks what is given, and looks at the data and the machine."""
  devices = jax.device_count()
  to_choose = rules.keys(config.plan.rules, config)
  # Until they are chosen, batches are those that any number of devices can share.
  batches = ["input.batch_size", *(f"evals.{name}.batch_size" for name in config.evals)]
  config = workdir.replaced(config, {key: devices for key in batches if key in to_choose})
  fits_all_crops = {"model.depth": 1} if "model.depth" in to_choose else {}
  built = parts.build(workdir.replaced(config, fits_all_crops))
  label_space = label_spaces.get(config.label_space)
  skip_bad_examples = config.input.on_bad_example == "skip"
  dataset = datasets.open_dataset(
    config.input.data, label_space, skip_bad_examples, built.image_format
  )
  split = config.input.data.split
  found = facts.read_once(
    dataset.split(split),
    label_space,
    experiment.identity(dataset.fingerprint(), split),
    skip_bad_examples,
  )
  if unseen := [
    name
    for name, pixels in zip(label_space.class_names, found.class_pixels.sum(0), strict=True)
    if not pixels
  ]:
    logging.warning("No training mask has a pixel of %s: nothing can be learned", ", ".join(unseen))
  memory = cost.device_memory(jax.local_devices()[0])
  machine = Machine(
    is_cpu=jax.default_backend() == "cpu",
    devices=devices,
    cores=os.cpu_count() or 1,
    memory=int(config.plan.memory_gib * 2**30 if config.plan.memory_gib else _USABLE * memory),
  )
  return Situation(config, found, label_space.class_names, machine)


def _fit(situation: Situation, choices: dict[str, Choice]) -> Situation:
  """Compiles the step, and makes it smaller until it fits into memory.

  Raises:
    UserError: the smallest step does not fit.
  """
  logging.info("Compiling a train step, to see whether it fits into memory")
  limit = situation.machine.memory
  while True:
    config = situation.config
    plan = cost.StepPlan(parts.build(config), situation.crop, jax.local_devices())
    batch_size = config.input.batch_size // jax.process_count()
    try:
      needed = plan.cost(batch_size)
    except cost.DoesNotFitError as error:
      excess = str(error)
    else:
      if needed.total <= limit:
        is_timed = config.plan.hours is not None and situation.is_open("length")
        seconds = _seconds(plan, batch_size) if is_timed else None
        step = Step(needed.arguments, needed.total, seconds)
        return dataclasses.replace(situation, step=step)
      excess = f"it needs {terminal.memory(needed.total)} of each device's {terminal.memory(limit)}"
    if not (found := _smaller(situation)):
      height, width = situation.crop
      raise errors.UserError(
        f"no memory for any plan: a step of {config.input.batch_size} crops of {height} x {width} "
        f"does not fit ({excess}). Settings given by hand are not made smaller; give smaller ones, "
        "raise config.plan.memory_gib if it is set, or use a larger device"
      )
    name, choice = found
    choices[name] = choice
    situation = _chosen(situation, choice)


def _smaller(situation: Situation) -> tuple[str, Choice] | None:
  """Makes a step smaller: the batch first, then the crops, then the network.

  Returns:
    The rule whose choice is replaced, and the new choice; None if nothing is left.
  """
  config, devices = situation.config, situation.machine.devices
  batch, reason = config.input.batch_size, "the largest that fits into memory"
  if situation.is_open("batch") and batch > devices:
    batch = max(devices, batch // 2 // devices * devices)
    return "batch", Choice({"input.batch_size": batch}, f"{batch} crops", reason)
  multiple = situation.multiple
  if situation.is_open("crop") and max(situation.crop) > 2 * multiple:
    sides = (max(multiple, side // 2 // multiple * multiple) for side in situation.crop)
    height, width = sides
    settings = situation.with_crop(height, width)
    return "crop", Choice(settings, f"{height} x {width} pixels", reason)
  if situation.is_open("width") and "depth" in config.model and config.model.width > _NARROWEST:
    width = max(_NARROWEST, config.model.width // 2)
    return "width", Choice({"model.width": width}, f"{width} channels", reason)
  return None


def _seconds(plan: cost.StepPlan, batch_size: int) -> float:
  """Times a train step on all devices, the mean of some after the first."""
  step = plan.parts.map_train_step()
  total_steps = plan.parts.config.schedule.warmup_steps + 1
  state = plan.parts.init_state(plan.image_size, total_steps)
  batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), plan.batch(batch_size))
  state, _ = step(state, batch)
  jax.block_until_ready(state)
  begin = time.perf_counter()
  for _ in range(_TIMED_STEPS):
    state, _ = step(state, batch)
  jax.block_until_ready(state)
  return (time.perf_counter() - begin) / _TIMED_STEPS


def _chosen(situation: Situation, choice: Choice) -> Situation:
  """The situation after a choice."""
  return dataclasses.replace(situation, config=workdir.replaced(situation.config, choice.settings))
