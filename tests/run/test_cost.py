import functools

import jax
import numpy as np
import pytest

from configs import cityscapes
from flax_unet.run import chips, cost, experiment, parts
from flax_unet.training.state import num_params


def _plan(devices=4, **changes):
  config = cityscapes.get_config("runlocal")
  fixed = {"input.batch_size": 4, "evals.val.batch_size": 4, "model.width": 4, "model.depth": 1}
  config.update_from_flattened_dict(fixed | changes)
  return cost.StepPlan(parts.build(config, devices), (32, 64), jax.devices()[:devices])


def _bytes(tree):
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def test_parameters_are_those_of_the_model():
  # 3x3 convolutions, two per block, without biases; each with a scale and a bias.
  blocks = [(3, 4), (4, 8), (8, 4)]
  convolutions = sum(9 * (a * b + b * b) + 4 * b for a, b in blocks)
  upsampling = 4 * 8 * 4 + 4
  assert num_params(_plan().state) == convolutions + upsampling + 4 * 19 + 19


def test_arguments_are_the_state_and_a_device_s_part_of_the_batch():
  plan = _plan(**{"model.dropout": 0.1})  # without it, the key would not be used
  pixels = 8 // 4 * 32 * 64
  assert plan.cost(8).arguments == _bytes(plan.state) + pixels * (3 + 1)
  # Parameters, their average and their momentum, and small things.
  assert _bytes(plan.state) > 3 * 4 * num_params(plan.state)


def test_costs_grow_with_the_batch_and_are_shared_by_the_devices():
  four, one = _plan(devices=4), _plan(devices=1)
  small, large, alone = four.cost(4), four.cost(16), one.cost(16)
  np.testing.assert_allclose(large.flops, 4 * small.flops, rtol=0.1)
  np.testing.assert_allclose(alone.flops, 4 * large.flops, rtol=0.02)
  assert 2 * small.temporaries < large.temporaries < alone.temporaries
  for item in (small, large, alone):
    assert item.arguments + item.temporaries <= item.total


def test_remat_trades_operations_for_memory():
  plain, remat = (_plan(**{"model.remat": value}).cost(4) for value in (False, True))
  assert 1.2 * plain.flops < remat.flops < 1.4 * plain.flops
  assert remat.temporaries < plain.temporaries


def test_accumulation_takes_less_memory_for_the_same_operations():
  plain, halves = (
    _plan(accumulate_steps=number, **{"input.batch_size": 16}).cost(16) for number in (1, 2)
  )
  np.testing.assert_allclose(halves.flops, plain.flops, rtol=0.02)
  assert halves.temporaries < 0.7 * plain.temporaries


def test_operations_are_those_of_the_convolutions():
  # Forward pass and two gradients, without the gradient of the image: 2 FLOPs per product.
  pixels, half = 4 * 32 * 64, 32 * 64
  first = 2 * 2 * 9 * 3 * 4 * pixels
  others = 3 * 2 * (9 * (4 * 4 + 8 * 4 + 4 * 4) * pixels + 9 * (4 * 8 + 8 * 8) * half)
  ends = 3 * 2 * (4 * 19 * pixels + 8 * 4 * pixels)
  convolutions = first + others + ends
  flops = _plan(devices=1).cost(4).flops
  assert 0.95 * convolutions < flops < 1.25 * convolutions


def test_the_step_lowers_for_gpus():
  exported = _plan().export("cuda", 4)
  assert exported.platforms == ("cuda",)
  assert exported.nr_devices == 4
  text = exported.mlir_module()
  assert "stablehlo.convolution" in text
  assert "stablehlo.all_reduce" in text
  assert "custom_call" not in text


def test_flops_of_a_run_are_those_of_all_devices():
  built = _plan().parts
  run = experiment.Experiment(built, None, {}, {}, (32, 64), {}, built.config.total_steps, None)
  all_devices = run.flops_per_step(run.init_state())
  np.testing.assert_allclose(all_devices, _plan(devices=1).cost(4).flops, rtol=0.05)


@pytest.mark.parametrize("start", [1, 5, 64, 300])
@pytest.mark.parametrize("largest", [0, 1, 2, 7, 100, 299])
def test_largest_batch(start, largest):
  def bytes_needed(size):
    return 50 + 10 * size if size <= 150 else None

  found = cost.largest_batch(bytes_needed, 50 + 10 * largest + 9, start)
  assert found == min(largest, 150)


def test_largest_batch_takes_few_compilations():
  sizes = []

  def bytes_needed(size):
    sizes.append(size)
    return 1000 + 10 * size

  assert cost.largest_batch(bytes_needed, 2000, start=2) == 100
  assert sizes == [2, 4, 32, 100, 101]


def test_largest_batch_where_memory_does_not_grow_linearly():
  bytes_needed = functools.partial(np.interp, xp=[0, 10, 1000], fp=[0, 900, 1000])
  assert cost.largest_batch(lambda size: int(bytes_needed(size)), 950, start=3) == 514


def test_time_at_peak():
  chip = next(chip for chip in chips.CHIPS if chip.name == "v5e")
  step = cost.Cost(flops=197e12, traffic=2 * 819e9, arguments=0, temporaries=0, total=0)
  assert step.seconds_at_peak(chip) == {"FLOPs": 1.0, "memory traffic": 2.0}
