"""The policy that tells orbax which checkpoints to keep."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Keep:
  """Which checkpoints orbax keeps, see `orbax.checkpoint.checkpoint_managers.PreservationPolicy`.

  Attributes:
    kept: a function that picks the steps to keep.
  """

  kept: Callable[[Iterable[int]], set[int]]

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
    """Whether to keep each checkpoint."""
    del context
    kept = self.kept(checkpoint.step for checkpoint in checkpoints)
    return [checkpoint.step in kept for checkpoint in checkpoints]
