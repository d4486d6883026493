"""The street's plan: lanes, kerbs, pavements, and what lines it, all in metres."""

import dataclasses

import numpy as np

NEAR = 0.5  # metres from the camera, where the ground starts


@dataclasses.dataclass(frozen=True)
class Side:
  """One side of the street.

  Attributes:
    sign: -1 left, 1 right.
    kerb: x of the kerb.
    frontage: x where the pavement ends and houses, walls and gardens begin.
    parking: width of the parking bays along the kerb; 0 if there are none.
    paved_parking: whether the bays are paved, and so not part of the road.
    verge: width of the grass strip; 0 if there is none.
    verge_at_kerb: whether the grass strip is at the kerb rather than at the frontage.
  """

  sign: int
  kerb: float
  frontage: float
  parking: float
  paved_parking: bool
  verge: float
  verge_at_kerb: bool

  @property
  def walk(self) -> float:
    """The x of the middle of the space for pedestrians."""
    low, high = abs(self.kerb), abs(self.frontage)
    if self.verge_at_kerb:
      low += self.verge
    else:
      high -= self.verge
    return self.sign * (low + high) / 2


@dataclasses.dataclass(frozen=True)
class Street:
  """The plan of a straight street; the camera drives along its right half.

  Attributes:
    kind: "city", "suburb" or "avenue".
    left, right: the two sides.
    lanes: x of the middle of each lane, and its direction: 1 away from the camera, -1 towards it.
    lane_lines: x of the lines between lanes.
    middle: x of the line between the directions.
    crossing: z where a crossing street begins and ends, or None.
    zebra: whether there are zebra stripes in front of it.
    track: x of the middle of a tram track, or None.
    land: label of the area beyond the pavements: "terrain", "ground" or "sidewalk".
    end: z where the street ends at another one.
    autumn: whether some trees have turned.
  """

  kind: str
  left: Side
  right: Side
  lanes: tuple[tuple[float, int], ...]
  lane_lines: tuple[float, ...]
  middle: float
  crossing: tuple[float, float] | None
  zebra: bool
  track: float | None
  land: str
  end: float
  autumn: bool

  @property
  def sides(self) -> tuple[Side, Side]:
    """The left and the right side of the street."""
    return self.left, self.right

  @property
  def blocks(self) -> tuple[tuple[float, float], ...]:
    """The stretches (near, far) of z between crossing streets."""
    if self.crossing is None:
      return ((NEAR, self.end),)
    return (NEAR, self.crossing[0]), (self.crossing[1], self.end)


def sample_street(rng: np.random.Generator) -> Street:
  """Draws the plan of a street."""
  kind = rng.choice(["city", "suburb", "avenue"], p=[0.4, 0.35, 0.25])
  lane = rng.uniform(3.0, 3.5)
  drift = rng.uniform(-0.4, 0.4)  # the camera is not exactly in the middle of its lane
  ours = 1 + (rng.random() < 0.25)
  theirs = 1 + (rng.random() < 0.3)
  middle = -lane / 2 + drift
  lanes = [(middle + lane * (i + 0.5), 1) for i in range(ours)]
  lanes += [(middle - lane * (i + 0.5), -1) for i in range(theirs)]
  lines = [middle + lane * i for i in range(-theirs + 1, ours)]
  left_edge, right_edge = middle - theirs * lane, middle + ours * lane
  track = None
  if rng.random() < 0.2:
    track = left_edge - 1.7
    lines.append(left_edge)
    left_edge -= 3.4
  crossing = None
  if rng.random() < 0.5:
    near = rng.uniform(11, 28)
    crossing = (near, near + rng.uniform(7, 10))
  return Street(
    kind=str(kind),
    left=_sample_side(-1, left_edge, str(kind), track is None, rng),
    right=_sample_side(1, right_edge, str(kind), True, rng),
    lanes=tuple(lanes),
    lane_lines=tuple(lines),
    middle=middle,
    crossing=crossing,
    zebra=rng.random() < 0.6,
    track=track,
    land=str(rng.choice(["terrain", "ground", "sidewalk"], p=[0.6, 0.15, 0.25])),
    end=rng.uniform(70, 160),
    autumn=rng.random() < 0.2,
  )


def _sample_side(
  sign: int, edge: float, kind: str, may_park: bool, rng: np.random.Generator
) -> Side:
  """Draws the plan of one side, outwards from the edge of the lanes."""
  parking = rng.uniform(2.0, 2.3) if may_park and rng.random() < 0.55 else 0.0
  green = {"city": 0.2, "suburb": 0.6, "avenue": 0.7}[kind]
  verge = rng.uniform(1.0, 2.8) if rng.random() < green else 0.0
  kerb = edge + sign * parking
  return Side(
    sign=sign,
    kerb=kerb,
    frontage=kerb + sign * (rng.uniform(2.2, 4.8) + verge),
    parking=parking,
    paved_parking=rng.random() < 0.4,
    verge=verge,
    verge_at_kerb=rng.random() < 0.6,
  )
