"""Applies every op to one drawn scene, with arguments that make its effect visible."""

import functools
import zlib
from typing import NamedTuple

import cv2
import numpy as np

from flax_unet import errors
from flax_unet.data import label_spaces, op_spec
from flax_unet.data.border_weights import BorderWeights
from flax_unet.data.label_space import IGNORED, LabelSpace
from flax_unet.data.ops import Example
from flax_unet.street_scenes.scene import draw_street_scene

_HEIGHT, _WIDTH = 128, 256  # of the scene, in pixels
_FINER = 4  # the scene is drawn so many times larger, and most of its noise then averages out
_SCENE = (0, 1, 68)  # seed, split and index: the example validation_000068 of the data set
_SEED = 205  # chosen among 400, so that the draws of most ops differ visibly
_DRAWS = 3
_THINGS = ("object", "human", "vehicle")  # categories of classes

# As one writes them in `config.input.pp`. Probabilities of 1 where the default often does nothing.
SPECS = {
  "label_map": "label_map",
  "border_weights": "border_weights(sigma=10.0)",
  "resize": "resize(128, 128)",
  "resize_image": "resize_image(64, 128)",
  "random_scale": "random_scale(0.5, 1.25)",
  "random_crop": "random_crop(96, 144)",
  "balanced_crop": "balanced_crop(64, 96, share=1.0)",
  "flip_lr": "flip_lr",
  "photometric": "photometric",
  "intensity": "intensity(0.25, contrast=0.75)",
  "rotate": "rotate(20.0)",
  "affine": "affine(10.0, low=0.8, high=1.25, max_shear=10.0, max_shift=0.1)",
  "elastic": "elastic(5.0, grid=3)",
  "cutout": "cutout(40, 40, holes=3, probability=1.0)",
  "blur": "blur(3.0, probability=1.0)",
  "jpeg": "jpeg(5, 30, probability=1.0)",
  "pad_to_multiple": "pad_to_multiple(96)",
}


class Column(NamedTuple):
  """A column of a picture.

  Attributes:
    caption: stands above it.
    tiles: uint8 `[height, width, 3]`, RGB, from top to bottom.
  """

  caption: str
  tiles: list[np.ndarray]


def names() -> list[str]:
  """The names of all registered ops.

  Raises:
    UserError: one has no example in `SPECS`, or an example has no op.
  """
  registered = op_spec.registry(_label_space())
  if missing := sorted(set(registered) ^ set(SPECS)):
    raise errors.UserError(
      f"the gallery and the registry of ops differ in {', '.join(missing)}: give every op of "
      "flax_unet/data/op_spec.py, and no other, an example in SPECS of "
      "docs/make_gallery/op_examples.py"
    )
  return list(registered)


def summary(name: str) -> str:
  """The first sentence of an op's docstring, which is its first line."""
  factory = op_spec.registry(_label_space())[name]
  return getattr(factory, "func", factory).__doc__.splitlines()[0]


def columns(name: str) -> list[Column]:
  """The scene as it was, and what an op makes of it: once, or at each of three draws."""
  space = _label_space()
  (op,) = op_spec.parse(SPECS[name], space).ops
  scene = _scene()
  if name == "label_map":
    return [
      Column("label ids", [scene["image"], _gray(scene["label"])]),
      Column("class indices", _tiles(op(scene, np.random.default_rng()), space)),
    ]
  scene = {**scene, "label": space.to_index(scene["label"])}
  before = Column("original", _tiles(scene, space))
  if name == "border_weights":
    return [before, *_weights(op, scene, space)]
  outputs = []
  for draw in range(_DRAWS):
    # The name and not the place in the table: a new op does not change the pictures of others.
    rng = np.random.default_rng((_SEED, zlib.crc32(name.encode()), draw))
    example, focus = dict(scene), ""
    if op.focused_share:  # the pipeline draws from the classes of the whole split, see order.Focus
      present = np.setdiff1d(scene["label"], [IGNORED])
      example["focus"] = int(rng.choice(present))
      focus = f": {space.class_names[example['focus']]}"
    state = rng.bit_generator.state
    output = op(example, rng)
    if rng.bit_generator.state == state:
      return [before, Column(_size(output), _tiles(output, space))]
    size = "" if output["image"].shape == scene["image"].shape else f", {_size(output)}"
    outputs.append(Column(f"draw {draw + 1}{focus or size}", _tiles(output, space)))
  return [before, *outputs]


def _label_space() -> LabelSpace:
  return label_spaces.get("cityscapes_19")


@functools.cache
def _scene() -> Example:
  """The scene with label ids."""
  rng = np.random.default_rng(_SCENE)
  image, label = draw_street_scene(rng, _FINER * _HEIGHT, _FINER * _WIDTH)
  image = cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
  middle = np.s_[_FINER // 2 :: _FINER]
  return {"image": image, "label": np.ascontiguousarray(label[middle, middle]), "id": "scene"}


def _tiles(example: Example, space: LabelSpace) -> list[np.ndarray]:
  return [example["image"], space.colorize(example["label"])]


def _size(example: Example) -> str:
  """Height and width of the image, and of the label if they differ."""
  sizes = dict.fromkeys(example[key].shape[:2] for key in ("image", "label"))
  return " and ".join(f"{height} x {width}" for height, width in sizes)


def _gray(label: np.ndarray) -> np.ndarray:
  """Label ids as the gray levels that they are in a file, brightened."""
  gray = cv2.normalize(label, None, 0, 255, cv2.NORM_MINMAX)
  return np.dstack([gray] * 3)


def _weights(op: BorderWeights, scene: Example, space: LabelSpace) -> list[Column]:
  """The weights of the gaps between things that stand on the street; all else is background."""
  classes = [index for name in _THINGS for index in space.categories[name]]
  objects = np.isin(scene["label"], classes).astype(np.uint8)
  weights = op({**scene, "label": objects}, np.random.default_rng())["weights"]
  shown = np.rint(255 * (weights - 1) / op.w0).astype(np.uint8)
  colors = cv2.applyColorMap(shown, cv2.COLORMAP_MAGMA)[..., ::-1]
  return [
    Column("objects on background", [np.dstack([255 * objects] * 3)]),
    Column(f"weights, {weights.min():.1f} to {weights.max():.1f}", [colors]),
  ]
