"""Programs load libraries that take seconds to import only if they use them."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from configs import folder
from flax_unet.run import loop, workdir

_HEAVY = ("tensorflow", "tensorflow_datasets", "clu", "matplotlib", "grain", "orbax", "jax")
_RUN = """
import json, runpy, sys
sys.argv = json.loads(sys.argv[1])
try:
  runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
  code = end.code or 0
else:
  code = 0
loaded = [name for name in {heavy} if name in sys.modules]
print("LOADED", json.dumps([code, loaded]))
"""


@pytest.fixture(name="root", scope="module")
def _root(tmp_path_factory):
  """A run on four images, its export, and the folders of these images."""
  root = tmp_path_factory.mktemp("imports")
  rng = np.random.default_rng(0)
  for name, high in (("images", 256), ("labels", 2)):
    (root / name).mkdir()
    for index in range(4):
      pixels = rng.integers(0, high, (32, 32), np.uint8)
      cv2.imwrite(str(root / name / f"{index}.png"), pixels)
  arguments = f"images={root}/images,labels={root}/labels,num_classes=2,width=2,model=unet"
  settings = {
    "plan.rules": (),
    "input.pp": "label_map|random_crop(32, 32)",
    "input.batch_size": 4,
    "input.workers": 0,
    "evals.val.pp": "label_map",
    "evals.val.batch_size": 4,
    "evals.val.num_pictures": 1,
    "model.depth": 1,
    "total_steps": 1,
    "total_epochs": None,
  }
  assert loop.train(workdir.replaced(folder.get_config(arguments), settings), root / "run") == 0
  return root


def _loaded(root, module, *arguments):
  """Runs a program, and returns which of the heavy libraries it has loaded."""
  command = [f"flax_unet.tools.{module}", *(text.format(root=root) for text in arguments)]
  result = subprocess.run(
    [sys.executable, "-c", _RUN.format(heavy=_HEAVY), json.dumps(command)],
    capture_output=True,
    text=True,
    check=False,
  )
  assert "LOADED " in result.stdout, result.stderr
  code, loaded = json.loads(result.stdout.rpartition("LOADED ")[2])
  assert code == 0, result.stderr
  return loaded


@pytest.mark.parametrize("module", ["train", "score", "compare", "export", "predict"])
def test_help_needs_none_of_them(root, module):
  allowed = {"train": ["jax"], "export": ["orbax", "jax"], "predict": ["orbax", "jax"]}
  assert _loaded(root, module, "--help") == allowed.get(module, [])


def test_programs_that_only_count_need_no_jax(root):
  label = ["--predictions={root}/labels", "--labels={root}/labels", "--label_space=2_classes"]
  assert _loaded(root, "score", *label) == []
  shutil.copytree(root / "run", root / "again")
  runs = ("{root}/run", "{root}/again")
  assert _loaded(root, "compare", *runs) == []
  assert _loaded(root, "compare", *runs, "--page={root}/compared") == ["matplotlib"]


def test_only_training_needs_tensorflow(root):
  run = "--workdir={root}/run"
  predict = ("--mode=predict", run, "--images={root}/images", "--output={root}/masks")
  assert _loaded(root, "train", *predict) == ["orbax", "jax"]
  assert _loaded(root, "convert", run, "--output={root}/weights.pth") == ["orbax", "jax"]
  assert _loaded(root, "export", run, "--output={root}/model.jaxexport") == ["orbax", "jax"]
  exported = ("--model={root}/model.jaxexport", "--images={root}/images", "--output={root}/again")
  assert _loaded(root, "run_exported", *exported) == ["orbax", "jax"]
  evaluated = _loaded(root, "train", "--mode=evaluate", run)
  assert {"tensorflow", "tensorflow_datasets", "clu"}.isdisjoint(evaluated)


def test_python_needs_no_tensorflow(root):
  program = f"""
import json, sys
import flax_unet
at_import = sorted(sys.modules)
model = flax_unet.load("{root}/run")
names = (at_import, sys.modules)
print(json.dumps([[name for name in {_HEAVY} if name in found] for found in names]))
"""
  result = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  assert json.loads(result.stdout) == [[], ["orbax", "jax"]]
  assert result.stderr == ""  # nor does it print what libraries log
