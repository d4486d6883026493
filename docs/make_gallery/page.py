"""Writes the text of the gallery."""

import pathlib
import textwrap
from collections.abc import Mapping
from typing import Any

from docs.make_gallery import networks, op_examples

FOLDER = "gallery"  # of the pictures, beside the page
_COLUMNS = 120  # of a line of text
_OPS = """
These figures show what the ops of `config.input.pp` do to a synthetic scene with the arguments
given here. The image is above its label: first the originals, then three random draws, or one
result if the op is not random. The seed was chosen so that most draws show an effect. Ignored
pixels are black. The docstrings in `flax_unet/data/` explain all arguments.
"""
_NETWORKS = """
Each network at its published size, with 19 classes and images of {height} x {width} pixels. FLOPs,
as XLA counts them, are per image. Memory is what the compiled train step (AdamW, float32) needs on
a device with one image. Times are for two images, one on each of two devices, on {hardware}:
medians, jax {jax}, {date}. [Networks](networks.md) gives their sources, and compares scores at
about equal size. XLA has no fast 7x7 convolution of 4,096 channels on CPUs, which `fcn` needs.
"""
_SCREENSHOTS = {
  "report": ("The report of a run", "The upper part of `report/index.html` in the run folder."),
  "comparison": (
    "The comparison of runs",
    "The upper part of the page written by `flax-unet compare RUN RUN --page=DIR`.",
  ),
}


def text(docs: pathlib.Path, measured: Mapping[str, Any]) -> str:
  """The page in Markdown; it shows the screenshots that exist.

  Args:
    docs: the folder of the page.
    measured: see `networks.read`.
  """
  height, width = networks.SIZE
  about = {key: measured[key] for key in ("hardware", "jax", "date")}
  parts = [
    "# Gallery",
    "`python -m docs.make_gallery` generates this page and its images; do not edit it.",
    "## Ops",
    _wrapped(_OPS),
    *(_op(name) for name in op_examples.names()),
    "## Networks",
    _wrapped(_NETWORKS.format(height=height, width=width, **about)),
    _table(measured["networks"]),
    "## Pages",
    *(
      f"### {title}\n\n{_wrapped(what)}\n\n{_picture(name, title)}"
      for name, (title, what) in _SCREENSHOTS.items()
      if (docs / FOLDER / f"{name}.webp").exists()
    ),
  ]
  return "\n\n".join(parts) + "\n"


def _wrapped(paragraph: str) -> str:
  return textwrap.fill(
    " ".join(paragraph.split()), _COLUMNS, break_long_words=False, break_on_hyphens=False
  )


def _picture(name: str, title: str) -> str:
  return f"![{title}]({FOLDER}/{name}.webp)"


def _op(name: str) -> str:
  spec, summary = op_examples.SPECS[name], _wrapped(op_examples.summary(name))
  return f"### {name}\n\n{summary}\n\n`{spec}`\n\n{_picture(name, f'A street scene: {spec}')}"


def _table(measured: Mapping[str, Mapping[str, Any]]) -> str:
  lines = [
    "| network | parameters | GFLOPs: prediction | train step | memory: train step "
    "| time: prediction | train step |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
  ]
  for name, found in measured.items():
    lines.append(
      f"| `{name}` | {found['parameters']:,} | {found['prediction_flops'] / 1e9:.1f} "
      f"| {found['step_flops'] / 1e9:.1f} | {found['step_bytes'] / 2**20:,.0f} MiB "
      f"| {found['prediction_seconds']:.2f} s | {found['step_seconds']:.2f} s |"
    )
  return "\n".join(lines)
