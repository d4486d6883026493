"""What the rules of a plan see, and what they return."""

import dataclasses
import math
import re
from typing import Any, NamedTuple

import ml_collections

from flax_unet.planning.facts import Facts

_CROP = re.compile(r"\b(random_crop|balanced_crop|resize)\(\s*(\d+)\s*,\s*(\d+)")


@dataclasses.dataclass(frozen=True)
class Machine:
  """The devices at hand.

  Attributes:
    is_cpu: whether they are the cores of a CPU.
    devices: their number, over all processes.
    cores: CPU cores of this machine.
    memory: bytes that a run may use on each device.
  """

  is_cpu: bool
  devices: int
  cores: int
  memory: int

  @property
  def kind(self) -> str:
    """The device in words."""
    return "a CPU" if self.is_cpu else "an accelerator"


class Step(NamedTuple):
  """What a train step takes.

  Attributes:
    arguments: bytes on a device that stay, by the compiler's analysis: state and batch.
    total: bytes on a device at the peak.
    seconds: measured; None if nobody asked.
  """

  arguments: int
  total: int
  seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Situation:
  """What a plan is for, and how far it is.

  Attributes:
    config: the configuration with the choices so far.
    facts: of the training split.
    class_names: by class index.
    machine: the devices.
    step: what a step takes; None for the rules that decide about it.
  """

  config: ml_collections.ConfigDict
  facts: Facts
  class_names: tuple[str, ...]
  machine: Machine
  step: Step | None = None

  def is_open(self, rule: str) -> bool:
    """Whether a rule applies; if not, its settings were given by hand."""
    return rule in self.config.plan.rules

  @property
  def crop(self) -> tuple[int, int]:
    """Height and width of training examples: of the crops, or without any of the median image."""
    if found := _CROP.search(self.config.input.pp):
      return int(found[2]), int(found[3])
    height, width = self.facts.median_size
    return round(height), round(width)

  def with_crop(self, height: int, width: int) -> dict[str, Any]:
    """The settings that give crops another size."""
    return {"input.pp": _CROP.sub(rf"\1({height}, {width}", self.config.input.pp)}

  @property
  def multiple(self) -> int:
    """The sides of crops are multiples of this many pixels."""
    return 2 ** self.config.model.get("depth", 5)

  @property
  def scale(self) -> float:
    """The resolution that the network sees, relative to the files."""
    return next(iter(self.config.evals.values())).inference.scales[0]

  @property
  def working_size(self) -> tuple[float, float]:
    """Height and width of the median image at that resolution."""
    height, width = self.facts.median_size
    return height * self.scale, width * self.scale

  @property
  def num_steps(self) -> int:
    """The length of the run."""
    config = self.config
    if config.total_steps is not None:
      return config.total_steps
    return math.ceil(config.total_epochs * self.facts.num_images / config.input.batch_size)


class Choice(NamedTuple):
  """The choice of a rule.

  Attributes:
    settings: values by dotted key.
    value: the choice in words.
    reason: why.
  """

  settings: dict[str, Any]
  value: str
  reason: str
