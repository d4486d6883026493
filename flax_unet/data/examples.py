"""Reads all examples of a split, on all cores."""

import concurrent.futures
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from flax_unet import errors
from flax_unet.data.datasets import Source

T = TypeVar("T")


def of_each(
  source: Source,
  function: Callable[[dict[str, Any]], T],
  on_bad: Callable[[errors.UserError], T] | None = None,
) -> Iterator[T]:
  """Applies a function to each example, in order.

  Threads are enough: decoding takes most of the time and releases Python's lock.

  Args:
    source: the split.
    function: of an example, see `Source`.
    on_bad: returns the result for an example that cannot be used; None: its error is raised.

  Raises:
    UserError: an example cannot be used.
  """

  def read(index: int) -> T:
    try:
      return function(source[index])
    except errors.UserError as error:
      if on_bad is None:
        raise
      return on_bad(error)

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    yield from pool.map(read, range(len(source)))
