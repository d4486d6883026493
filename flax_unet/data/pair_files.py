"""The files of your own data: images and masks below two folders, and how they pair up."""

import collections
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import logging

from flax_unet import errors
from flax_unet.data import file_search

_WAY_OUT = "or give suffix=_mask if that is what mask names end with"


class Pair(NamedTuple):
  """The image and the mask of one example, and the file with extra channels, if any."""

  id: str
  image: pathlib.Path
  label: pathlib.Path
  extra: pathlib.Path | None = None

  @property
  def files(self) -> list[pathlib.Path]:
    """Image, mask, and the file with extra channels if there is one."""
    return [path for path in (self.image, self.label, self.extra) if path]


class Files:
  """The files below a folder with one of several endings, by name without the ending."""

  def __init__(
    self,
    folder: pathlib.Path,
    endings: Sequence[str],
    *,
    suffix: str = "",
    leave_out: Sequence[pathlib.Path] = (),
    not_endings: Sequence[str] = (),
    about_jpeg: str = "",
  ):
    """Does not access the disk yet.

    Args:
      folder: contains the files.
      endings: such as `.png`.
      suffix: comes before the extension, or includes it: `_mask` or `_mask.png`.
      leave_out: folders that are not searched.
      not_endings: files with these endings are skipped.
      about_jpeg: added to the error message if the folder has JPEGs instead.
    """
    has_ending = file_search.split_ending(f"*{suffix}", endings) is not None
    self.folder = folder
    self.endings = [suffix] if has_ending else [f"{suffix}{ending}" for ending in endings]
    self._leave_out = leave_out
    self._not_endings = not_endings
    self._about_jpeg = about_jpeg

  @functools.cached_property
  def by_name(self) -> dict[str, pathlib.Path]:
    """Finds the files.

    Raises:
      UserError: there are none, or two have the same name.
    """
    found: dict[str, pathlib.Path] = {}
    others: collections.Counter[str] = collections.Counter()
    for name, path in file_search.walk(self.folder, self._leave_out):
      if file_search.split_ending(name, self._not_endings):
        continue
      divided = file_search.split_ending(name, self.endings)
      if divided is None:
        others[path.suffix.lower() or "no extension"] += 1
        continue
      key = file_search.unify(divided[0])
      if key in found:
        raise errors.UserError(f"{found[key]} and {path}: differ only in their suffix")
      found[key] = path
    kinds = ", ".join(f"{number:,} {ending}" for ending, number in sorted(others.items()))
    if not found:
      note = self._about_jpeg if {".jpg", ".jpeg"} & set(others) else ""
      raise errors.UserError(
        f"{self.folder}: holds no file *{', *'.join(self.endings)}"
        + f" (but others: {kinds}){note}" * bool(others)
      )
    if others:
      logging.info("%s: left out %s", self.folder, kinds)
    return found


def check_masks(names: Sequence[str], labels: Files, where: Callable[[str], str], way: str) -> None:
  """Refuses images without masks.

  Args:
    names: of the images.
    labels: the masks.
    where: returns what the error message calls the image of a name.
    way: what to do instead of adding masks.

  Raises:
    UserError: a mask is missing.
  """
  if missing := [name for name in names if name not in labels.by_name]:
    expected = labels.folder / f"{missing[0]}{labels.endings[0]}"
    raise errors.UserError(
      f"{where(missing[0])}: has no mask {expected}{more(missing)}; add masks, {way}, {_WAY_OUT}"
    )


def all_pairs(images: Files, labels: Files, prefix: str = "") -> list[Pair]:
  """Pairs all files of two folders by their names; ids begin with `prefix`.

  Raises:
    UserError: a file has no partner.
  """
  check_masks(
    sorted(images.by_name), labels, lambda name: f"{images.by_name[name]}", "remove images"
  )
  if orphans := sorted(set(labels.by_name) - set(images.by_name)):
    raise errors.UserError(
      f"{labels.by_name[orphans[0]]}: has no image {images.folder / orphans[0]}.*"
      f"{more(orphans)}; add images, remove masks, {_WAY_OUT}"
    )
  return [
    Pair(file_search.printable(f"{prefix}{name}"), path, labels.by_name[name])
    for name, path in sorted(images.by_name.items())
  ]


def with_extra(pairs: Sequence[Pair], extra: Files, prefix: str = "") -> list[Pair]:
  """Adds the files with extra channels to pairs whose ids begin with `prefix`.

  Raises:
    UserError: an image has none.
  """
  by_id = {file_search.printable(f"{prefix}{name}"): path for name, path in extra.by_name.items()}
  if missing := [pair for pair in pairs if pair.id not in by_id]:
    name = missing[0].id.removeprefix(prefix)
    raise errors.UserError(
      f"{missing[0].image}: has no file {extra.folder / name}.* with extra "
      f"channels{more([pair.id for pair in missing])}; add it, remove the image, or set "
      "extra_suffix to what the names of such files end with"
    )
  return [pair._replace(extra=by_id[pair.id]) for pair in pairs]


def more(names: Sequence[str]) -> str:
  """Says how many names there are besides the first."""
  return f" (nor have {len(names) - 1} more theirs)" if len(names) > 1 else ""
