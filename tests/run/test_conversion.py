"""From a run to PyTorch files and back, and the errors on the way."""

import os
import pathlib
import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import street_scenes
from flax_unet import errors
from flax_unet.run import conversion, trained
from flax_unet.training import checkpoint
from flax_unet.weights import dialects, torch_files

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

ROOT = pathlib.Path(__file__).parents[2]


def _config(**model):
  config = street_scenes.get_config("runlocal")
  config.input.batch_size, config.evals.val.batch_size = 4, 4
  config.ema_decay = 0.9
  config.model.update({"width": 2, "depth": 1, **model})
  return config


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory, make_run):
  folder = tmp_path_factory.mktemp("run")
  return folder, make_run(folder, _config())


@pytest.mark.parametrize("suffix", torch_files.SUFFIXES)
def test_a_run_comes_back_bit_for_bit(run, tmp_path, suffix):
  folder, made = run
  file, again = tmp_path / f"new/unet{suffix}", tmp_path / "again"
  conversion.to_file(folder, "newest", file)
  conversion.to_run(str(file), _config(), again)
  found = trained.load(again, "newest")
  assert found.step == 0
  jax.tree.map(np.testing.assert_array_equal, found.variables, jax.device_get(made.eval_variables))
  # As `main.py` restores it: training continues from the same parameters and the same average.
  restored, place = checkpoint.Checkpoints(again).restore(0, jax.tree.map(np.zeros_like, made))
  jax.tree.map(np.testing.assert_array_equal, restored.params, made.ema_params)
  jax.tree.map(np.testing.assert_array_equal, restored.ema_params, made.ema_params)
  assert place["examples_seen"] == 0


def test_a_file_from_pytorch_is_read_as_it_is(run, tmp_path):
  folder, made = run
  dialect = dialects.for_model(trained.load(folder, "newest").model)
  state_dict = dialect.state_dict(jax.device_get(made.eval_variables))
  halves = {
    name: torch.from_numpy(x).half() if x.ndim else torch.from_numpy(x)
    for name, x in state_dict.items()
  }
  torch.save(halves | {"mask_values": [0, 1]}, tmp_path / "unet.pth")
  read = torch_files.read(tmp_path / "unet.pth")
  assert read.keys() == state_dict.keys()
  for name, x in state_dict.items():
    np.testing.assert_array_equal(read[name], x.astype(np.float16).astype(np.float32))


class _Attack:
  def __reduce__(self):
    return os.mkdir, ("attacked",)


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  torch.save({"inc": _Attack()}, "evil.pth")
  pathlib.Path("plain.pth").write_bytes(pickle.dumps(_Attack()))
  for name in ("evil.pth", "plain.pth"):
    with pytest.raises(errors.UserError, match="cannot be read as a state dict") as info:
      torch_files.read(pathlib.Path(name))
    assert "\n" not in str(info.value)
  assert not pathlib.Path("attacked").exists()


def _fails(match, function, *arguments):
  with pytest.raises(errors.UserError, match=match) as info:
    function(*arguments)
  assert "\n" not in str(info.value)


def test_mistakes_are_told_in_one_line(run, make_run, tmp_path, monkeypatch):
  folder, _ = run
  file, new = tmp_path / "unet.pth", tmp_path / "new"
  conversion.to_file(folder, "best", file)
  _fails(
    "must end with .pth, .pt, .safetensors",
    conversion.to_file,
    folder,
    "newest",
    tmp_path / "x.npz",
  )
  _fails("holds no run", conversion.to_file, tmp_path, "newest", file)
  (tmp_path / "file").touch()
  _fails("cannot be written", conversion.to_file, folder, "newest", tmp_path / "file/unet.pth")
  _fails("there is no such file", conversion.to_run, f"{tmp_path}/no.pth", _config(), new)
  for name in ("broken.pth", "broken.safetensors"):
    (tmp_path / name).write_bytes(file.read_bytes()[:100])
    _fails(
      "cannot be read as a state dict", conversion.to_run, f"{tmp_path}/{name}", _config(), new
    )
  torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
  _fails(
    "other.pth: nearest to torchvision's resnet18, with 100 tensors missing, such as 'conv1",
    conversion.to_run,
    f"{tmp_path}/other.pth",
    _config(),
    new,
  )
  _fails("holds a run already", conversion.to_run, str(file), _config(), folder)
  _fails("config.model: .*norm='group'", conversion.to_run, str(file), _config(norm="group"), new)
  config = _config()
  config.label_space, config.class_weights = "voc_21", None
  _fails("which differ in logits$", conversion.to_run, str(file), config, new)
  assert not new.exists()
  valid = tmp_path / "valid"
  make_run(valid, _config(padding="valid"))
  _fails("valid: .*padding='valid' does not fit", conversion.to_file, valid, "newest", file)
  monkeypatch.setitem(sys.modules, "torch", None)
  monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
  _fails("need the package torch", torch_files.read, file)
  _fails("need the package safetensors", torch_files.write, tmp_path / "x.safetensors", {})


def test_the_command(run, tmp_path):
  def command(*arguments):
    return subprocess.run(
      [sys.executable, "-m", "flax_unet.tools.convert", *arguments],
      capture_output=True,
      text=True,
      cwd=ROOT,
      check=False,
    )

  result = command(f"--workdir={run[0]}", f"--output={tmp_path / 'unet.safetensors'}")
  assert result.returncode == 0, result.stderr
  (line,) = result.stderr.splitlines()
  assert line.endswith(
    f"Wrote step 10 of {run[0]} to {tmp_path / 'unet.safetensors'}, for milesial/Pytorch-UNet"
  )
  result = command(f"--workdir={run[0]}", "--input=unet.pth")
  assert result.returncode == 1
  assert result.stderr == ("error: --input needs --config=FILE, the configuration of the new run\n")
