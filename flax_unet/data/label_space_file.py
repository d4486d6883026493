"""A label space as JSON, so that a run keeps its classes even if their file changes."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from flax_unet import errors, files
from flax_unet.data.label_space import IGNORED, LabelSpace

NAME = "label_space.json"  # in a run folder


def write(path: pathlib.Path, space: LabelSpace) -> None:
  """Writes a label space atomically."""
  files.write_json(path, to_json(space))


def to_json(space: LabelSpace) -> dict[str, Any]:
  """Everything about a label space, for JSON."""
  return {
    "name": space.name,
    "classes": [
      {"name": name, "color": color, "label_id": label_id}
      for name, color, label_id in zip(
        space.class_names, space.colors.tolist(), space.index_to_id.tolist(), strict=True
      )
    ],
    "id_to_index": {str(label_id): index for label_id, index in sorted(space.id_to_index.items())},
    "categories": {name: list(members) for name, members in space.categories.items()},
    "instance_classes": list(space.instance_classes),
    "color_to_id": [[*color, label_id] for color, label_id in sorted(space.color_to_id.items())],
  }


def read(path: pathlib.Path) -> LabelSpace:
  """Reads a label space.

  Raises:
    UserError: the file is missing, damaged or of another version.
  """
  content = files.read_json(path)
  try:
    return _from_json(content)
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f"{path}: is not a label space of this flax_unet version ({type(error).__name__}: {error})"
    ) from error


def _from_json(content: dict[str, Any]) -> LabelSpace:
  classes = content["classes"]
  return LabelSpace(
    name=content["name"],
    class_names=tuple(item["name"] for item in classes),
    colors=np.array([item["color"] for item in classes], np.uint8).reshape(-1, 3),
    id_to_index={int(label_id): index for label_id, index in content["id_to_index"].items()},
    index_to_id=np.array([item["label_id"] for item in classes], np.uint8),
    categories={name: tuple(members) for name, members in content["categories"].items()},
    instance_classes=tuple(content["instance_classes"]),
    color_to_id={tuple(color): label_id for *color, label_id in content["color_to_id"]},
  )


def difference(before: LabelSpace, now: LabelSpace) -> str | None:
  """Describes how the current classes differ from those of a run; None if they do not."""
  return next(_differences(before, now), None)


def _differences(before: LabelSpace, now: LabelSpace) -> Iterator[str]:
  if before.num_classes != now.num_classes:
    yield f"{before.num_classes} classes then, {now.num_classes} now"
  pairs = enumerate(zip(before.class_names, now.class_names, strict=False))
  for index, (old, new) in pairs:
    if old != new:
      yield f"class {index} was '{old}' and is '{new}' now"
  for index, name in enumerate(before.class_names):
    old, new = (tuple(space.colors[index].tolist()) for space in (before, now))
    if old != new:
      yield f"the colour of '{name}' was {old} and is {new} now"
  for label_id in sorted(before.id_to_index | now.id_to_index):
    old, new = (_meaning(space, space.id_to_index.get(label_id)) for space in (before, now))
    if old != new:
      yield f"the mask value {label_id} was {old} and is {new} now"
  for color in sorted(before.color_to_id | now.color_to_id):
    if before.color_to_id.get(color) != now.color_to_id.get(color):
      yield f"the mask colour {color} meant another class"


def _meaning(space: LabelSpace, index: int | None) -> str:
  if index is None:
    return "no class"
  return "ignored" if index == IGNORED else f"'{space.class_names[index]}'"
