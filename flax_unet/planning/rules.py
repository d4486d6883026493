"""The rules of a plan: what each setting should be for these data on this machine, and why.

The rules apply in the order of `RULES`, each building on the choices before it. The comment next to
a number says where it is from: "measured" refers to docs/results.md. Measurements were made on
CPUs; for accelerators, the numbers are those of published recipes.
"""

import fnmatch
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from flax_unet import nested, terminal
from flax_unet.planning.facts import Facts
from flax_unet.planning.situation import Choice, Situation

# In the same time, CamVid is learned better at two thirds of its resolution (measured).
_CPU_IMAGE = 240 * 320
_ACCELERATOR_IMAGE = 1024 * 2048  # Cityscapes, which published recipes do not shrink
_LEAST_OBJECT = 8  # pixels on a side: CamVid's bicyclists at half the resolution (measured)
_FULL_RESOLUTION = 0.9  # from this scale on, images are not resampled
_SCALES = (2 / 3, 4 / 3)  # augmentation, relative to the working resolution (measured)
_CROP_SIDE = 0.8  # of the image's sides: crops differ, and see most of the image (measured)
_CPU_CROP = 192 * 256  # measured
_ACCELERATOR_CROP = 512 * 1024  # mmsegmentation, Cityscapes
_DEPTH = 4  # downsampling steps in the published U-Net (Ronneberger et al. 2015)
_LEAST_BOTTOM = 4  # pixels on a side at the lowest level: nnU-Net (Isensee et al. 2021)
_CPU_WIDTH = 16  # measured
_ACCELERATOR_WIDTH = 32  # nnU-Net
_CPU_BATCH = (4, 32)  # 4 crops of 192 x 256, twice the steps, beat 8 (measured)
_ACCELERATOR_BATCH = (8, 64)  # mmsegmentation, Cityscapes: 16 crops of 512 x 1024 on four GPUs
_BATCH_SHARE = 0.05  # of the images: nnU-Net
_EPOCHS = 100  # CamVid: 98 (measured)
_FEWEST_STEPS = 1000  # what a network from scratch needs to learn anything (measured)
_MOST_STEPS = 160_000  # mmsegmentation, Cityscapes
_TRAINING_SHARE = 0.85  # of the hours; evaluation and the report take the rest (measured)
_AVERAGE = 9  # the moving average spans a ninth of the run: 0.999 in 9,000 steps (measured)
_FEWEST_AVERAGED = 100  # steps; in fewer, the average would be that of the start
_EVALUATIONS = 6
_RARE = 0.1  # of random crops hold the class
_FOCUSED = 0.33  # of the crops: nnU-Net
_EVAL_BATCH = 8  # images, over all devices
_OVERLAP_LOSSES = ("dice", "tversky", "lovasz")


class Rule(NamedTuple):
  """A rule.

  Attributes:
    keys: patterns of the settings that it chooses.
    choose: returns the choice; None if the configuration has no such setting.
    needs_step: whether it depends on what a step takes.
  """

  keys: tuple[str, ...]
  choose: Callable[[Situation], Choice | None]
  needs_step: bool = False


def _resolution(s: Situation) -> Choice | None:
  """Shrinks large images, as long as the objects of every common class keep 8 pixels.

  Limits the median image to 240 x 320 pixels on CPUs, and to 1024 x 2048 on accelerators.
  """
  if "random_scale(" not in s.config.input.pp:
    return None
  height, width = s.facts.median_size
  limit = _CPU_IMAGE if s.machine.is_cpu else _ACCELERATOR_IMAGE
  scale = (limit / (height * width)) ** 0.5
  reason = f"{limit:,} pixels per image, as many as {s.machine.kind} can train on"
  index, side = _smallest_objects(s.facts)
  if side and scale < _LEAST_OBJECT / side:
    scale = _LEAST_OBJECT / side
    reason = f"objects of {s.class_names[index]}, {side:.0f} pixels wide, keep {_LEAST_OBJECT}"
    if scale >= _FULL_RESOLUTION:
      reason = f"objects of {s.class_names[index]} are only {side:.0f} pixels wide"
  elif scale >= _FULL_RESOLUTION:
    reason = f"the median image has {height:.0f} x {width:.0f} pixels"
  scale = 1.0 if scale >= _FULL_RESOLUTION else round(scale, 3)
  low, high = (round(factor * scale, 3) for factor in _SCALES)
  pp = re.sub(r"random_scale\([^)]*\)", f"random_scale({low}, {high})", s.config.input.pp)
  settings = {f"evals.{name}.inference.scales": (scale,) for name in s.config.evals}
  value = "full" if scale == 1 else f"{scale:g} of full resolution"
  value += f", varied from {low:g} to {high:g}"
  return Choice({"input.pp": pp, **settings}, value, reason)


def _smallest_objects(facts: Facts) -> tuple[int, float]:
  """The class with the smallest objects of those in a tenth of the images, and their side."""
  common = (facts.class_pixels > 0).mean(axis=0) >= 0.1
  sides = np.where(common & (facts.class_sides > 0), facts.class_sides, np.inf)
  index = int(sides.argmin())
  return index, float(sides[index]) if np.isfinite(sides[index]) else 0.0


def _depth(s: Situation) -> Choice | None:
  """Halves the resolution four times, as published; less often for small crops.

  At least 4 pixels on a side are left at the lowest level.
  """
  if "depth" not in s.config.model:
    return None
  side = min(_wished_crop(s) if s.is_open("crop") else s.crop)
  depth = min(_DEPTH, max(1, int(math.log2(max(2, side / _LEAST_BOTTOM)))))
  reason = "as in the published U-Net"
  if depth < _DEPTH:
    reason = f"{depth + 1} would leave fewer than {_LEAST_BOTTOM} pixels of a crop"
  while not s.is_open("crop") and depth > 1 and any(side % 2**depth for side in s.crop):
    depth -= 1
    reason = f"crops of {s.crop[0]} x {s.crop[1]} pixels cannot be halved more often"
  return Choice({"model.depth": depth}, terminal.counted(depth, "downsampling step"), reason)


def _crop(s: Situation) -> Choice | None:
  """Crops 80 % of each side of a median image, with its aspect ratio.

  At most 192 x 256 pixels on CPUs, and 512 x 1024 on accelerators, or as many in another shape.
  """
  if "_crop(" not in s.config.input.pp:
    return None
  wished = _wished_crop(s)
  height, width = (max(1, round(side / s.multiple)) * s.multiple for side in wished)
  reason = f"{_CROP_SIDE:.0%} of each side of an image, in multiples of {s.multiple}"
  if math.prod(wished) < 0.99 * _CROP_SIDE**2 * math.prod(s.working_size):
    reason = f"with the aspect ratio of the images, as large as {s.machine.kind} can train on"
  return Choice(s.with_crop(height, width), f"{height} x {width} pixels", reason)


def _wished_crop(s: Situation) -> tuple[float, float]:
  """Height and width of crops, before they are rounded to what the network takes."""
  limit = _CPU_CROP if s.machine.is_cpu else _ACCELERATOR_CROP
  height, width = (_CROP_SIDE * side for side in s.working_size)
  shrink = min(1.0, (limit / (height * width)) ** 0.5)
  return height * shrink, width * shrink


def _sampling(s: Situation) -> Choice | None:
  """Centres a third of the crops on a class drawn at random, if some class is rare.

  A class is rare if it may be in less than a tenth of random crops. `balanced_crop` then replaces
  `random_crop`.
  """
  if "random_crop(" not in s.config.input.pp:
    return None
  pixels = s.facts.class_pixels
  covered = min(1.0, math.prod(s.crop) / math.prod(s.working_size))
  shares = pixels / s.facts.sizes.prod(axis=1, keepdims=True)
  # A crop of an image holds a class with the probability that it covers one pixel of it, or more.
  chances = np.where(pixels > 0, np.maximum(shares, covered), 0).mean(axis=0)
  present = np.flatnonzero(pixels.any(axis=0))
  if not len(present):
    return None
  rarest = min(present, key=lambda index: (chances[index], pixels[:, index].sum()))
  name, chance = s.class_names[rarest], float(chances[rarest])
  if chance >= _RARE:
    reason = f"the rarest class, {name}, is in at least {chance:.0%} of random crops"
    return Choice({}, "random crops", reason)
  crop = rf"balanced_crop(\1, share={_FOCUSED})"
  return Choice(
    {"input.pp": re.sub(r"random_crop\((\d+, \d+)\)", crop, s.config.input.pp)},
    f"{_FOCUSED:.0%} of the crops on a class drawn at random",
    f"the rarest class, {name}, may be in as few as {chance:.1%} of random crops",
  )


def _width(s: Situation) -> Choice | None:
  """16 channels at the first level on CPUs, 32 on accelerators.

  Networks whose width is that of published weights keep it.
  """
  if "width" not in s.config.model or "depth" not in s.config.model:
    return None  # the other networks have the width of their published weights
  width = _CPU_WIDTH if s.machine.is_cpu else _ACCELERATOR_WIDTH
  return Choice({"model.width": width}, f"{width} channels", f"what {s.machine.kind} can train")


def _batch(s: Situation) -> Choice:
  """4 to 32 crops on CPUs, 8 to 64 on accelerators: more if they are small.

  At most 5 % of the images, but never below that minimum.
  """
  machine, images = s.machine, s.facts.num_images
  least, most = _CPU_BATCH if machine.is_cpu else _ACCELERATOR_BATCH
  pixels = least * (_CPU_CROP if machine.is_cpu else _ACCELERATOR_CROP)
  wished = min(most, max(least, pixels / math.prod(s.crop)))
  few = max(least, _BATCH_SHARE * images)
  size = 2 ** int(math.log2(min(wished, few)))
  size = -(-size // machine.devices) * machine.devices
  reason = f"{pixels:,} pixels, but between {least} and {most} crops"
  if few < wished:
    reason = f"{_BATCH_SHARE:.0%} of {images:,} images, but at least {least}"
  return Choice({"input.batch_size": size}, f"{size} crops", reason)


def _workers(s: Situation) -> Choice:
  """Half of the cores prepare batches on CPUs, at most 4; on accelerators all but one, up to 16."""
  cores = s.machine.cores
  number = min(4, cores // 2) if s.machine.is_cpu else min(16, cores - 1)
  reason = f"{cores} cores" + ", which also train the network" * s.machine.is_cpu
  return Choice({"input.workers": max(1, number)}, f"{max(1, number)}", reason)


def _weights(s: Situation) -> Choice:
  """`median_frequency`, unless the loss weights classes equally by itself, as Dice does."""
  if any(name in s.config.loss for name in _OVERLAP_LOSSES):
    reason = f"{s.config.loss} weights classes equally (CamVid loses 0.02 with weights)"  # measured
    return Choice({"class_weights": None}, "none", reason)
  reason = f"{s.config.loss} averages over pixels, not classes"
  return Choice({"class_weights": "median_frequency"}, "median_frequency", reason)


def _inference(s: Situation) -> Choice:
  """Whole images, up to 8 at once; tiles if the largest could need too much memory.

  A pixel is assumed to need as much memory as in training, which overestimates it.
  """
  evals, devices = list(s.config.evals), s.machine.devices
  crops = -(-s.config.input.batch_size // devices)
  bytes_a_pixel = (s.step.total - s.step.arguments) / (math.prod(s.crop) * crops)
  height, width = s.facts.largest_size
  needed = height * width * s.scale**2 * bytes_a_pixel
  left = s.machine.memory - s.step.arguments
  need = f"{height} x {width}, the largest, may need {terminal.memory(needed)}"
  for number in (8, 4, 2, 1):
    if number <= max(1, _EVAL_BATCH // devices) and number * needed <= left:
      settings: dict[str, Any] = {f"evals.{name}.inference.mode": "whole" for name in evals}
      settings |= {f"evals.{name}.batch_size": number * devices for name in evals}
      value = f"whole images, {number * devices} at once"
      return Choice(settings, value, f"{need} of {terminal.memory(left)}")
  tile = tuple(-(-round(side / s.scale) // s.multiple) * s.multiple for side in s.crop)
  overlap = min(tile) // 4 // s.multiple * s.multiple
  reason = f"{need}, but {terminal.memory(left)} are left"
  settings = {}
  for name in evals:
    settings[f"evals.{name}.batch_size"] = devices
    settings[f"evals.{name}.inference.mode"] = "tiles"
    settings[f"evals.{name}.inference.tile"] = tile
    settings[f"evals.{name}.inference.overlap"] = overlap
  return Choice(settings, f"tiles of {tile[0]} x {tile[1]}, overlapping by {overlap}", reason)


def _length(s: Situation) -> Choice:
  """100 epochs, but between 1,000 and 160,000 steps; or what `config.plan.hours` allows."""
  config, images = s.config, s.facts.num_images
  if config.plan.hours is not None:
    steps = max(1, int(_TRAINING_SHARE * config.plan.hours * 3600 / s.step.seconds))
    reason = f"{_TRAINING_SHARE:.0%} of {config.plan.hours:g} hours, {s.step.seconds:.3g} s/step"
  else:
    wished = math.ceil(_EPOCHS * images / config.input.batch_size)
    steps = min(_MOST_STEPS, max(_FEWEST_STEPS, wished))
    reason = f"{_EPOCHS} epochs, but between {_FEWEST_STEPS:,} and {_MOST_STEPS:,} steps"
  epochs = steps * config.input.batch_size / images
  value = f"{steps:,} steps, {epochs:,.0f} epochs" if epochs >= 10 else f"{steps:,} steps"
  return Choice({"total_steps": steps, "total_epochs": None}, value, reason)


def _average(s: Situation) -> Choice:
  """A moving average of the weights over a ninth of the run."""
  if s.num_steps < _FEWEST_AVERAGED:
    return Choice({"ema_decay": None}, "none", f"fewer than {_FEWEST_AVERAGED} steps")
  decay = round(1 - _AVERAGE / s.num_steps, 5)
  return Choice({"ema_decay": decay}, f"decay {decay:g}", f"over 1/{_AVERAGE} of the steps")


def _evaluations(s: Situation) -> Choice:
  """Evaluates six times in the run; test splits only at its end."""
  every = -(-s.num_steps // _EVALUATIONS)
  times = -(-s.num_steps // every)
  names = [name for name, part in s.config.evals.items() if part.split != "test"]
  settings = {f"evals.{name}.log_steps": every for name in names}
  value = f"every {terminal.counted(every, 'step')}"
  return Choice(settings, value, f"{terminal.counted(times, 'time')} per run")


_HOW_TO_PREDICT = tuple(
  f"evals.*.{key}"
  for key in ("inference.mode", "inference.tile", "inference.overlap", "batch_size")
)
RULES = {
  "resolution": Rule(("input.pp", "evals.*.inference.scales"), _resolution),
  "depth": Rule(("model.depth",), _depth),
  "crop": Rule(("input.pp",), _crop),
  "sampling": Rule(("input.pp",), _sampling, needs_step=True),
  "width": Rule(("model.width",), _width),
  "batch": Rule(("input.batch_size",), _batch),
  "workers": Rule(("input.workers",), _workers),
  "class weights": Rule(("class_weights",), _weights),
  "inference": Rule(_HOW_TO_PREDICT, _inference, needs_step=True),
  "length": Rule(("total_steps", "total_epochs"), _length, needs_step=True),
  "average": Rule(("ema_decay",), _average, needs_step=True),
  "evaluations": Rule(("evals.*.log_steps",), _evaluations, needs_step=True),
}


def keys(names: Iterable[str], config: ml_collections.ConfigDict) -> list[str]:
  """The dotted keys in a configuration that rules choose."""
  patterns = [pattern for name in names for pattern in RULES[name].keys]
  flat = nested.flatten(config.to_dict())
  return [key for key in flat if any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)]
