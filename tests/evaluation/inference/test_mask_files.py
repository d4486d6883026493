import pathlib
import zipfile

import cv2
import numpy as np
import pytest
import tifffile

from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.data.label_spaces import CITYSCAPES_19
from flax_unet.evaluation.inference import mask_files, regions

RNG = np.random.default_rng(0)
MASK = RNG.integers(0, 19, (4, 8), np.uint8)
IMAGE = RNG.integers(0, 256, (4, 8, 3), np.uint8)
PROBABILITIES = RNG.dirichlet(np.ones(19), (4, 8)).astype(np.float32)
FOUND = mask_files.Predicted(IMAGE, MASK, PROBABILITIES)


def _read(path):
  pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
  return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def test_every_format_has_a_folder_and_its_pixels(tmp_path):
  picture = pathlib.Path("in/a.jpg")
  masks = {picture: pathlib.Path("ulm/a.png")}
  with mask_files.Writer(tmp_path, list(mask_files.FORMATS), masks, CITYSCAPES_19) as writer:
    writer.write(picture, FOUND)
  masks = {
    name: _read(tmp_path / name / "ulm/a.png")
    for name, form in mask_files.FORMATS.items()
    if form.ending == ".png"
  }
  np.testing.assert_array_equal(masks["train_ids"], MASK)
  ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
  np.testing.assert_array_equal(masks["label_ids"], np.array(ids)[MASK])
  np.testing.assert_array_equal(masks["color"], CITYSCAPES_19.colors[MASK])
  mixed = (IMAGE.astype(int) + CITYSCAPES_19.colors[MASK]) / 2
  assert np.abs(masks["overlay"] - mixed).max() <= 0.5
  np.testing.assert_array_equal(masks["instances"], regions.instances(MASK))
  outlines = (tmp_path / "contours/ulm/a.geojson").read_text()
  assert outlines == regions.geojson(MASK, CITYSCAPES_19)
  half = PROBABILITIES.astype(np.float16)
  with np.load(tmp_path / "probabilities/ulm/a.npz") as stored:
    np.testing.assert_array_equal(stored["probabilities"], half)
    assert tuple(stored["classes"]) == tuple(CITYSCAPES_19.class_names)
  bands = tifffile.imread(tmp_path / "probabilities_tiff/ulm/a.tif")
  np.testing.assert_array_equal(bands, half.transpose(2, 0, 1))
  assert masks["cityscapes"].shape == (1024, 2048)
  np.testing.assert_array_equal(masks["cityscapes"][128::256, 128::256], masks["label_ids"])


def test_a_mask_of_too_many_parts_costs_only_its_instances(tmp_path):
  many = np.indices((260, 520)).sum(0).astype(np.uint8) % 2  # a chess board of 135,200 fields
  names = {pathlib.Path(f"{name}.png"): pathlib.Path(f"{name}.png") for name in "ab"}
  with mask_files.Writer(tmp_path, ["train_ids", "instances"], names, CITYSCAPES_19) as writer:
    for path, mask in zip(names, (many, MASK), strict=True):
      writer.write(path, mask_files.Predicted(mask, mask))
  (failure,) = writer.failures
  assert failure.startswith(
    "a.png: --format=instances: 135,200 connected components, but 16 bits hold"
  )
  found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
  assert found == ["instances/b.png", "train_ids/a.png", "train_ids/b.png"]


def test_one_format_needs_no_folder(tmp_path):
  picture = pathlib.Path("in/a.jpg")
  masks = {picture: pathlib.Path("a.png")}
  with mask_files.Writer(tmp_path, ["train_ids"], masks, CITYSCAPES_19) as writer:
    writer.write(picture, FOUND)
  assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_failures_to_write_are_raised(tmp_path):
  (tmp_path / "ulm").write_text("a file")
  picture = pathlib.Path("in/a.jpg")
  masks = {picture: pathlib.Path("ulm/a.png")}
  with (
    pytest.raises(errors.UserError, match=r"ulm/a.png: cannot be written"),
    mask_files.Writer(tmp_path, ["color"], masks, CITYSCAPES_19) as writer,
  ):
    writer.write(picture, FOUND)


def test_archives_are_flat(tmp_path):
  for name in ("ulm/a.png", "bonn/b.png"):
    mask_files.write_png(tmp_path / name, MASK)
  mask_files.write_zip(tmp_path / "out.zip", [tmp_path / "ulm/a.png", tmp_path / "bonn/b.png"])
  with zipfile.ZipFile(tmp_path / "out.zip") as archive:
    assert archive.namelist() == ["a.png", "b.png"]
    assert archive.read("a.png") == (tmp_path / "ulm/a.png").read_bytes()


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (["a.png"], "a.png: .* are named"),
    (["ulm_000000_19_leftImg8bit.png"], "are named"),
    (["ulm_000000_000019_gtFine_color.png"], "are named"),
    (["x/ulm_000000_000019.png", "ulm_000000_000019_leftImg8bit.png"], "one file per frame"),
  ],
)
def test_the_server_takes_frames_once(names, message):
  with pytest.raises(errors.UserError, match=message):
    mask_files.check_cityscapes(map(pathlib.Path, names), CITYSCAPES_19)


def test_the_server_takes_label_ids_of_cityscapes():
  frame = pathlib.Path("krefeld_000000_000108_leftImg8bit.png")
  mask_files.check_cityscapes([frame], CITYSCAPES_19)
  with pytest.raises(errors.UserError, match="'voc_21' does not have"):
    mask_files.check_cityscapes([frame], label_spaces.get("voc_21"))
