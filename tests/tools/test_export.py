"""Exports a run and predicts with the file alone, with real commands."""

import pathlib
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest

import flax_unet
from configs import street_scenes
from flax_unet import errors
from flax_unet.evaluation.inference import exported
from flax_unet.models.unet import UNet
from flax_unet.run import serving, workdir
from flax_unet.tools import predict
from flax_unet.tools.prediction_flags import Request

ROOT = pathlib.Path(__file__).parents[2]


def _config(**model):
  config = street_scenes.get_config("runlocal")
  config.model.update({"width": 2, "depth": 1, **model})
  return config


def _command(tool, *arguments):
  return subprocess.run(
    [sys.executable, "-m", f"flax_unet.tools.{tool}", *map(str, arguments)],
    capture_output=True,
    text=True,
    cwd=ROOT,
    check=False,
  )


def test_the_file_alone_gives_the_masks_of_the_run(tmp_path, make_run):
  run = tmp_path / "run"
  make_run(run, _config())
  pictures = tmp_path / "in"
  pictures.mkdir()
  rng = np.random.default_rng(0)
  for name, size in (("a.png", (64, 96)), ("b.png", (50, 70))):
    noise = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), size[::-1])
    cv2.imwrite(str(pictures / name), noise)
  predict.predict(
    _config(),
    run,
    "newest",
    Request(str(pictures), str(tmp_path / "expected"), ["train_ids", "color"]),
  )
  file = tmp_path / "new/model.jaxexport"
  result = _command("export", f"--workdir={run}", f"--output={file}")
  assert result.returncode == 0, result.stderr
  assert f"Wrote step 10 of {run} to {file}" in result.stderr
  assert "19 classes of cityscapes_19" in result.stderr
  (run / "config.json").unlink()  # neither the run nor its configuration is needed any more
  result = _command(
    "run_exported",
    *(f"--model={file}", f"--images={pictures}", f"--output={tmp_path / 'out'}"),
    "--format=train_ids,color",
  )
  assert result.returncode == 0, result.stderr
  for path in (tmp_path / "expected").rglob("*.png"):
    got = cv2.imread(str(tmp_path / "out" / path.relative_to(tmp_path / "expected")))
    expected = cv2.imread(str(path))
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(got, expected)
  result = _command(
    "run_exported",
    *(f"--model={file}", f"--images={pictures}", f"--output={tmp_path / 'out'}"),
    "--label_space=voc_21",
  )
  assert result.returncode == 1
  assert result.stderr == f"error: --label_space=voc_21 has 21 classes, but {file} has 19\n"


def test_the_file_of_a_run_that_resizes_images_gives_its_masks(tmp_path, make_run, caplog):
  config = _config()
  config.evals.val.pp = "label_map|resize_image(32, 48)"
  make_run(tmp_path / "run", config)
  file = tmp_path / "model.jaxexport"
  with caplog.at_level("WARNING"):
    serving.export_run(tmp_path / "run", "newest", file, size=None)
  assert "masks differ" not in caplog.text
  predictor = exported.ExportedPredictor(file)
  image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
  ((_, mask),) = predictor([(0, image)])
  expected = flax_unet.load(tmp_path / "run").predict(image)
  assert len(np.unique(expected)) > 1
  np.testing.assert_array_equal(mask, expected)


def test_scales_that_the_file_lacks_are_told(tmp_path, make_run, caplog):
  config = _config()
  config.evals.val.inference.scales = (0.5,)
  make_run(tmp_path / "run", config)
  serving.export_run(tmp_path / "run", "newest", tmp_path / "model.jaxexport", size="32x48")
  assert "The run predicts with mode=whole, scales=(0.5,), flip=False" in caplog.text


def test_classes_whose_file_is_elsewhere_are_told_in_one_line(tmp_path):
  model = UNet(3, width=2, depth=1)
  variables = model.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32), train=False)
  file = tmp_path / "model.jaxexport"
  file.write_bytes(exported.export_model(model, variables, None, "gone/classes.csv").serialize())
  result = _command("run_exported", f"--model={file}", f"--images={tmp_path}", "--output=x")
  assert result.returncode == 1
  assert result.stderr == (
    "error: classes file gone/classes.csv cannot be read: No such file or directory; name it with "
    "--label_space, or give --label_space=3_classes\n"
  )


def test_mistakes_are_told_in_one_line(tmp_path, make_run):
  run = tmp_path / "run"
  make_run(run, _config(padding="valid"))

  def fails(match, folder=run, output=tmp_path / "model.jaxexport", size=None, which="newest"):
    with pytest.raises(errors.UserError, match=match) as info:
      serving.export_run(folder, which, output, size)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "model.jaxexport").exists()

  fails("holds no run", folder=tmp_path)
  fails("padding='valid' takes images of one size only")
  fails("--image_size=12: give HEIGHTxWIDTH", size="12")
  fails("image size of 0x5: give pixels", size="0x5")
  (tmp_path / "file").touch()
  fails("--output=.*: cannot be written", output=tmp_path / "file/model.jaxexport", size="20x30")
  workdir.write_config(tmp_path / "empty", _config())
  fails("holds no checkpoint", folder=tmp_path / "empty")
