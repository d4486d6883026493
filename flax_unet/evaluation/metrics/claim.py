"""Finds the definitions that could have produced a claimed "mean IoU".

Compares the claim with the value of every definition on the given predictions, and inverts the
definitions that depend only on pixel accuracy.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from flax_unet.data.label_spaces import LabelSpace
from flax_unet.evaluation.metrics.audit import Row, highest_mean_f1
from flax_unet.tables import text_table

NEAR = 0.01  # largest difference between a definition's value and a claim that it may explain


class Requirement(NamedTuple):
  """The pixel accuracy that a closed form needs to reach a claim; 0 if every model reaches it."""

  name: str
  pixel_accuracy: float


def micro_iou_accuracy(claim: float) -> float:
  """Solves PA / (2 - PA) = claim."""
  return 2.0 * claim / (1.0 + claim)


def true_negative_accuracy(claim: float, num_classes: int) -> float:
  """Solves 1 - 2 (1 - PA) / C = claim; 0 if every PA gives more."""
  return max(0.0, 1.0 - (1.0 - claim) * num_classes / 2.0)


def one_hot_accuracy(claim: float, num_classes: int) -> float:
  """Solves 1/2 [PA / (2 - PA) + (C - 2 + PA) / (C - PA)] = claim; 0 if every PA gives more."""
  # Multiplied out: (v + 1) PA^2 - (2 + v (C + 2)) PA + 2 v C - C + 2 = 0; one root lies below 1.
  a, b = claim + 1.0, 2.0 + claim * (num_classes + 2)
  c = 2.0 * claim * num_classes - num_classes + 2.0
  return max(0.0, 2.0 * c / (b + math.sqrt(b * b - 4.0 * a * c)))


def requirements(claim: float, label_space: LabelSpace) -> list[Requirement]:
  """The pixel accuracy at which each closed form gives the claim.

  Uses the number of classes in the label space, and its number of categories plus one for void, as
  Cityscapes counts them.
  """
  found = [Requirement("micro IoU", micro_iou_accuracy(claim))]
  for num_classes, kind in (
    (label_space.num_classes, "classes"),
    (len(label_space.categories) + 1, "categories, with void"),
  ):
    suffix = f"{num_classes} {kind}"
    found += [
      Requirement(
        f"accuracy with true negatives, {suffix}", true_negative_accuracy(claim, num_classes)
      ),
      Requirement(f"one-hot binary IoU, {suffix}", one_hot_accuracy(claim, num_classes)),
    ]
  return found


def near(rows: Sequence[Row], claim: float) -> list[Row]:
  """The definitions whose value lies within `NEAR` of the claim, nearest first."""
  by_distance = sorted(rows, key=lambda row: abs(row.value - claim))
  return [row for row in by_distance if abs(row.value - claim) <= NEAR]


def report(
  claim: float, rows: Sequence[Row], ceilings: Sequence[Row], label_space: LabelSpace
) -> str:
  """Describes in text which definitions may explain a claim.

  Args:
    claim: the claimed number, between 0 and 1.
    rows: the audit's definitions on the given predictions, the official one first.
    ceilings: the audit's ceilings.
    label_space: the label space of the predictions.
  """
  lines = [
    f"Claimed: {claim:.7f}. On these predictions the official mean IoU is {rows[0].value:.4f}."
  ]
  if found := near(rows, claim):
    names = ", ".join(f"{row.name} ({row.value:.4f})" for row in found)
    lines += [f"Within {NEAR} of the claim: {names}."]
  else:
    nearest = min(rows, key=lambda row: abs(row.value - claim))
    lines += [
      f"No definition comes within {NEAR}; the nearest is {nearest.name} ({nearest.value:.4f})."
    ]
  if above := [row.name for row in ceilings if claim > row.value]:
    lines += [f"As an official mean IoU, the claim would lie above the {', '.join(above)}."]
  lines += [
    f"As an official mean IoU, it allows a mean F1 of {highest_mean_f1(claim):.4f} at most.",
    "",
  ]
  needed = [(item.name, f"{item.pixel_accuracy:.4f}") for item in requirements(claim, label_space)]
  return (
    "\n".join(lines) + "\n" + text_table(("to reach the claim as", "pixel accuracy needed"), needed)
  )


def as_dict(claim: float, rows: Sequence[Row], label_space: LabelSpace) -> dict[str, Any]:
  """The same as JSON: `claimed`, `near`, `pixel_accuracy_needed` and `highest_mean_f1`."""
  return {
    "claimed": claim,
    "near": [row.name for row in near(rows, claim)],
    "pixel_accuracy_needed": {
      item.name: item.pixel_accuracy for item in requirements(claim, label_space)
    },
    "highest_mean_f1": highest_mean_f1(claim),
  }
