import json
import pathlib

import ml_collections
import pytest

from flax_unet.errors import UserError
from flax_unet.training import workdir


def _config(**changes):
  config = ml_collections.ConfigDict(
    {
      "lr": 0.1,
      "total_epochs": None,
      "ckpt_steps": 100,
      "input": {"batch_size": 8, "workers": 0, "data": {"data_dir": None}},
      "evals": {"val": {"inference": {"scales": (1.0,)}}},
    }
  )
  with config.ignore_type():
    config.update_from_flattened_dict(changes)
  return config


@pytest.mark.parametrize(
  ("given", "config_file", "expected"),
  [
    (None, "configs/street_scenes.py", "runs/street_scenes"),
    (None, "/a/b/cityscapes.py:paper", "runs/cityscapes_paper"),
    (None, "configs/cityscapes.py:width=32,res=256x512", "runs/cityscapes_width_32_res_256x512"),
    ("/tmp/run", "configs/cityscapes.py:paper", "/tmp/run"),
    ("~/run", "configs/cityscapes.py", f"{pathlib.Path.home()}/run"),
  ],
)
def test_default_folder_is_named_after_the_config(given, config_file, expected):
  assert str(workdir.choose(given, config_file)) == expected


def test_configuration_is_kept(tmp_path):
  folder = tmp_path / "runs" / "first"
  workdir.open_workdir(folder, _config())
  assert json.loads((folder / "config.json").read_text()) == {
    "lr": 0.1,
    "total_epochs": None,
    "ckpt_steps": 100,
    "input": {"batch_size": 8, "workers": 0, "data": {"data_dir": None}},
    "evals": {"val": {"inference": {"scales": [1.0]}}},
  }
  workdir.open_workdir(folder, _config())  # the same again goes on


def test_what_changes_no_result_may_change(tmp_path):
  workdir.open_workdir(tmp_path, _config())
  changes = {"ckpt_steps": 50, "input.workers": 4, "input.data.data_dir": "/data"}
  workdir.open_workdir(tmp_path, _config(**changes))
  assert json.loads((tmp_path / "config.json").read_text())["input"]["workers"] == 4


def test_another_configuration_is_refused_with_what_differs(tmp_path):
  workdir.open_workdir(tmp_path, _config())
  (tmp_path / "checkpoints").mkdir()
  before = (tmp_path / "config.json").read_bytes()
  changed = _config(**{"lr": 0.2, "input.batch_size": 16, "input.workers": 4})
  del changed.total_epochs
  with pytest.raises(UserError) as error:
    workdir.open_workdir(tmp_path, changed)
  assert str(error.value) == (
    f"{tmp_path} holds a run of another configuration (input.batch_size: 8 there, 16 now; lr: 0.1 "
    "there, 0.2 now). Use these settings again to go on with it, or start a new run with "
    "--workdir=DIR"
  )
  assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_that_failed_before_it_began_may_be_corrected(tmp_path):
  workdir.open_workdir(tmp_path, _config())
  workdir.open_workdir(tmp_path, _config(lr=0.2))
  assert json.loads((tmp_path / "config.json").read_text())["lr"] == 0.2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
  (tmp_path / "file").touch()
  for folder in (tmp_path / "file" / "run", pathlib.Path("/proc/run")):
    with pytest.raises(UserError, match=rf"cannot write to {folder} \(.+\): .*--workdir=DIR"):
      workdir.open_workdir(folder, _config())


def test_run_info_tells_what_it_ran_on(tmp_path):
  workdir.write_run_info(tmp_path, steps=3)
  info = json.loads((tmp_path / "run.json").read_text())
  assert info["steps"] == 3
  assert len(info["devices"]) == 4
  assert info["processes"] == 1
  assert info["peak_memory"]["host"] > 50e6  # bytes: jax alone takes more
  assert {"python", "flax_unet", "jax", "numpy", "grain"} <= set(info["versions"])
