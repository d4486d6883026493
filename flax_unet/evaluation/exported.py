"""A trained network as one file that serves predictions, without configuration or Python code.

The file is what `jax.export` serialises: StableHLO, in which the parameters are constants and the
normalisation of pictures is the first operation. Whoever has jax runs it in two lines:

    model = jax.export.deserialize(pathlib.Path("model.jaxexport").read_bytes())
    outputs = model.call(images)  # uint8 [batch, height, width, 3], RGB

`outputs["mask"]`, uint8 `[batch, height, width]`, has the class indices, and
`outputs["probabilities"]`, float32 `[batch, height, width, classes]`, the softmax of the logits.
`model.fun_name` is the name of the label space.
How long later versions of jax read such a file is told in
https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from flax_unet import errors
from flax_unet.evaluation import inference
from flax_unet.models.unet import UNet

_PLATFORMS = ("cpu", "cuda", "tpu")
_MULTIPLE = 128  # as in `prediction.Predictor`: few shapes, so few compilations

Key = TypeVar("Key")


def export_model(
  model: UNet,
  variables: Mapping[str, Any],
  image_size: tuple[int, int] | None,
  label_space: str,
) -> export.Exported:
  """Makes a network into a function of pictures alone, for any number of them.

  Args:
    model: the network.
    variables: its parameters and statistics.
    image_size: height and width of the pictures, any; where they do not fit the network they are
      mirrored at their borders. None: every height and width that are multiples of `2**depth`.
    label_space: name of the classes' label space, which the file keeps.

  Raises:
    ValueError: a network with `padding="valid"` without a size, or a size below 1.
  """

  def serve(images: jax.Array) -> dict[str, jax.Array]:
    if image_size is None:
      logits = model.apply(variables, inference.normalize(images), train=False)
    else:
      logits = inference.whole_picture(model, variables, images)
    return {
      "mask": jnp.argmax(logits, axis=-1).astype(jnp.uint8),
      "probabilities": jax.nn.softmax(logits),
    }

  serve.__name__ = label_space
  if image_size is not None and min(image_size) < 1:
    raise ValueError(f"an image size of {image_size[0]}x{image_size[1]}: give pixels above 0")
  if image_size is None and model.padding != "same":
    raise ValueError(
      f"a U-Net with padding='{model.padding}' takes pictures of one size only: name it, such as "
      "512x1024"
    )
  multiple = 2**model.depth
  height, width = image_size or (f"{multiple}*height", f"{multiple}*width")
  shape = export.symbolic_shape(f"batch, {height}, {width}, 3")
  exporter = export.export(jax.jit(serve), platforms=_PLATFORMS)
  return exporter(jax.ShapeDtypeStruct(shape, jnp.uint8))


class ExportedPredictor:
  """Predicts pictures with an exported file; compiled once for each shape of picture.

  Attributes:
    num_classes: of the network.
    label_space: name of that of its classes.
  """

  def __init__(self, path: pathlib.Path):
    """Reads a file.

    Raises:
      UserError: there is none, or it was not written by `export_model`.
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
      self.label_space = exported.fun_name
      self._size = images.shape[1:3]
    except Exception as error:  # of many types, as the bytes may be anything
      raise errors.UserError(
        f"{path}: cannot be read as a file of flax_unet.tools.export with jax {jax.__version__}"
      ) from error
    self._predict = jax.jit(lambda images: exported.call(images)["mask"])

  def __call__(
    self, pictures: Iterable[tuple[Key, np.ndarray]]
  ) -> Iterator[tuple[Key, np.ndarray]]:
    """Predicts pictures one by one, in one pass each.

    A file for any size sees them mirrored up to a multiple of 128 pixels, at the bottom and on the
    right, as `prediction.Predictor` does it; one for a single size sees them resampled to it.

    Args:
      pictures: a key and uint8 `[height, width, 3]`, RGB, each.

    Yields:
      The key and the mask of each, uint8 `[height, width]`, class indices.
    """
    for key, image in pictures:
      height, width = image.shape[:2]
      if all(isinstance(side, int) for side in self._size):
        resized = cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR)
        mask = np.asarray(self._predict(resized[None]))[0]
        yield key, cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
      else:
        border = (0, -height % _MULTIPLE, 0, -width % _MULTIPLE)
        mirrored = cv2.copyMakeBorder(image, *border, cv2.BORDER_REFLECT_101)
        yield key, np.asarray(self._predict(mirrored[None]))[0, :height, :width]
