"""Tables for the terminal and for Markdown."""

from collections.abc import Sequence

import numpy as np


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Aligns cells in columns under a ruled header; columns of numbers are right-aligned."""
  columns = [_aligned(name, cells) for name, *cells in zip(header, *rows, strict=True)]
  title, *lines = ("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
  return "\n".join([title, "  ".join("-" * len(cells[0]) for cells in columns), *lines])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Formats the same as a Markdown table."""
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned(name: str, cells: Sequence[str]) -> list[str]:
  """Pads a column's name and cells to one width."""
  width = max(map(len, (name, *cells)))
  numbers = all(cell[:1] in "+-0123456789" for cell in cells)
  return [cell.rjust(width) if numbers else cell.ljust(width) for cell in (name, *cells)]


def cell(value: float | None) -> str:
  """Formats a score with four decimals; `-` if there is none."""
  return "-" if value is None or np.isnan(value) else f"{value:.4f}"
