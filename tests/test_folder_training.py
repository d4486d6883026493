import json
import os

import cv2
import numpy as np
import pytest

from configs import folder
from flax_unet.errors import UserError
from flax_unet.run import loop

COLORS = np.array([(90, 90, 90), (220, 60, 40), (40, 90, 220)], np.uint8)


def _draw(root, number):
  """Images of discs and boxes on gray, in different sizes; colour masks whose edges are void."""
  rng = np.random.default_rng(0)
  for name in ("images", "masks"):
    (root / name).mkdir()
  for index in range(number):
    height, width = rng.integers(40, 70, 2)
    ids = np.zeros((height, width), np.uint8)
    for _ in range(3):
      x, y = rng.integers(8, (width - 8, height - 8)).tolist()
      cv2.circle(ids, (x, y), 7, 1, -1)
      x, y = rng.integers(8, (width - 8, height - 8)).tolist()
      cv2.rectangle(ids, (x - 7, y - 5), (x + 7, y + 5), 2, -1)
    image = COLORS[ids] + rng.normal(0, 10, (height, width, 3))
    edges = cv2.morphologyEx(ids, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    mask = np.where(edges[..., None], 255, COLORS[ids]).astype(np.uint8)
    for name, pixels in ((f"images/{index}.jpg", image), (f"masks/{index}_mask.png", mask)):
      cv2.imwrite(str(root / name), np.clip(pixels, 0, 255).astype(np.uint8)[..., ::-1])
  (root / "classes.csv").write_text(
    "name,r,g,b,ignored\nground,90,90,90,\ndisc,220,60,40,\nbox,40,90,220,\nedge,255,255,255,1\n"
  )


STRANGE = os.fsdecode(b"caf\xe9 <b>")  # as archives from another system may leave behind


def _stored_as(name):
  """The name of an image on disk, from its id in the run."""
  return name.replace("caf\\xe9", os.fsdecode(b"caf\xe9"))


@pytest.fixture
def config(tmp_path):
  _draw(tmp_path, 12)
  for name, ending in (("images", ".jpg"), ("masks", "_mask.png")):
    for index in range(3):  # one of them is scored
      (tmp_path / name / f"{index}{ending}").rename(tmp_path / name / f"{STRANGE}{index}{ending}")
    (tmp_path / "disk" / name).mkdir(parents=True)
    for index in range(6):
      (tmp_path / name / f"{3 + index}{ending}").rename(
        tmp_path / "disk" / name / f"{index}{ending}"
      )
    (tmp_path / name / "link").symlink_to(tmp_path / "disk" / name)
    (tmp_path / name / ".hidden.png").write_bytes(b"no picture")
  config = folder.get_config(
    f"images=images,labels=masks,classes={tmp_path}/classes.csv,suffix=_mask,model=unet,res=32x32,width=4"
  )
  config.update_from_flattened_dict(
    {
      "total_steps": 40,
      "total_epochs": None,
      "input.data.data_dir": str(tmp_path),
      "input.pp": "label_map|random_crop(32, 32)|flip_lr",
      "input.batch_size": 8,
      "input.workers": 0,
      "plan.rules": (),
      "model.depth": 2,
      "lr": 0.02,
      "schedule.warmup_steps": 5,
      "evals.val.pp": "label_map|pad_to_multiple(64)",
      "evals.val.batch_size": 4,
      "evals.val.num_pictures": 1,
    }
  )
  return config


def test_trains_on_a_folder_of_pictures_of_many_sizes(config, tmp_path):
  run = tmp_path / "run"
  assert loop.train(config, run) == 0
  scores = json.loads((run / "report/metrics.json").read_text())["evals"]["val"]
  assert list(scores["per_class"]) == ["ground", "disc", "box"]
  assert scores["mean_iou"] > 0.8  # a constant prediction has at most 0.3
  data = json.loads((run / "run.json").read_text())["data"]
  assert {name: split["examples"] for name, split in data["splits"].items()} == {
    "train": 10,
    "validation": 2,
  }
  page = (run / "report/index.html").read_text()
  assert f'<data value="{scores["mean_iou"]}">' in page
  # Validation images in their own sizes: one of the worst and one of the best.
  assert page.count('alt="errors"') == 2
  with np.load(run / "report/confusions.npz") as arrays:
    assert any("caf\\xe9 <b>" in name for name in arrays["val/ids"])
    for name, confusion in zip(arrays["val/ids"], arrays["val/confusions"], strict=True):
      content = (tmp_path / f"masks/{_stored_as(name)}_mask.png").read_bytes()
      mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
      assert confusion.sum() == (mask != 255).any(axis=-1).sum()


def test_a_mistake_in_the_last_mask_is_told_before_the_training(config, tmp_path):
  path = tmp_path / "masks/9_mask.png"
  mask = cv2.imread(str(path))
  mask[20, 10] = (0, 0, 1)  # BGR
  cv2.imwrite(str(path), mask)
  with pytest.raises(UserError, match=r"9_mask.png: colour \(1, 0, 0\) at x=10, y=20 is not in"):
    loop.train(config, tmp_path / "run")
  assert not list(tmp_path.glob("run/events*"))
