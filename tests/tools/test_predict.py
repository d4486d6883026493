"""Predicts files with the checkpoint of a small untrained network."""

import csv
import pathlib
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
import sklearn.metrics

from configs import street_scenes
from flax_unet import errors
from flax_unet.data import label_spaces
from flax_unet.evaluation.inference import fitting
from flax_unet.run import parts, workdir
from flax_unet.tools import predict
from flax_unet.tools.prediction_flags import Request
from flax_unet.training import checkpoint, optimizer, state
from flax_unet.training.checkpoint_scores import DecisiveScore

_MAIN = pathlib.Path(__file__).parents[2] / "main.py"


def _config():
  config = street_scenes.get_config("runlocal")
  config.model.update({"width": 2, "depth": 1})
  return config


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory):
  """The run folder, and its state."""
  folder = tmp_path_factory.mktemp("run")
  config = _config()
  workdir.write_config(folder, config)
  model = parts.make_model(config, label_spaces.get(config.label_space))
  made = state.create(model, optimizer.make(config, 10), image_size=(8, 8), seed=0, ema=False)
  checkpoints = checkpoint.Checkpoints(folder)
  checkpoints.save(made, 10, place={})
  checkpoints.wait_until_finished()
  checkpoints.scores.write(10, {"val": "digest"}, DecisiveScore("digest", 0.5))
  checkpoints.close()
  return folder, model, made


@pytest.fixture(name="pictures")
def _pictures(tmp_path):
  folder = tmp_path / "in"
  folder.mkdir()
  rng = np.random.default_rng(0)
  for name in ("a.png", "b.jpg", "ulm_000000_000019_leftImg8bit.png"):
    noise = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (256, 128))
    cv2.imwrite(str(folder / name), noise)
  return folder


def _predict(
  run,
  pictures,
  output,
  config=None,
  formats=("train_ids",),
  make_zip=False,
  overwrite=False,
  **options,
):
  predict.predict(
    config or _config(),
    run[0],
    "newest",
    Request(
      str(pictures),
      str(output),
      list(formats),
      make_zip=make_zip,
      overwrite=overwrite,
      **options,
    ),
  )


def test_masks_are_what_evaluation_predicts(run, pictures, tmp_path):
  _predict(run, pictures, tmp_path / "out")
  _, model, made = run
  for path in pictures.iterdir():
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    expected = fitting.predict(model, made.eval_variables, image[None], image.shape[:2])[0]
    mask = cv2.imread(str(tmp_path / "out" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, expected)
    assert len(np.unique(mask)) > 1


def test_files_are_replaced_only_when_asked(run, pictures, tmp_path):
  drawn = [tmp_path / "out" / name for name in ("color/b.png", "train_ids/a.png")]
  for path in drawn:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"drawn by hand")
  formats = ["color", "train_ids"]
  with pytest.raises(errors.UserError, match=r"b\.png: already exists, as do 1 more; .*--overw"):
    _predict(run, pictures, tmp_path / "out", formats=formats)
  assert [path.read_bytes() for path in drawn] == [b"drawn by hand"] * 2
  assert len(list(tmp_path.glob("out/*/*"))) == 2
  _predict(run, pictures, tmp_path / "out", formats=formats, overwrite=True)
  assert all(cv2.imread(str(path)) is not None for path in drawn)


def test_a_failure_leaves_no_folder_behind(pictures, tmp_path):
  with pytest.raises(errors.UserError, match="holds no run"):
    _predict((tmp_path / "no_run",), pictures, tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_pictures_are_resampled_as_evaluation_does(run, pictures, tmp_path):
  config = _config()
  config.evals.val.pp = "label_map|resize_image(32, 64)"
  _predict(run, pictures / "a.png", tmp_path / "out", config)
  _, model, made = run
  image = cv2.imread(str(pictures / "a.png"), cv2.IMREAD_COLOR_RGB)
  small = cv2.resize(image, (64, 32), interpolation=cv2.INTER_LINEAR)
  expected = fitting.predict(model, made.eval_variables, small[None], (128, 256))[0]
  mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
  np.testing.assert_array_equal(mask, expected)


def test_pictures_are_mirrored_as_evaluation_does(run, pictures, tmp_path):
  image = cv2.imread(str(pictures / "a.png"), cv2.IMREAD_COLOR_RGB)[:30, :50]
  cv2.imwrite(str(pictures / "a.png"), image[..., ::-1])
  config = _config()
  config.evals.val.pp = "label_map|pad_to_multiple(32)"
  _predict(run, pictures / "a.png", tmp_path / "out", config)
  _, model, made = run
  mirrored = np.pad(image, ((0, 2), (0, 14), (0, 0)), mode="reflect")
  expected = fitting.predict(model, made.eval_variables, mirrored[None], (32, 64))[0, :30, :50]
  mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
  np.testing.assert_array_equal(mask, expected)


def test_packs_what_the_cityscapes_server_takes(run, pictures, tmp_path):
  _predict(run, pictures / "ulm*", tmp_path / "out", formats=["color", "cityscapes"], make_zip=True)
  with zipfile.ZipFile(tmp_path / "out" / "cityscapes.zip") as archive:
    (name,) = archive.namelist()
    ids = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
  assert name == "ulm_000000_000019_leftImg8bit.png"
  assert ids.shape == (1024, 2048)
  assert set(np.unique(ids)) <= set(label_spaces.CITYSCAPES_19.index_to_id.tolist())
  assert (tmp_path / "out" / "color" / name).exists()


def test_a_broken_picture_stops_nothing_and_sets_the_exit_code(run, pictures, tmp_path):
  (pictures / "broken.png").write_text("no picture")
  # The configuration as a file, because the command takes nothing else.
  (tmp_path / "config.py").write_text(
    "from configs import street_scenes\n\n"
    "def get_config():\n"
    "  config = street_scenes.get_config('runlocal')\n"
    "  config.model.update({'width': 2, 'depth': 1})\n"
    "  return config\n"
  )
  result = subprocess.run(
    [
      *(sys.executable, str(_MAIN), "--mode=predict", f"--config={tmp_path / 'config.py'}"),
      *(f"--workdir={run[0]}", f"--images={pictures}", f"--output={tmp_path / 'out'}"),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 1
  lines = result.stderr.splitlines()
  assert lines[-1] == "error: of 4 images, 1 could not be predicted, see above"
  assert lines[-2].endswith("broken.png: cannot be decoded (10 bytes)")
  assert len(list((tmp_path / "out").iterdir())) == 3


def test_masks_in_the_searched_folder_are_no_pictures(run, pictures):
  for _ in range(2):
    _predict(run, pictures, pictures / "masks", overwrite=True)
  assert len(list((pictures / "masks").rglob("*.png"))) == 3


def _fails(run, pictures, output, match, **arguments):
  with pytest.raises(errors.UserError, match=match) as info:
    _predict(run, pictures, output, **arguments)
  assert "\n" not in str(info.value)


def test_mistakes_are_told_in_one_line(run, pictures, tmp_path):
  output = tmp_path / "out"
  (tmp_path / "file").touch()
  _fails(run, tmp_path / "*.png", output, "there is no image")
  _fails(run, "", output, "--mode=predict needs --images")
  _fails(run, pictures, tmp_path / "file" / "out", "--output=.*: cannot be written")
  _fails(run, pictures, pictures, "choose another")
  _fails([tmp_path], pictures, output, "holds no run: train first")
  workdir.write_config(tmp_path / "new", _config())
  _fails([tmp_path / "new"], pictures, output, "holds no checkpoint: train first")
  _fails(run, pictures, output, "unknown format .*did you mean 'color'", formats=["colour"])
  _fails(run, pictures, output, "add that format", make_zip=True)
  _fails(run, pictures, output, "are named", formats=["cityscapes"])
  other = _config()
  other.model.width = 4
  _fails(run, pictures, output, r"config\.model\.width = 2, not 4", config=other)
  (pictures / "a.jpg").write_bytes((pictures / "b.jpg").read_bytes())
  _fails(run, pictures, output, "would have the same name")


def test_a_table_has_confidence_shares_and_scores(run, pictures, tmp_path, caplog):
  labels = tmp_path / "labels"
  labels.mkdir()
  random = np.random.default_rng(1)
  ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33, 0])
  label = random.integers(20, size=(128, 256))
  cv2.imwrite(str(labels / "b.png"), ids[label].astype(np.uint8))
  _predict(run, pictures, tmp_path / "out", formats=["train_ids", "probabilities"],
           table=str(tmp_path / "new/all.csv"), labels=str(labels))  # fmt: skip
  with (tmp_path / "new/all.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [row["image"] for row in rows] == ["a.png", "b.jpg", "ulm_000000_000019_leftImg8bit.png"]
  assert [row["mean_iou"] == "" for row in rows] == [True, False, True]
  mask = cv2.imread(str(tmp_path / "out/train_ids/b.png"), cv2.IMREAD_UNCHANGED)
  with np.load(tmp_path / "out/probabilities/b.npz") as stored:
    probabilities = stored["probabilities"].astype(float)
  row = rows[1]
  assert (row["height"], row["width"]) == ("128", "256")
  assert float(row["mean_confidence"]) == pytest.approx(probabilities.max(-1).mean(), abs=1e-3)
  assert float(row["share of car"]) == pytest.approx((mask == 13).mean(), abs=1e-5)
  valid = label < 19
  assert float(row["pixel_accuracy"]) == pytest.approx((mask == label)[valid].mean(), abs=1e-5)
  expected = sklearn.metrics.jaccard_score(label[valid], mask[valid], average="macro")
  assert float(row["mean_iou"]) == pytest.approx(expected, abs=1e-5)
  cv2.imwrite(str(labels / "a.png"), np.zeros((3, 4), np.uint8))
  # One mask that cannot be scored costs neither the other scores nor the predictions.
  with pytest.raises(errors.UserError, match="of 3 images, 1 could not be scored, see above"):
    _predict(run, pictures, tmp_path / "again", table=str(tmp_path / "b.csv"), labels=str(labels))
  assert "labels/a.png: is 4 x 3 pixels, but a.png is 256 x" in caplog.text
  with (tmp_path / "b.csv").open() as file:
    assert list(csv.DictReader(file))[1] == row
  assert len(list((tmp_path / "again").iterdir())) == 3
  with pytest.raises(errors.UserError, match=r"all.csv: already exists; choose"):
    _predict(run, pictures, tmp_path / "third", table=str(tmp_path / "new/all.csv"))
  with pytest.raises(errors.UserError, match=r"--labels are scored in a table: name it with --tab"):
    _predict(run, pictures, tmp_path / "third", labels=str(labels))
