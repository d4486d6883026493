"""Reads the classes of your own data from a CSV file.

The first line names the columns; each other line is a class:

    name,r,g,b
    background,0,0,0
    cell,255,128,0

This is the format of the `class_dict.csv` that comes with many data sets. Two more columns are
optional: `id`, the value of the class in masks of ids (by default counted from 0), and `ignored`, 1
for pixels that are left out of the loss and all scores. The mask value 255 is ignored unless it is
the id of a class. Lines with the same name form one class with several ids or colours, which is
shown in the colour of the first line:

    name,r,g,b,id
    animal,255,0,0,1
    animal,200,0,0,2
"""

import csv
import os
import pathlib

import numpy as np

from flax_unet import errors
from flax_unet.data import text_files
from flax_unet.data.label_space import IGNORED, LabelSpace

_NEEDED = ("name", "r", "g", "b")
_OPTIONAL = ("id", "ignored")


def read(path: str | os.PathLike[str]) -> LabelSpace:
  """Reads a classes file.

  Args:
    path: the file, whose path becomes the name of the label space.

  Returns:
    A label space whose classes are the names that are not ignored, in the order of the file; each
    is a category of its own.

  Raises:
    UserError: the file is missing or malformed; the message names the line.
  """
  rows = _read_rows(pathlib.Path(path).expanduser())
  first_lines: dict[str, dict] = {}
  for row in rows:
    if not row["ignored"]:
      first_lines.setdefault(row["name"], row)
  scored = list(first_lines.values())
  if not 1 <= len(scored) <= IGNORED:
    raise errors.UserError(
      f"{path}: has {len(scored)} classes that are not ignored; there can be 1 to {IGNORED}"
    )
  names = tuple(row["name"] for row in scored)
  index_of = {name: index for index, name in enumerate(names)}
  return LabelSpace(
    name=str(path),
    class_names=names,
    colors=np.array([row["color"] for row in scored], np.uint8),
    id_to_index={IGNORED: IGNORED}
    | {row["id"]: IGNORED if row["ignored"] else index_of[row["name"]] for row in rows},
    index_to_id=np.array([row["id"] for row in scored], np.uint8),
    categories={name: (index,) for index, name in enumerate(names)},
    color_to_id={row["color"]: row["id"] for row in reversed(rows)},
  )


def _read_rows(path: pathlib.Path) -> list[dict]:
  """Returns the lines as `name`, `color`, `id` and `ignored`."""
  lines = text_files.read_lines(path, "classes file")
  reader = csv.DictReader(lines, skipinitialspace=True)
  columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
  reader.fieldnames = columns
  if not set(_NEEDED) <= set(columns) <= {*_NEEDED, *_OPTIONAL}:
    raise errors.UserError(
      f"{path}: its first line is '{','.join(columns)}', but must be name,r,g,b (optionally "
      "id,ignored)"
    )
  rows: list[dict] = []
  for cells in reader:
    where = f"{path}, line {reader.line_num}"
    if None in cells or None in cells.values() or not cells["name"].strip():
      raise errors.UserError(f"{where}: must be {','.join(columns)}")
    row = {
      "name": cells["name"].strip(),
      "color": tuple(_number(cells[channel], 255, where) for channel in "rgb"),
      "id": _number(cells.get("id", str(len(rows))), 255, where),
      "ignored": bool(_number(cells.get("ignored") or "0", 1, where)),
    }
    _check_against(rows, row, where, may_merge="id" in columns)
    rows.append(row)
  return rows


def _check_against(rows: list[dict], row: dict, where: str, may_merge: bool) -> None:
  """Refuses a line that contradicts an earlier one."""
  for other in rows:
    same_class = may_merge and row["name"] == other["name"]
    for key in ("id",) if same_class else ("name", "color", "id"):
      if row[key] == other[key]:
        raise errors.UserError(f"{where}: another class has the same {key}, {row[key]}")
    if same_class and row["ignored"] != other["ignored"]:
      raise errors.UserError(f"{where}: '{row['name']}' is ignored in one line and not in another")


def _number(text: str, largest: int, where: str) -> int:
  if not text.strip().isdecimal() or int(text) > largest:
    raise errors.UserError(f"{where}: '{text}' is not a number from 0 to {largest}")
  return int(text)
