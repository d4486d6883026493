import json
import pathlib

import ml_collections
import pytest

from configs import folder as folder_config
from flax_unet.data import label_spaces
from flax_unet.errors import UserError
from flax_unet.run import workdir


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
    (None, "configs/folder.py:images=photos,labels=masks,num_classes=3", "runs/folder_photos"),
    (None, "/c/folder.py:labels=a/cells/masks,images=a/cells/images/", "runs/folder_cells"),
    (None, f"configs/cityscapes.py:{'x' * 200}", f"runs/cityscapes_{'x' * 69}"),
    ("/tmp/run", "configs/cityscapes.py:paper", "/tmp/run"),
    ("~/run", "configs/cityscapes.py", f"{pathlib.Path.home()}/run"),
  ],
)
def test_default_folder_is_named_after_the_config(given, config_file, expected):
  assert str(workdir.choose(given, config_file)) == expected


def _open(folder, config, fresh=False):
  changes = workdir.check_config(folder, config, fresh=fresh)
  workdir.write_config(folder, config)
  return changes


def test_configuration_is_kept(tmp_path):
  folder = tmp_path / "runs" / "first"
  assert _open(folder, _config(), fresh=True) == []
  assert json.loads((folder / "config.json").read_text()) == {
    "lr": 0.1,
    "total_epochs": None,
    "ckpt_steps": 100,
    "input": {"batch_size": 8, "workers": 0, "data": {"data_dir": None}},
    "evals": {"val": {"inference": {"scales": [1.0]}}},
  }
  written = (folder / "config.json").stat().st_mtime_ns
  assert _open(folder, _config()) == []  # the same settings resume
  assert (folder / "config.json").stat().st_mtime_ns == written


def test_what_changes_no_result_may_change(tmp_path):
  _open(tmp_path, _config(), fresh=True)
  changes = {"ckpt_steps": 50, "input.workers": 4, "input.data.data_dir": "/data"}
  assert _open(tmp_path, _config(**changes)) == []
  assert json.loads((tmp_path / "config.json").read_text())["input"]["workers"] == 4


def test_what_errors_advise_to_change_may_change_and_is_told(tmp_path):
  _open(tmp_path, _config(), fresh=True)
  changes = {"lr": 0.05, "evals.val.inference.scales": (0.5, 1.0)}
  assert _open(tmp_path, _config(**changes)) == [
    {"key": "evals.val.inference.scales", "from": [1.0], "to": [0.5, 1.0]},
    {"key": "lr", "from": 0.1, "to": 0.05},
  ]
  assert json.loads((tmp_path / "config.json").read_text())["lr"] == 0.05


def test_another_configuration_is_refused_with_what_differs(tmp_path):
  _open(tmp_path, _config(), fresh=True)
  before = (tmp_path / "config.json").read_bytes()
  changed = _config(**{"lr": 0.2, "input.batch_size": 16, "input.workers": 4})
  del changed.total_epochs
  changed.seed = 1
  with pytest.raises(UserError) as error:
    _open(tmp_path, changed)
  assert str(error.value) == (
    f"{tmp_path} holds a run of another configuration (input.batch_size: 8 there, 16 now; seed: "
    "0 there, 1 now). Use these settings again to resume it, or start a new run with "
    f"--workdir=DIR (from its weights, with --config.init_from={tmp_path})"
  )
  assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_without_a_checkpoint_may_be_corrected(tmp_path):
  _open(tmp_path, _config(), fresh=True)
  assert _open(tmp_path, _config(**{"input.batch_size": 4}), fresh=True) == [
    {"key": "input.batch_size", "from": 8, "to": 4}
  ]
  assert json.loads((tmp_path / "config.json").read_text())["input"]["batch_size"] == 4


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
  (tmp_path / "file").touch()
  for folder in (tmp_path / "file" / "run", pathlib.Path("/proc/run")):
    with pytest.raises(UserError, match=rf"cannot write to {folder} \(.+\): .*--workdir=DIR"):
      _open(folder, _config(), fresh=True)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"", "is empty"),
    (b'{"lr": 0.', "is not JSON, or was cut off"),
    (b"[1]", "is not a JSON object"),
  ],
)
def test_a_damaged_configuration_is_one_line(tmp_path, content, message):
  (tmp_path / "config.json").write_bytes(content)
  with pytest.raises(UserError, match=rf"config.json: {message}"):
    _open(tmp_path, _config())


class _Dataset:
  """Two splits of examples whose content is a number."""

  def __init__(self, train, validation, with_digests=True):
    self._splits = {"train": train, "validation": validation}
    self._with_digests = with_digests

  def fingerprint(self):
    return {"name": "data", "splits": {name: str(split) for name, split in self._splits.items()}}

  def digests(self):
    return self._splits if self._with_digests else {}


BEGAN = _Dataset({"a": "1", "b": "2", "c": "3"}, {"d": "4"})
CLASSES = label_spaces.get("3_classes")


@pytest.mark.parametrize(
  ("dataset", "changes"),
  [
    (_Dataset({"a": "1", "b": "2", "c": "3", "e": "5"}, {"d": "4"}), "1 example added to train: e"),
    (
      _Dataset({"a": "1", "b": "7"}, {"d": "4"}),
      "1 example removed from train: c; 1 example edited in train: b",
    ),
    (_Dataset({}, {}, with_digests=False), "3 examples removed from train: a, b, c; .*"),
  ],
)
def test_data_that_changed_since_the_run_began_are_refused(tmp_path, dataset, changes):
  workdir.check_data(tmp_path, {}, BEGAN, CLASSES)
  info = {"data": BEGAN.fingerprint()}
  workdir.check_data(tmp_path, info, BEGAN, CLASSES)
  with pytest.raises(UserError, match=rf"data of .* have changed since it began \({changes}\), so"):
    workdir.check_data(tmp_path, info, dataset, CLASSES)


def test_classes_that_changed_since_the_run_began_are_refused(tmp_path):
  file = tmp_path / "classes.csv"
  file.write_text("name,r,g,b\ndisc,0,0,0\nbox,1,1,1\n")
  workdir.check_data(tmp_path, {}, BEGAN, label_spaces.get(str(file)))
  file.write_text("name,r,g,b\nbox,0,0,0\ndisc,1,1,1\n")
  with pytest.raises(UserError, match=r"have changed .*class 0 was 'disc' and is 'box' now"):
    workdir.check_data(tmp_path, {"data": BEGAN.fingerprint()}, BEGAN, label_spaces.get(str(file)))


def test_a_run_of_an_earlier_version_resumes(tmp_path):
  config = folder_config.get_config("images=a,labels=b,num_classes=3")
  workdir.write_config(tmp_path, config)
  path = tmp_path / "config.json"
  content = json.loads(path.read_text())
  del content["images"], content["input"]["data"]["extra"], content["input"]["data"]["extra_suffix"]
  path.write_text(json.dumps(content))
  assert workdir.check_config(tmp_path, config, fresh=False) == []
