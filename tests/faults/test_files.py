"""Files that users really have: one test per kind, from the configuration to the images."""

import os
import pathlib
import unicodedata

import numpy as np
import pytest
from PIL import Image

from configs import folder
from flax_unet import errors
from flax_unet.data import datasets, label_spaces, picture_files
from flax_unet.run import parts

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
MASK = (np.arange(48).reshape(6, 8) % 3 == 0).astype(np.uint8)


def _put(path: str | pathlib.Path, pixels: np.ndarray, **options) -> None:
  pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, **options)


def _pairs(
  root: pathlib.Path, *names: str, image: str = "images/{}.png", label: str = "labels/{}.png"
) -> None:
  for name in names:
    _put(root / image.format(name), IMAGE)
    _put(root / label.format(name), MASK)


def _open(root: pathlib.Path, **arguments) -> dict[str, list[str]]:
  """Opens and reads all splits used for training or scoring, and returns their ids."""
  arguments = {"images": "images", "labels": "labels", "num_classes": 2} | arguments
  config = folder.get_config(",".join(f"{key}={value}" for key, value in arguments.items()))
  config.input.data.data_dir = str(root)
  space = label_spaces.get(config.label_space)
  dataset = datasets.open_dataset(config.input.data, space)
  ids = {}
  for split in (config.input.data.split, *(part.split for part in config.evals.values())):
    source = dataset.split(split)
    examples = [source[index] for index in range(len(source))]
    for example in examples:
      np.testing.assert_array_equal(example["image"], IMAGE)
      np.testing.assert_array_equal(space.lookup_table[example["label"]], MASK)
    ids[split] = [example["id"] for example in examples]
  return ids


def _all(ids: dict[str, list[str]]) -> list[str]:
  return sorted(name for names in ids.values() for name in names)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  _pairs(tmp_path, "a", "b", "c")
  (tmp_path / "t.txt").write_text("a\nb\n")
  (tmp_path / "v.txt").write_text("c\n")
  lists = {"train_list": "~/t.txt", "val_list": "~/v.txt"}
  expected = {"train": ["a", "b"], "validation": ["c"]}
  nowhere = tmp_path / "nowhere"
  assert _open(nowhere, images="~/images", labels="~/labels", **lists) == expected
  assert len(picture_files.find("~/images")) == 3


def test_one_class_is_nothing_to_learn():
  config = folder.get_config("images=a,labels=b,num_classes=1")
  with pytest.raises(errors.UserError, match=r"has one class, .* Use num_classes=2"):
    parts.build(config, 1)


def test_masks_of_0_and_255_are_told_with_the_way_out(tmp_path):
  for name in "abc":
    _put(tmp_path / f"images/{name}.png", IMAGE)
    _put(tmp_path / f"labels/{name}.png", MASK * 255)
  with pytest.raises(errors.UserError, match=r"255 is read as 'ignored', so .* give classes=FILE"):
    _open(tmp_path)
  classes = tmp_path / "classes.csv"
  classes.write_text("name,r,g,b,id\nbackground,0,0,0,0\nobject,255,255,255,255\n")
  arguments = {"num_classes": 0, "classes": classes}
  assert _all(_open(tmp_path, **arguments)) == ["a", "b", "c"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_that_is_all_ignored_is_told(tmp_path, split):
  _pairs(tmp_path, "a", "b", "c")
  (tmp_path / "train.txt").write_text("a\n")
  (tmp_path / "validation.txt").write_text("b\n")
  name = (tmp_path / f"{split}.txt").read_text().strip()
  _put(tmp_path / f"labels/{name}.png", np.full_like(MASK, 255))
  with pytest.raises(errors.UserError, match=f"^the masks of {split} hold no pixel of a class"):
    _open(tmp_path, train_list="train.txt", val_list="validation.txt")


def test_a_value_may_be_ignored_and_two_may_be_one_class(tmp_path):
  for name in "abc":
    _put(tmp_path / f"images/{name}.png", IMAGE)
    mask = MASK.copy()
    mask[0] = np.where(MASK[0], 3, 0)
    _put(tmp_path / f"labels/{name}.png", mask)
  classes = tmp_path / "classes.csv"
  classes.write_text("name,r,g,b,id\nground,0,0,0,0\ndisc,255,0,0,1\ndisc,200,0,0,3\n")
  assert _all(_open(tmp_path, num_classes=0, classes=classes)) == ["a", "b", "c"]
  space = label_spaces.get("2_classes_ignore_3")
  np.testing.assert_array_equal(
    space.to_index(np.array([0, 1, 3, 255], np.uint8)), [0, 1, 255, 255]
  )


@pytest.mark.parametrize(
  ("image", "label", "arguments"),
  [
    ("images/{}.png", "images/{}_mask.png", {"suffix": "_mask"}),
    ("images/{}_sat.png", "images/{}_mask.png", {"suffix": "_mask", "image_suffix": "_sat"}),
    ("images/{}.bmp", "images/{}.png", {"suffix": ".png", "image_suffix": ".bmp"}),
    ("images/{}.png", "images/masks/{}.png", {"labels": "images/masks"}),
    ("images/raw/{}.png", "images/{}.png", {"images": "images/raw"}),
  ],
)
def test_images_and_masks_in_one_folder(tmp_path, image, label, arguments):
  _pairs(tmp_path, "a", "b", "c", image=image, label=label)
  assert _all(_open(tmp_path, **{"labels": "images"} | arguments)) == ["a", "b", "c"]


def test_images_and_masks_that_cannot_be_told_apart(tmp_path):
  _pairs(tmp_path, "a", "b", image="images/{}.bmp", label="images/{}.png")
  with pytest.raises(errors.UserError, match=r"holds images and masks; .*image_suffix=.jpg,suffix"):
    _open(tmp_path, labels="images")


def test_what_systems_leave_is_left_out(tmp_path):
  _pairs(tmp_path, "a", "b", "c")
  for name in (
    "._a.png",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".ipynb_checkpoints/a-checkpoint.png",
    "__MACOSX/a.png",
    "@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
  ):
    for kind in ("images", "labels"):
      path = tmp_path / kind / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(b"\0\5\26\7")
  (tmp_path / "images/new").mkdir()
  (tmp_path / "images/d.png").mkdir()  # a folder
  assert _all(_open(tmp_path)) == ["a", "b", "c"]
  assert len(picture_files.find(str(tmp_path / "images"))) == 3
  assert len(picture_files.find(f"{tmp_path}/images/**/*.png")) == 3


def test_links_are_followed_but_not_in_circles(tmp_path):
  _pairs(tmp_path, "1/a", "1/b")
  _pairs(tmp_path / "disk", "c", "d")
  for kind in ("images", "labels"):
    (tmp_path / kind / "2").symlink_to(tmp_path / "disk" / kind)
    (tmp_path / "disk" / kind / "back").symlink_to(tmp_path / kind)
    (tmp_path / kind / "self").symlink_to(".")
  assert _all(_open(tmp_path)) == ["1/a", "1/b", "2/c", "2/d"]
  assert len(picture_files.find(str(tmp_path / "images"))) == 4


def test_a_link_to_nothing_is_named(tmp_path):
  _pairs(tmp_path, "a", "b", "c")
  for kind in ("images", "labels"):
    (tmp_path / kind / "x.png").symlink_to("gone.png")
  with pytest.raises(errors.UserError, match=r"/x.png: No such file or directory"):
    _open(tmp_path)


def test_what_exists_is_no_pattern(tmp_path):
  names = ["p [1].png", "p*.png", "[a-c]/p?.png"]
  for name in names:
    _put(tmp_path / "set [2024]" / name, IMAGE)
  found = picture_files.find(f"{tmp_path}/set [2024]")
  assert sorted(map(str, found.values())) == sorted(names)
  for name in names:
    assert list(picture_files.find(f"{tmp_path}/set [2024]/{name}")) == [
      tmp_path / "set [2024]" / name
    ]
  assert len(picture_files.find(f"{tmp_path}/set [2024]/p*")) == 2
  assert len(picture_files.find(f"{tmp_path}/set [2024]/*/*.png")) == 1


def test_names_of_one_look_belong_together(tmp_path):
  """macOS writes an accented letter as two code points, Linux and Windows as one."""
  composed, divided = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
  assert composed != divided
  _put(tmp_path / f"images/{divided}.png", IMAGE)
  _put(tmp_path / f"labels/{composed}.png", MASK)
  _pairs(tmp_path, "b")
  (tmp_path / "t.txt").write_text(f"{composed}\n")
  (tmp_path / "v.txt").write_text("b\n")
  ids = _open(tmp_path, train_list="t.txt", val_list="v.txt")
  assert ids == {"train": [composed], "validation": ["b"]}


def test_names_of_any_bytes(tmp_path):
  name = os.fsdecode(b"caf\xe9")
  _pairs(tmp_path, name, "new\nline", "b & <c>")
  assert _all(_open(tmp_path)) == sorted(["caf\\xe9", "new\nline", "b & <c>"])


def test_splits_whose_masks_lie_elsewhere(tmp_path):
  _pairs(tmp_path, *"ab", image="train/{}.png", label="trainannot/{}.png")
  _pairs(tmp_path, "c", image="val/{}.png", label="valannot/{}.png")
  dirs = {"train_dir": "train:trainannot", "val_dir": "val:valannot"}
  ids = _open(tmp_path, images=".", labels=".", **dirs)
  assert ids == {"train": ["train/a", "train/b"], "validation": ["val/c"]}


@pytest.mark.parametrize("layout", ["{}/{}", "{1}/{0}"])
def test_a_folder_for_each_split(tmp_path, layout):
  for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
    image, label = (f"{layout.format(kind, split)}/{{}}.png" for kind in ("images", "labels"))
    _pairs(tmp_path, *names, image=image, label=label)
  ids = _open(tmp_path, train_dir="train", val_dir="val", test_dir="test")
  assert ids == {"train": ["train/a", "train/b"], "validation": ["val/c"], "test": ["test/d"]}
  with pytest.raises(errors.UserError, match=r"/images/dev: no such folder"):
    _open(tmp_path, train_dir="train", val_dir="dev")


def test_camvid_as_its_authors_have_it():
  root = os.environ.get("CAMVID")
  if not root:
    pytest.skip("CAMVID does not name the folder of the SegNet authors' version of CamVid")
  config = folder.get_config(
    f"images={root},labels={root},num_classes=11,ignore=11,"
    "train_dir=train:trainannot,val_dir=val:valannot"
  )
  dataset = datasets.open_dataset(config.input.data, label_spaces.get(config.label_space))
  sources = {split: dataset.split(split) for split in ("train", "validation")}
  assert {split: len(source) for split, source in sources.items()} == {
    "train": 367,
    "validation": 101,
  }
  for split, source in sources.items():
    listed = (pathlib.Path(root) / f"{'train' if split == 'train' else 'val'}.txt").read_text()
    assert [pair.id.partition("/")[2] for pair in source.pairs] == sorted(listed.split())


@pytest.mark.parametrize(
  "line",
  [
    "day/{}",
    "day/{}.png",
    "./day/{}.png",
    "day\\{}.png",
    "images/day/{}.png",
    "/elsewhere/images/day/{}.png",
    "day/{0} day/{0}",
    "day/{0}.png day/{0}.png",
    "images/day/{0}.png labels/day/{0}.png",
    "images/day/{0}.png\tlabels/day/{0}.png",
    "images/day/{0}.png, labels/day/{0}.png",
    "/SegNet/images/day/{0}.png /SegNet/labels/day/{0}.png",
  ],
)
@pytest.mark.parametrize(("mark", "newline"), [("", "\n"), ("\ufeff", "\r\n")])
def test_lists_as_they_are_written(tmp_path, line, mark, newline):
  names = ["a", "b c", "d", "e"]
  _pairs(tmp_path, *(f"day/{name}" for name in names))
  for name, part in (("t.txt", names[:2]), ("v.txt", names[2:3]), ("e.txt", names[3:])):
    lines = newline.join([line.format(item) for item in part] + [""])
    (tmp_path / name).write_bytes((mark + lines).encode())
  ids = _open(tmp_path, train_list="t.txt", val_list="v.txt", test_list="e.txt")
  assert ids == {"train": ["day/a", "day/b c"], "validation": ["day/d"], "test": ["day/e"]}


def test_two_columns_name_files_anywhere(tmp_path):
  _pairs(tmp_path, "a", "b", image="x/{}.png", label="y/{}-other-name.png")
  (tmp_path / "t.txt").write_text("x/a.png y/a-other-name.png\n")
  (tmp_path / "v.txt").write_text("x/b.png y/b-other-name.png\n")
  ids = _open(tmp_path, images="x", labels="y", train_list="t.txt", val_list="v.txt")
  assert ids == {"train": ["a"], "validation": ["b"]}
  ids = _open(tmp_path, images=".", labels=".", train_list="t.txt", val_list="v.txt")
  assert ids == {"train": ["x/a"], "validation": ["x/b"]}


def test_a_test_list_is_taken_out_of_the_draw(tmp_path):
  _pairs(tmp_path, *"abcdef")
  (tmp_path / "e.txt").write_text("c\n")
  ids = _open(tmp_path, test_list="e.txt")
  assert ids["test"] == ["c"]
  assert _all(ids) == list("abcdef")


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("a\nb\n".encode("utf-16"), r"^list of train /.*/t.txt is UTF-16 text; save it as UTF-8$"),
    ("a\ncafé\n".encode("latin-1"), r"^list of train /.*/t.txt, line 2: is not UTF-8 text"),
    (b"\x89PNG\0\0", r"^list of train /.*/t.txt, line 1: is not UTF-8"),
    (b"a\0b", r"^list of train /.*/t.txt is not a text file"),
    (b"", r"^list of train /.*/t.txt: is empty$"),
    (None, r"^list of train /.*/t.txt cannot be read: Is a directory$"),
    (b"b/a\n", r"^/.*/t.txt, 'b/a': has no image "),  # not the `a` beside it
  ],
)
def test_lists_that_cannot_be_used(tmp_path, content, message):
  _pairs(tmp_path, "a", "b")
  if content is None:
    (tmp_path / "t.txt").mkdir()
  else:
    (tmp_path / "t.txt").write_bytes(content)
  (tmp_path / "v.txt").write_text("a\n")
  with pytest.raises(errors.UserError, match=message):
    _open(tmp_path, train_list="t.txt", val_list="v.txt")


def test_pictures_turned_by_exif_are_named(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6
  for name in "abc":
    _put(tmp_path / f"images/{name}.png", IMAGE, exif=exif)
    _put(tmp_path / f"labels/{name}.png", MASK)
  with pytest.raises(errors.UserError, match=r"is rotated by its EXIF orientation"):
    _open(tmp_path)


def test_jpeg_masks_are_named(tmp_path):
  _pairs(tmp_path, "a", "b", label="labels/{}.jpg")
  with pytest.raises(errors.UserError, match=r"\(but others: 2 .jpg\); JPEG does not keep ids"):
    _open(tmp_path)


def test_what_is_left_out_is_told(tmp_path, caplog):
  caplog.set_level("INFO", logger="absl")
  _pairs(tmp_path, "a", "b", "c")
  for name in ("d.gif", "e.GIF", "notes.txt", "LICENSE"):
    (tmp_path / "images" / name).touch()
  _open(tmp_path)
  assert f"{tmp_path}/images: left out 2 .gif, 1 .txt, 1 no extension" in caplog.text
  caplog.clear()
  picture_files.find(str(tmp_path / "images"))
  assert f"{tmp_path}/images: left out 2 .gif, 1 .txt, 1 no extension" in caplog.text
