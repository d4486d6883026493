"""The description of a score: its name, title, definition and direction."""

from typing import NamedTuple


class Score(NamedTuple):
  """A line of a table of scores.

  Attributes:
    name: the key in `metrics.json`.
    title: its name in tables and in the report.
    definition: how it is computed, in a sentence.
    higher_is_better: False for losses and errors.
  """

  name: str
  title: str
  definition: str
  higher_is_better: bool = True


LOSS = Score("loss", "loss", "config.loss over all pixels of the split", higher_is_better=False)
