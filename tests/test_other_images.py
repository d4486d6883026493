"""Images that are not 8-bit RGB, all the way: train, resume, evaluate, predict, export, Python."""

import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest
import tifffile

import flax_unet
from configs import folder
from flax_unet import errors
from flax_unet.data import picture_files
from flax_unet.evaluation.inference import exported
from flax_unet.run import image_settings, loop, serving, trained
from flax_unet.tools import predict
from flax_unet.tools.prediction_flags import Request

_KINDS = {
  "satellite": ("channels=4,dtype=uint16,view=3/2/1", 4, np.uint16, 65535),
  "x-ray": ("channels=1,dtype=uint16,range=0..4095", 1, np.uint16, 4095),
  "depth": ("extra={root}/extra,extra_dtype=float32,extra_range=0..20", 4, np.uint8, 255),
  "elevation": ("channels=2,dtype=float32,range=-10..90", 2, np.float32, 80),
}


def _draw(root, kind):
  """Discs of two classes, each visible in one channel."""
  _, channels, dtype, high = _KINDS[kind]
  rng = np.random.default_rng(0)
  pictures = []
  for split, number in (("train", 6), ("val", 3)):
    for name in ("images", "labels", "extra"):
      (root / name / split).mkdir(parents=True)
    for index in range(number):
      y, x = np.mgrid[:40, :56]
      label = np.zeros((40, 56), np.uint8)
      for value in (1, 2):
        row, column = rng.integers(8, 32), rng.integers(8, 48)
        label[(y - row) ** 2 + (x - column) ** 2 < 80] = value
      noise = rng.uniform(0, 0.2, size=(40, 56, channels))
      image = noise + np.stack([0.35 * label * (c + 1) / channels for c in range(channels)], -1)
      image = (image * high).astype(dtype)
      path = root / "images" / split / str(index)
      if kind == "satellite":
        tifffile.imwrite(f"{path}.tif", image, photometric="minisblack", planarconfig="contig")
      elif kind == "x-ray":
        cv2.imwrite(f"{path}.png", image)
      elif kind == "depth":
        cv2.imwrite(f"{path}.png", image[..., 2::-1])
        metres = image[..., 3] / np.float32(12.75)
        tifffile.imwrite(root / "extra" / split / f"{index}.tif", metres)
      else:
        np.save(f"{path}.npy", image)
      cv2.imwrite(str(root / "labels" / split / f"{index}.png"), label)
      pictures.append(image)
  return pictures


def _config(root, kind, steps=4):
  config = folder.get_config(
    f"images={root}/images,labels={root}/labels,num_classes=3,train_dir=train,val_dir=val,"
    f"model=unet,res=32x32,width=4,{_KINDS[kind][0].format(root=root)}"
  )
  config.plan.rules = ()
  config.model.depth = 1
  config.total_epochs, config.total_steps = None, steps
  config.schedule.decay_type = "constant"  # so that the run can become longer
  config.input.workers = 0
  config.input.batch_size = 4
  config.evals.val.batch_size = 4
  return config


@pytest.mark.parametrize("kind", _KINDS)
def test_all_programs_give_one_score(tmp_path, kind, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  pictures = _draw(tmp_path, kind)
  run = tmp_path / "run"
  assert loop.train(_config(tmp_path, kind), run) == 0
  # The numbers are counted on the training images, and kept.
  low, high = {"elevation": (-10, 90)}.get(kind, (0, _KINDS[kind][3]))
  pixels = (np.concatenate(pictures[:6]).reshape(-1, _KINDS[kind][1]).astype(float) - low) / (
    high - low
  )
  kept = json.loads((run / "config.json").read_text())["model"]
  np.testing.assert_allclose(kept["mean"], pixels.mean(0), atol=1e-5)
  np.testing.assert_allclose(kept["stddev"], pixels.std(0), atol=1e-5)
  assert json.loads((run / "run.json").read_text())["mean"] == kept["mean"]
  # The same command resumes, though its configuration leaves them to be counted.
  assert loop.train(_config(tmp_path, kind, steps=6), run) == 0
  scores = json.loads((run / "report/metrics.json").read_text())
  assert scores["step"] == 6
  expected = scores["evals"]["val"]["mean_iou"]
  evaluated = flax_unet.evaluate(run)["val"]["mean_iou"]
  assert evaluated == expected

  image_format = image_settings.image_format(trained.config_of(run))
  extra = f"{tmp_path}/extra/val" if kind == "depth" else None
  request = Request(
    f"{tmp_path}/images/val", f"{tmp_path}/predicted", ["label_ids", "overlay"], extra
  )
  predict.predict(_config(tmp_path, kind), run, "newest", request)
  masks = sorted((tmp_path / "predicted/label_ids").glob("*.png"))
  assert len(masks) == 3
  assert cv2.imread(str(tmp_path / "predicted/overlay/0.png")).shape == (40, 56, 3)
  serving.export_run(run, "newest", tmp_path / "model.jaxexport", None)
  file = exported.ExportedPredictor(tmp_path / "model.jaxexport")
  model = flax_unet.load(run)
  predictions, labels = [], []
  for mask in masks:
    (path,) = (tmp_path / "images/val").glob(f"{mask.stem}.*")
    found = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    extra = tmp_path / f"extra/val/{mask.stem}.tif" if kind == "depth" else None
    as_stored = picture_files.read(path, file.image_format, extra)
    np.testing.assert_array_equal(next(iter(file([(path, as_stored)])))[1], found)
    if extra:
      as_stored = model.join(cv2.imread(str(path))[..., ::-1], tifffile.imread(extra))
      assert as_stored.dtype == np.uint16
      with pytest.raises(errors.UserError, match=r"the same size, not \[40, 56\] but \[9, 9\]"):
        model.join(cv2.imread(str(path)), np.zeros((9, 9), np.float32))
      with pytest.raises(errors.UserError, match="an image of float64: give uint8"):
        model.join(cv2.imread(str(path)) / 255, tifffile.imread(extra))
    else:
      assert as_stored.dtype == _KINDS[kind][2]
    np.testing.assert_array_equal(model.predict(as_stored), found)
    assert picture_files.read(path, image_format, extra).dtype == np.uint16
    predictions.append(found)
    labels.append(cv2.imread(str(tmp_path / f"labels/val/{mask.name}"), cv2.IMREAD_UNCHANGED))
  assert flax_unet.score(predictions, labels, "3_classes")["mean_iou"] == expected
  if kind == "depth":  # files of other names
    folder = tmp_path / "renamed"
    folder.mkdir()
    for path in (tmp_path / "extra/val").iterdir():
      (folder / f"{path.stem}_depth{path.suffix}").write_bytes(path.read_bytes())
    again = dataclasses.replace(
      request, output=f"{tmp_path}/again", extra=str(folder), extra_suffix="_depth"
    )
    predict.predict(_config(tmp_path, kind), run, "newest", again)
    for mask in masks:
      assert (tmp_path / "again/label_ids" / mask.name).read_bytes() == mask.read_bytes()
  assert len(np.unique(predictions)) > 1


def _fails(root, kind, match, change=lambda config: None):
  """Training with a changed configuration ends with one line."""
  config = _config(root, kind)
  change(config)
  with pytest.raises(errors.UserError, match=match) as info:
    loop.train(config, root / "run")
  assert "\n" not in str(info.value)


def test_mistakes_are_told_in_one_line(tmp_path):
  _draw(tmp_path, "x-ray")

  fails = functools.partial(_fails, tmp_path, "x-ray")
  fails(
    "config.images.dtype = 'float32' needs config.images.range",
    lambda config: config.images.update({"dtype": "float32", "range": ()}),
  )
  fails(
    "config.images: channels = 0, extra_channels = 0: give at least 1",
    lambda c: c.images.update({"channels": 0}),
  )
  fails(
    r"config.model.mean = \(0.5, 0.5\): give one value for each of the 1 channels",
    lambda config: config.model.update({"mean": (0.5, 0.5)}),
  )
  _fails(
    tmp_path,
    "satellite",
    r"train/0.png: has 1 channel, but config.images.channels = 4 \(and 5 more",
  )
  fails(
    r"train/\d.png: has values from .* outside of config.images.range = \(0, 100\)",
    lambda config: config.images.update({"range": (0.0, 100.0)}),
  )
  fails(
    "photometric.*no colour in 1 channel of uint16 from 0 to 4095: use intensity",
    lambda config: config.input.update({"pp": "label_map|random_crop(32, 32)|photometric"}),
  )
  with pytest.raises(
    errors.UserError, match=r"configs/folder.py, range=0-9: give numbers, such as"
  ):
    folder.get_config("images=a,labels=b,num_classes=2,range=0-9")


def test_mistakes_with_extra_channels_are_told_in_one_line(tmp_path):
  _draw(tmp_path, "depth")

  fails = functools.partial(_fails, tmp_path, "depth")
  fails(
    "config.input.data.extra = '', but config.images.extra_channels = 1: .* need both",
    lambda config: config.input.data.update({"extra": ""}),
  )
  fails(
    "config.images.extra_dtype = 'float32' needs config.images.extra_range",
    lambda config: config.images.update({"extra_range": ()}),
  )
  fails(
    r"extra/train/\d.tif: has 1 channel, but config.images.extra_channels = 2",
    lambda config: config.images.update({"extra_channels": 2}),
  )
  path = tmp_path / "extra/train/3.tif"
  tifffile.imwrite(path, np.zeros((40, 50), np.float32))
  fails(f"{path}: is 50 x 40 pixels, but {tmp_path}/images/train/3.png is 56 x 40: resize one")
  path.unlink()
  fails(f"{tmp_path}/images/train/3.png: has no file {tmp_path}/extra/train/3.* with extra ch")
  with pytest.raises(errors.UserError, match="extra_dtype and extra_range need extra=DIR"):
    folder.get_config("images=a,labels=b,num_classes=2,extra_dtype=uint16")
