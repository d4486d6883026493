"""docs/gallery.md shows every op and network, and is what `python -m docs.make_gallery` makes."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from docs.make_gallery import networks, op_examples, page, pictures, screenshots
from flax_unet.data import label_spaces, op_spec
from flax_unet.errors import UserError
from flax_unet.models import registry

DOCS = pathlib.Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "gallery"
MEASURED = networks.read(FOLDER / "networks.json")


def test_the_page_is_up_to_date():
  assert (DOCS / "gallery.md").read_text() == page.text(DOCS, MEASURED), (
    "run python -m docs.make_gallery"
  )


def test_every_op_and_network_has_its_place_and_all_are_small():
  text = (DOCS / "gallery.md").read_text()
  ops = list(op_spec.registry(label_spaces.get("cityscapes_19")))
  assert all(f"\n### {name}\n" in text for name in ops)
  assert all(f"\n| `{name}` | " in text for name in registry.NETWORKS)
  found = {path.stem: path.stat().st_size for path in FOLDER.glob("*.webp")}
  assert set(ops) <= set(found) <= {*ops, "report", "comparison"}
  assert max(found[name] for name in ops) < 30_000
  assert sum(found.values()) < 700_000


def test_an_op_without_an_example_is_refused(monkeypatch):
  monkeypatch.delitem(op_examples.SPECS, "blur")
  with pytest.raises(UserError, match=r"differ in blur: give every op of .* an example in SPECS"):
    op_examples.names()


def test_networks_that_were_not_measured_are_refused(monkeypatch):
  monkeypatch.setitem(registry.NETWORKS, "unet_s6", "flax_unet.models.unet_s6.UNetS6")
  with pytest.raises(UserError, match="differ in unet_s6: measure again, with --speeds"):
    networks.read(FOLDER / "networks.json")


@pytest.mark.parametrize("name", ["segnet_basic", "unet"])
def test_parameters_and_operations_are_those_of_the_network(name):
  counts = networks.count(name)._asdict()
  assert counts == {key: MEASURED["networks"][name][key] for key in counts}


def test_what_is_random_is_drawn_three_times():
  original, *draws = op_examples.columns("flip_lr")
  mirrored = [tile[:, ::-1] for tile in original.tiles]
  flipped = [np.array_equal(column.tiles, mirrored) for column in draws]
  assert len(flipped) == 3
  assert any(flipped)
  for column, flip in zip(draws, flipped, strict=True):
    assert np.array_equal(column.tiles, mirrored if flip else original.tiles)
  assert len(op_examples.columns("resize")) == 2


def test_pictures_are_those_that_the_command_makes(tmp_path):
  picture = pictures.arrange(op_examples.columns("rotate"))
  for name in ("first", "second"):
    pictures.save(picture, tmp_path / name, pictures.QUALITY)
  assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
  with Image.open(FOLDER / "rotate.webp") as stored:
    # Lossy, and other versions of libwebp or OpenCV may round differently.
    difference = np.abs(np.asarray(picture, np.int64) - np.asarray(stored, np.int64))
  assert difference.mean() < 4


def test_screenshots_are_kept_without_a_browser_or_runs(tmp_path, monkeypatch, capsys):
  screenshots.take([], tmp_path)
  assert "kept as they are (no --runs)" in capsys.readouterr().out
  monkeypatch.setattr(screenshots.shutil, "which", lambda name: None)
  screenshots.take(["run"], tmp_path)
  assert "none of chromium, " in capsys.readouterr().out
  monkeypatch.setattr(screenshots.shutil, "which", lambda name: name)
  with pytest.raises(UserError, match=r"report/index\.html is missing: name folders of finished"):
    screenshots.take([str(tmp_path / "run")], tmp_path)
  assert not list(tmp_path.iterdir())
