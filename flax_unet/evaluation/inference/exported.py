"""Exports a trained network as one file for serving, without configuration or Python code.

`jax.export` serialises the file: StableHLO, in which the parameters are constants and the
normalisation of images is the first operation. With jax it takes two lines to run:

    model = jax.export.deserialize(pathlib.Path("model.jaxexport").read_bytes())
    outputs = model.call(images)  # uint8 [batch, height, width, 3], RGB

If the run has images of another format, so has the file: its channels, uint16, or float32 in the
range of `config.images.range`.

`outputs["mask"]`, uint8 `[batch, height, width]`, holds the class indices, and
`outputs["probabilities"]`, float32 `[batch, height, width, classes]`, the softmax of the logits.
`model.fun_name` is the name of the label space; behind it, for images that are not 8-bit RGB, their
format as JSON (`ImageFormat`). If images of any size must be mirrored up to a
multiple other than 128 pixels (see `fitting`), the names of the dimensions say so: `height_by_256`.
For how long later versions of jax can read the file, see
https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees.
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from flax_unet import errors
from flax_unet.data import padding
from flax_unet.data.image_format import RGB, ImageFormat, resize
from flax_unet.evaluation.inference import fitting, passes
from flax_unet.models import base

_PLATFORMS = ("cpu", "cuda", "tpu")

Key = TypeVar("Key")


def export_model(
  model: base.Network,
  variables: Mapping[str, Any],
  image_size: tuple[int, int] | None,
  label_space: str,
  multiple: int = padding.MULTIPLE,
) -> export.Exported:
  """Exports a network as a function of images alone, for any batch size.

  Args:
    model: the network.
    variables: its parameters and statistics.
    image_size: height and width of the images, of any values; if they do not fit the network,
      images are mirrored at their borders. None: any height and width that fit the network.
    label_space: name of the label space, which the file keeps.
    multiple: images are mirrored up to a multiple of this many pixels, see `fitting`: by the file
      itself if it is for one size, by `ExportedPredictor` if it is for any size.

  Raises:
    ValueError: a size below 1, or no size for a network whose logits are smaller than the image.
  """
  image_format = model.image_format

  def serve(images: jax.Array) -> dict[str, jax.Array]:
    if images.dtype != image_format.array_dtype:  # floats
      images = image_format.quantize(images).astype(image_format.array_dtype)
    if image_size is None:
      logits = base.OnImages(model)(variables, images, train=False)
    else:
      logits = passes.whole_picture(model, variables, images, multiple)
    return {
      "mask": jnp.argmax(logits, axis=-1).astype(jnp.uint8),
      "probabilities": jax.nn.softmax(logits),
    }

  serve.__name__ = label_space
  if not image_format.is_rgb8:
    facts = dataclasses.asdict(dataclasses.replace(image_format, mean=()))
    serve.__name__ += f" {json.dumps(facts)}"
  if image_size is not None and min(image_size) < 1:
    raise ValueError(f"an image size of {image_size[0]}x{image_size[1]}: give pixels above 0")
  if image_size is None and model.geometry.lost:
    raise ValueError(
      f"{model.geometry.name} takes images of one size only: give it, such as 512x1024"
    )
  name = "" if multiple == padding.MULTIPLE else f"_by_{multiple}"
  fit = model.geometry.multiple
  height, width = image_size or (f"{fit}*height{name}", f"{fit}*width{name}")
  shape = export.symbolic_shape(f"batch, {height}, {width}, {model.channels}")
  exporter = export.export(jax.jit(serve), platforms=_PLATFORMS)
  dtype = image_format.array_dtype if image_format.extra else image_format.dtype
  return exporter(jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)))


class ExportedPredictor:
  """Predicts images with an exported file; compiled once for each image shape.

  Attributes:
    num_classes: number of classes.
    label_space: name of the label space.
    image_format: that of the images. Without a second file, floats have no range: the file has it.
  """

  def __init__(self, path: pathlib.Path):
    """Reads a file.

    Raises:
      UserError: it cannot be read, or was not written by `export_model`.
    """
    try:
      content = path.read_bytes()
    except OSError as error:
      raise errors.UserError(f"{path}: cannot be read ({error.strerror})") from error
    try:
      exported = export.deserialize(bytearray(content))
      outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
      (images,) = exported.in_avals
      self.num_classes = outputs["probabilities"].shape[-1]
      self.label_space, _, facts = exported.fun_name.partition(" {")
      self.image_format = _image_format(json.loads("{" + facts)) if facts else RGB
      if images.dtype == jnp.float32:
        self.image_format = dataclasses.replace(self.image_format, value_range=())
      self._size = images.shape[1:3]
      found = re.search(r"height_by_(\d+)", str(self._size[0]))
      self._multiple = int(found[1]) if found else padding.MULTIPLE
    except Exception as error:  # of many types, since the bytes may be anything
      raise errors.UserError(
        f"{path}: cannot be read as a file of flax_unet.tools.export with jax {jax.__version__}"
      ) from error
    self._predict = jax.jit(functools.partial(_predict, exported), static_argnames="size")

  def __call__(
    self, pictures: Iterable[tuple[Key, np.ndarray]]
  ) -> Iterator[tuple[Key, np.ndarray]]:
    """Predicts images one by one, each in one pass.

    Images are made to fit as in evaluation and prediction (see `fitting`), provided that a file for
    any size comes from a run without `resize_image`, and a file for one size from a run that
    resizes to it.

    Args:
      pictures: pairs of a key and an image of `image_format`, `[height, width, channels]`.

    Yields:
      Pairs of the key and the mask, uint8 `[height, width]`, class indices.
    """
    for key, found, size in self._outputs(pictures, "mask"):
      yield key, fitting.resize_mask(found, size)

  def probabilities(
    self, pictures: Iterable[tuple[Key, np.ndarray]]
  ) -> Iterator[tuple[Key, np.ndarray]]:
    """Predicts the probability of each class; see `__call__`, which takes the most probable one.

    Yields:
      Pairs of the key and the probabilities, float32 `[height, width, classes]`.
    """
    for key, found, size in self._outputs(pictures, "probabilities"):
      yield key, found if found.shape[:2] == size else resize(found, *size)

  def _outputs(
    self, pictures: Iterable[tuple[Key, np.ndarray]], name: str
  ) -> Iterator[tuple[Key, np.ndarray, tuple[int, int]]]:
    """Yields key, an output of the file, and the image's size; huge outputs may have another."""
    for key, image in pictures:
      size = image.shape[:2]
      if all(isinstance(side, int) for side in self._size):
        fitted = resize(image, *self._size)
        at = size if fitting.resizes_scores(self._size, size) else self._size
        found = self._predict(fitted[None], size=at)[name]
        yield key, np.asarray(found)[0], size
      else:
        mirrored = padding.mirror(image, self._multiple)
        found = self._predict(mirrored[None], size=mirrored.shape[:2])[name]
        yield key, np.asarray(found)[0, : size[0], : size[1]], size


def _image_format(facts: Mapping[str, Any]) -> ImageFormat:
  """Reads the format of the images from an exported file."""
  facts = {key: tuple(x) if isinstance(x, list) else x for key, x in facts.items()}
  if facts["extra"]:
    return ImageFormat(**facts | {"extra": _image_format(facts["extra"])})
  return ImageFormat(**facts)


def _predict(
  exported: export.Exported, images: jax.Array, size: tuple[int, int]
) -> dict[str, jax.Array]:
  """Predicts `mask` and `probabilities`, `[batch, *size]` and `[batch, *size, classes]`."""
  outputs = exported.call(images)
  if images.shape[1:3] == size:
    return outputs
  # The logarithms differ from the logits by a constant per pixel, the same for all classes, and so
  # do their interpolations.
  probabilities = jnp.maximum(outputs["probabilities"], jnp.finfo(jnp.float32).tiny)
  scores = passes.resize_logits(jnp.log(probabilities), size)
  mask = jnp.argmax(scores, -1).astype(jnp.uint8)
  return {"mask": mask, "probabilities": jax.nn.softmax(scores)}
