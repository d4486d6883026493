"""Checks manually downloaded archives before they are unpacked."""

import pathlib
import re
import zipfile
from collections.abc import Iterable, Mapping

from flax_unet import errors

_CITYSCAPES_IMAGE = re.compile(r"([a-z\-]+_\d+_\d+)_leftImg8bit\.png")
_AGAIN = "download it again"


def check_cityscapes(
  folder: pathlib.Path,
  roots: Mapping[str, tuple[str, str]],
  label_suffix: str | None,
  splits: Iterable[str],
) -> None:
  """Checks that the archives of Cityscapes are complete, according to their tables of contents.

  Args:
    folder: contains the archives.
    roots: archive, and folder in it, of each kind of file, as in TFDS's `CityscapesConfig`:
      `images_left`, and `segmentation_labels` if there are any; the same with `/extra` for the
      split train_extra.
    label_suffix: what follows the id in label names, `gtFine_labelIds`; None without labels.
    splits: their folders.

  Raises:
    UserError: an archive is missing or invalid, or has an image without its label.
  """
  archives = list(dict.fromkeys(archive for archive, _ in roots.values()))
  missing = [name for name in archives if not (folder / name).is_file()]
  if missing:
    raise errors.UserError(
      f"Cityscapes: {' and '.join(missing)} not found in {folder}. Get {' and '.join(archives)} "
      "from https://www.cityscapes-dataset.com/downloads (after registration) and put them there, "
      "or name their folder with --config.input.data.manual_dir=DIR. To try without them: "
      "python main.py --config=configs/street_scenes.py"
    )
  members = {name: read_names(folder / name) for name in archives}
  places = [(split, "") for split in splits]
  places += [("train_extra", "/extra")] if "images_left/extra" in roots else []
  for split, which in places:
    archive, root = roots[f"images_left{which}"]
    images = _images_of(folder / archive, members[archive], f"{root}/{split}/")
    if label_suffix is None:
      continue
    label_archive, label_root = roots[f"segmentation_labels{which}"]
    for city, image_id in images:
      label = f"{label_root}/{split}/{city}/{image_id}_{label_suffix}.png"
      if label not in members[label_archive]:
        raise errors.UserError(
          f"{folder / label_archive}: lacks {label}, which the image in {archive} needs; {_AGAIN}"
        )


def _images_of(archive: pathlib.Path, members: set[str], root: str) -> list[tuple[str, str]]:
  """Returns city and id of each image in a split's folder."""
  images = []
  for name in sorted(members):
    if not name.startswith(root) or name.endswith("/"):
      continue
    city, _, file = name.removeprefix(root).rpartition("/")
    if file.startswith("."):  # not unpacked
      continue
    match = _CITYSCAPES_IMAGE.fullmatch(file)
    if not match:
      raise errors.UserError(f"{archive}: {name} is not a Cityscapes image; {_AGAIN}")
    images.append((city, match[1]))
  if not images:
    raise errors.UserError(f"{archive}: has no image in {root}; {_AGAIN}")
  return images


def read_names(archive: pathlib.Path) -> set[str]:
  """Returns the names of the files in a zip archive.

  Raises:
    UserError: it is not a zip archive, or is cut off.
  """
  try:
    with zipfile.ZipFile(archive) as file:
      return set(file.namelist())
  except zipfile.BadZipFile as error:
    with open(archive, "rb") as content:
      start = content.read(100).lstrip()
    if start.startswith(b"<"):
      reason = "is a web page, not a zip archive (perhaps downloaded without logging in)"
    elif start.startswith(b"PK"):
      reason = "is a zip archive that is cut off"
    else:
      reason = "is not a zip archive"
    raise errors.UserError(f"{archive}: {reason}; {_AGAIN}") from error
  except OSError as error:
    raise errors.UserError(f"{archive}: cannot be read ({error.strerror})") from error
