"""Trams."""

import numpy as np

from flax_unet.street_scenes.canvas import Canvas
from flax_unet.street_scenes.colors import AMBER, GLASS, TAIL_LIGHT
from flax_unet.street_scenes.geometry import Place, Plane, ellipse, rectangle, stroke
from flax_unet.street_scenes.solids import draw_shadow, draw_solid

_BANDS = np.array([(28, 136, 116), (116, 60, 140)], float)


def draw_tram_part(
  canvas: Canvas, place: Place, end: int, livery: int, rng: np.random.Generator
) -> None:
  """Draws one part of a tram, 8.6 m long.

  Args:
    canvas: where to draw.
    place: the part's middle.
    end: 1 for the front, -1 for the rear, 0 for a middle part, which carries the pantograph.
    livery: number shared by all parts of a tram, which determines its colours.
    rng: not used; all drawing functions take one.
  """
  del rng
  color = np.array([236, 234, 228]) * (0.85 + 0.2 * (livery % 7) / 7)
  band = _BANDS[livery % len(_BANDS)]
  length, width, height = 8.6, 2.4, 3.4
  half = length / 2
  profile = {
    "under": (-half, 0.25),
    "front": (half, 0.25),
    "windscreen": (half, 1.3),
    "top": (half - 0.7 * (end == 1), height),
    "rear window": (-half + 0.7 * (end == -1), height),
    "rear": (-half, 1.3),
  }
  draw_shadow(canvas, place, length, width, height)
  for name, plane in draw_solid(canvas, place, profile, width, color, "train").items():
    if name in ("left", "right"):
      _draw_tram_side(canvas, plane, half, band)
    elif name in ("windscreen", "rear window"):
      head = name == "windscreen"
      _draw_tram_end(canvas, place.end(half if head else -half), band, head)
  if end == 0:
    _draw_pantograph(canvas, place.end(), height)


def _draw_tram_side(canvas, plane: Plane, half, band) -> None:
  """A dark band of windows, a coloured skirt that hides the wheels, a door."""
  canvas.paint(plane, rectangle(-half, 0.25, half, 1.05), band)
  canvas.paint(plane, rectangle(0.1 - half, 1.35, half - 0.1, 2.75), (26, 30, 36))
  for along in np.arange(0.5 - half, half - 1.2, 1.7):
    canvas.paint(plane, rectangle(along, 1.5, along + 1.35, 2.65), GLASS + 34)
  canvas.paint(plane, rectangle(-0.7, 0.4, 0.7, 2.8), band * 0.8)
  canvas.paint(plane, rectangle(-0.55, 1.2, 0.55, 2.65), GLASS + 20)


def _draw_tram_end(canvas, plane: Plane, band, head) -> None:
  """The front of a tram: one large pane, a line number, lights close together."""
  canvas.paint(plane, rectangle(-1.2, 0.25, 1.2, 1.15), band)
  pane = np.array([(-1.08, 1.35), (1.08, 1.35), (0.95, 2.75), (-0.95, 2.75)])
  canvas.paint(plane, pane, (24, 28, 34))
  canvas.paint(plane, np.array([(-0.9, 1.9), (0.3, 1.9), (0.1, 2.6), (-0.8, 2.6)]), GLASS + 40)
  canvas.paint(plane, rectangle(-0.6, 2.85, 0.6, 3.2), (16, 16, 18))
  canvas.paint(plane, rectangle(-0.45, 2.92, 0.45, 3.14), AMBER, glow=True)
  lamp = (250, 248, 236) if head else TAIL_LIGHT
  for x in (-0.62, 0.62):
    canvas.paint(plane, ellipse(x, 0.8, 0.16, 0.16, 12), lamp, glow=True)
  canvas.paint(plane, rectangle(-0.35, 0.25, 0.35, 0.5), (44, 44, 46))


def _draw_pantograph(canvas, plane: Plane, height) -> None:
  """The pantograph on the roof, seen from either end."""
  for sign in (-1, 1):
    foot, knee, top = (0.5 * sign, height), (0.75 * sign, height + 0.75), (0.4 * sign, height + 1.5)
    canvas.paint(plane, stroke(foot, knee, 0.09), (46, 46, 48), "train")
    canvas.paint(plane, stroke(knee, top, 0.09), (46, 46, 48), "train")
  bow = stroke((-0.9, height + 1.5), (0.9, height + 1.5), 0.09)
  canvas.paint(plane, bow, (46, 46, 48), "train")
