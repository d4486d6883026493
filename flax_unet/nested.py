"""Nested mappings, such as configurations and scores."""

import math
from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Turns nested keys into dotted ones: `{"a": {"b": 1}}` into `{"a.b": 1}`."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{key}.")
    else:
      flat[prefix + key] = value
  return flat


def nan_to_none(value: Any) -> Any:
  """Replaces NaN by None in nested mappings and sequences, since JSON has no NaN."""
  if isinstance(value, Mapping):
    return {key: nan_to_none(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [nan_to_none(item) for item in value]
  return None if isinstance(value, float) and math.isnan(value) else value
