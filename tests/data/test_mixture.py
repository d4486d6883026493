"""Several data sets in one batch: exact shares, any number of workers, coarse Cityscapes."""

import io
import itertools
import zipfile

import ml_collections
import numpy as np
import pytest
from PIL import Image

from configs import cityscapes
from flax_unet import base_config
from flax_unet.data import mixture, op_spec, pipeline
from flax_unet.data.label_spaces import CITYSCAPES_19
from flax_unet.errors import UserError
from flax_unet.run import experiment, parts


def _source(name, number):
  image, label = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 7, np.uint8)
  return [{"image": image, "label": label, "id": f"{name}{index}"} for index in range(number)]


def _ids(start, number, workers=0):
  source = mixture.Concatenated([_source("a", 5), _source("b", 30), _source("c", 7)])
  op = op_spec.parse("label_map", CITYSCAPES_19)
  batches = pipeline.train_batches(
    source,
    op,
    batch_size=8,
    seed=3,
    start=start,
    shares=[(5, 1), (30, 5), (7, 2)],
    workers=workers,
  )
  taken = [batch["id"].reshape(-1).tolist() for batch in itertools.islice(batches, number)]
  batches.close()
  return taken


def test_every_batch_has_the_shares_and_every_epoch_all_examples():
  batches = _ids(0, 12)
  for batch in batches:
    assert sorted(name[0] for name in batch) == ["a", "b", "b", "b", "b", "b", "c", "c"]
  for name, number in (("a", 5), ("b", 30), ("c", 7)):
    seen = [one for batch in batches for one in batch if one[0] == name]
    for start in range(0, len(seen) - number + 1, number):
      assert len(set(seen[start : start + number])) == number
  first, second = (
    [one for batch in part for one in batch if one[0] == "b"] for part in (batches[:6], batches[6:])
  )
  assert first != second  # shuffled anew


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_with_any_number_of_workers(workers):
  assert _ids(4, 3, workers) == _ids(0, 7)[4:]


def _config(**shares):
  config = base_config.get_config()
  config.input.batch_size = 8
  for name, share in shares.items():
    base_config.add_data(config, name, base_config.folder_data("images", "masks"), share)
  return config.input


def test_shares_are_counted():
  assert mixture.batch_numbers(_config()) == {"main": 8}
  assert mixture.batch_numbers(_config(b=0.5, c=0.25)) == {"main": 2, "b": 4, "c": 2}
  assert mixture.batch_numbers(_config(b=1.0)) == {"main": 0, "b": 8}


@pytest.mark.parametrize(
  ("shares", "message"),
  [
    ({"b": 0.3}, r"extra_data.b.share = 0.3 of a batch of 8 is 2.4 examples: give a whole number"),
    ({"b": "half"}, r"extra_data.b.share = 'half': give a number up to 1"),
    ({"b": 0.0}, r"extra_data.b.share = 0.0 of a batch of 8 is 0 examples"),
    ({"b": 0.75, "c": 0.5}, r"the shares 0.75 \+ 0.5 are more than the whole batch of 8"),
  ],
)
def test_shares_that_do_not_add_up(shares, message):
  with pytest.raises(UserError, match=message):
    mixture.batch_numbers(_config(**shares))


def _png(pixels):
  content = io.BytesIO()
  Image.fromarray(pixels).save(content, "PNG")
  return content.getvalue()


def _write_archives(folder):
  """The four archives in the official layout; the second image of train_extra is damaged."""
  names = {
    "train": ["aachen_000000_000019", "aachen_000001_000019"],
    "val": ["lindau_000000_000019"],
    "test": ["berlin_000000_000019"],
    "train_extra": [
      "troisdorf_000000_000072",
      "troisdorf_000000_000073",
      "troisdorf_000000_000074",
    ],
  }
  noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
  label = np.full((64, 96), 7, np.uint8)
  label[:, 40:] = 11
  members = {name: {} for name in ("leftImg8bit_trainvaltest", "leftImg8bit_trainextra")}
  members |= {name: {} for name in ("gtFine_trainvaltest", "gtCoarse")}
  for split, ids in names.items():
    extra = split == "train_extra"
    images = members["leftImg8bit_trainextra" if extra else "leftImg8bit_trainvaltest"]
    for name in ids:
      path = f"{split}/{name.partition('_')[0]}/{name}"
      content = _png(noise)
      images[f"leftImg8bit/{path}_leftImg8bit.png"] = (
        content[:2000] if name.endswith("73") else content
      )
      if not extra:
        members["gtFine_trainvaltest"][f"gtFine/{path}_gtFine_labelIds.png"] = _png(label)
      members["gtCoarse"][f"gtCoarse/{path}_gtCoarse_labelIds.png"] = _png(label)
  for archive, files in members.items():
    with zipfile.ZipFile(folder / f"{archive}.zip", "w") as file:
      for name, content in files.items():
        file.writestr(name, content)


def test_half_of_each_batch_is_coarse_and_the_damaged_image_is_named(tmp_path, caplog):
  _write_archives(tmp_path)
  config = cityscapes.get_config("mixed,runlocal")
  config.input.data.data_dir = str(tmp_path / "data")
  config.input.data.manual_dir = str(tmp_path)
  config.input.batch_size = 4
  config.evals.val.batch_size = 4
  config.input.pp = "label_map|random_crop(32, 32)"
  run = experiment.open_data(parts.build(config))
  assert {name: len(source) for name, source in run.sources.items()} == {"main": 2, "coarse": 3}
  assert run.parts_of_source == [(2, 2), (3, 2)]
  assert len(run.dataset.split("validation")) == 1
  batches = pipeline.train_batches(
    run.train_source(),
    run.parts.train_op,
    batch_size=4,
    seed=0,
    skip_bad_examples=True,
    shares=run.parts_of_source,
  )
  skipped = set()
  for batch in itertools.islice(batches, 4):
    cities = sorted(name.partition("_")[0] for name in batch["id"].reshape(-1))
    assert cities.count("aachen") >= 2
    assert cities.count("troisdorf") >= 1
    skipped |= set(batch["skipped"].reshape(-1)) - {""}
  batches.close()
  (line,) = skipped
  assert "troisdorf_000000_000073" in line
  facts = run.dataset.fingerprint()["extra"]["coarse"]
  assert facts["splits"]["train_extra"]["examples"] == 3


def test_epochs_need_the_main_data_set():
  config = cityscapes.get_config("coarse")
  with config.unlocked():
    config.total_steps, config.total_epochs = None, 3
  with pytest.raises(UserError, match=r"epochs are those of .*, which has no share"):
    parts.build(config, num_devices=8)


def test_a_data_set_takes_the_folders_of_the_main_one():
  main = ml_collections.ConfigDict({"name": "folder", "data_dir": "here"})
  given = ml_collections.ConfigDict({"name": "folder", "data_dir": None})
  assert mixture._beside(given, main).data_dir == "here"
  given.name = "cityscapes/semantic_segmentation"
  assert mixture._beside(given, main).data_dir is None
