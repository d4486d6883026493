import importlib.util
import subprocess
import sys

import pytest

_SMALL = (
  "--config=configs/cityscapes.py:runlocal",
  "--config.model.width=4",
  "--config.model.depth=1",
  "--config.input.batch_size=4",
  "--config.evals.val.batch_size=8",
  "--config.input.pp=label_map|random_crop(32, 64)",
)
_NEEDS_LIBTPU = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed"
)


def _plan(*arguments):
  command = [sys.executable, "-m", "flax_unet.tools.plan", *arguments]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def _facts(result):
  """The printed facts, by name."""
  lines = (line.partition("  ") for line in result.stdout.splitlines())
  return {name: value.strip() for name, _, value in lines if name}


def test_plan_for_this_machine():
  result = _plan(*_SMALL, "--memory_gib=0.01", "--search")
  assert result.returncode == 0, result.stderr
  facts = _facts(result)
  assert facts["devices"] == "4 x cpu"
  assert facts["images"] == "1 per device, 32 x 64 pixels"
  assert facts["parameters"] == "1,839"  # see tests/training/test_cost.py
  assert facts["on GPUs"] == "lowers for CUDA; custom kernels: none"
  assert "of 10.24 MiB per device" in facts["total"]
  assert facts["fits"] == "yes"
  assert "estimate" not in facts  # this machine's peak rate is unknown

  tried = {}
  for line in result.stderr.splitlines():
    batch_size, _, memory = line.strip().removeprefix("batch ").partition(": ")
    tried[int(batch_size)] = float(memory.removesuffix(" MiB per device"))
  largest = int(facts["largest batch"].split()[0])
  assert facts["largest batch"] == f"{largest} ({largest // 4} per device)"
  assert tried[largest] <= 10.24 < tried[largest + 4]


def test_what_does_not_fit_is_told_with_the_exit_code():
  result = _plan(*_SMALL, "--memory_gib=0.0001")
  assert result.returncode == 1
  assert _facts(result)["fits"] == "no"


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((*_SMALL, "--topology=v5e:2x5"), "unknown TPU topology 'v5e:2x5': did you mean 'v5e:2x4'"),
    (
      (*_SMALL, "--config.input.batch_size=6"),
      "config.input.batch_size = 6 cannot be divided among 4 devices: use 4 or 8",
    ),
    (
      ("--config=configs/street_scenes.py", "--config.input.batch_size=4"),
      "config.input.pp = 'label_map|flip_lr' takes images in their original size: "
      "give it with --image_size=HEIGHTxWIDTH",
    ),
    (
      ("--config=configs/street_scenes.py", "--config.input.batch_size=4", "--image_size=9"),
      "--image_size=9: write HEIGHTxWIDTH, for example 512x1024",
    ),
  ],
)
def test_mistakes_are_one_line(arguments, message):
  result = _plan(*arguments)
  assert result.returncode == 1
  assert result.stderr.startswith(f"error: {message}")
  assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="libtpu is installed")
def test_without_libtpu_says_how_to_install_it():
  result = _plan(*_SMALL, "--topology=v5e:2x2")
  assert result.returncode == 1
  assert result.stderr == (
    "error: compiling for TPUs needs libtpu, which is not installed: pip install -e '.[tpu]'\n"
  )


@_NEEDS_LIBTPU
def test_a_batch_has_to_be_divisible_among_the_chips():
  result = _plan(*_SMALL, "--topology=v5e:2x4")
  assert result.returncode == 1
  assert "batch_size = 4 cannot be divided among 8 devices: use 8" in result.stderr


@_NEEDS_LIBTPU
def test_what_the_compiler_refuses_does_not_fit():
  result = _plan(
    *_SMALL,
    "--topology=v5e:2x2",
    "--config.input.batch_size=4096",
    "--config.input.pp=label_map|random_crop(512, 1024)",
  )
  assert result.returncode == 1
  assert "exceeds available HBM (15.75G)" in _facts(result)["fits"]


@_NEEDS_LIBTPU
def test_plan_for_tpus():
  result = _plan(*_SMALL, "--topology=v5e:2x2")
  assert result.returncode == 0, result.stderr
  facts = _facts(result)
  assert facts["devices"] == "4 x TPU v5 lite"
  assert facts["parameters"] == "1,839"
  assert "of 16.00 GiB per device" in facts["total"]
  assert facts["estimate"].startswith("at most ")
  assert "not measured" in result.stdout
