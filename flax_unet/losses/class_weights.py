"""Weights of the classes from how often they occur, `config.class_weights = "median_frequency"`."""

from collections.abc import Callable, Sequence

import numpy as np

from flax_unet import errors


def median_frequency(pixels: np.ndarray) -> np.ndarray:
  """The median class frequency divided by that of the class (Eigen and Fergus 2015, section 6.3.2).

  https://arxiv.org/abs/1411.4734. A class's frequency is its share of the pixels in the images that
  contain it.
  """
  total = pixels.sum(1, keepdims=True)
  frequency = pixels.sum(0) / np.where(pixels > 0, total, 0).sum(0)
  return np.median(frequency) / frequency


def effective_number(pixels: np.ndarray, beta: float = 0.999) -> np.ndarray:
  """One over the effective number of samples (Cui et al. 2019, equation 2), with a sum of C.

  https://arxiv.org/abs/1901.05555: `(1 - beta) / (1 - beta^n)`. Neighbouring pixels are highly
  correlated, so n counts the class's pixels in units of a whole image.
  """
  number = pixels.sum(0) / (pixels.sum() / len(pixels))
  weights = (1 - beta) / (1 - beta**number)
  return weights * len(weights) / weights.sum()


def enet(pixels: np.ndarray) -> np.ndarray:
  """`1 / ln(1.02 + p)` of the class's share p of all pixels (Paszke et al. 2016, section 5.2).

  https://arxiv.org/abs/1606.02147. The weights are between 1.4 and 50.
  """
  return 1 / np.log(1.02 + pixels.sum(0) / pixels.sum())


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  function.__name__: function for function in (median_frequency, effective_number, enet)
}


def compute(rule: str, pixels: np.ndarray, class_names: Sequence[str]) -> tuple[float, ...]:
  """Computes the weights of the classes.

  Args:
    rule: one of `RULES`.
    pixels: int64 `[images, classes]`, the pixels of each class in each training image.
    class_names: for error messages.

  Raises:
    UserError: no training image holds one of the classes, so it has no frequency.
  """
  missing = [name for name, there in zip(class_names, pixels.any(0), strict=True) if not there]
  if missing:
    quoted = ", ".join(f"'{name}'" for name in missing)
    raise errors.UserError(
      f"config.class_weights = '{rule}': no training image holds {quoted}; give the "
      "weights as numbers, one per class, or leave the class out of the label space"
    )
  weights = RULES[rule](pixels.astype(np.float64))
  return tuple(float(f"{weight:.6g}") for weight in weights)
