"""Checks archives that people fetch by hand, before they are unpacked."""

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
  """Checks that the archives of Cityscapes are whole, as far as their tables of contents tell.

  Args:
    folder: where they lie.
    roots: archive, and the folder in it, of each kind of file, as in TFDS's `CityscapesConfig`:
      `images_left`, and where there are any `segmentation_labels`.
    label_suffix: what labels have behind the id, `gtFine_labelIds`; None without labels.
    splits: their folders.

  Raises:
    UserError: an archive is missing or is none, or holds an image without its label.
  """
  archives = list(dict.fromkeys(archive for archive, _ in roots.values()))
  missing = [name for name in archives if not (folder / name).is_file()]
  if missing:
    raise errors.UserError(
      f"Cityscapes: {' and '.join(missing)} not found in {folder}. Get {' and '.join(archives)} "
      "from https://www.cityscapes-dataset.com/downloads (after registration), put them there or "
      "name their folder with --config.input.data.manual_dir=DIR. To try without them: "
      "python main.py --config=configs/street_scenes.py"
    )
  members = {name: read_names(folder / name) for name in archives}
  archive, root = roots["images_left"]
  for split in splits:
    images = _images_of(folder / archive, members[archive], f"{root}/{split}/")
    if label_suffix is None:
      continue
    label_archive, label_root = roots["segmentation_labels"]
    for city, image_id in images:
      label = f"{label_root}/{split}/{city}/{image_id}_{label_suffix}.png"
      if label not in members[label_archive]:
        raise errors.UserError(
          f"{folder / label_archive}: holds no {label}, which the image in {archive} needs; "
          f"{_AGAIN}"
        )


def _images_of(archive: pathlib.Path, members: set[str], root: str) -> list[tuple[str, str]]:
  """City and id of each image in a split's folder."""
  images = []
  for name in sorted(members):
    if not name.startswith(root) or name.endswith("/"):
      continue
    city, _, file = name.removeprefix(root).rpartition("/")
    if file.startswith("."):  # not unpacked
      continue
    match = _CITYSCAPES_IMAGE.fullmatch(file)
    if not match:
      raise errors.UserError(f"{archive}: {name} is no image of Cityscapes; {_AGAIN}")
    images.append((city, match[1]))
  if not images:
    raise errors.UserError(f"{archive}: holds no image in {root}; {_AGAIN}")
  return images


def read_names(archive: pathlib.Path) -> set[str]:
  """Reads which files a zip archive holds.

  Raises:
    UserError: it is none, or is cut off.
  """
  try:
    with zipfile.ZipFile(archive) as file:
      return set(file.namelist())
  except zipfile.BadZipFile as error:
    with open(archive, "rb") as content:
      start = content.read(100).lstrip()
    if start.startswith(b"<"):
      reason = "is a web page and no zip archive (of a download without login, perhaps)"
    elif start.startswith(b"PK"):
      reason = "is a zip archive that breaks off"
    else:
      reason = "is no zip archive"
    raise errors.UserError(f"{archive}: {reason}; {_AGAIN}") from error
  except OSError as error:
    raise errors.UserError(f"{archive}: cannot be read ({error.strerror})") from error
