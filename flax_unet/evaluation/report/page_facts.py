"""The facts about a run in its report, besides scores: command, hardware, timings, settings.

Facts missing from `run.json` are omitted: a long run must never fail because of its report.
"""

import datetime
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flax_unet.evaluation.report.curves import Curve

Facts = list[tuple[str, str]]  # names and values


def amount(value: float) -> str:
  """A number with an SI prefix, to which a unit may be appended: "31.0 M"."""
  for prefix, unit in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
    if value >= unit:
      return f"{value / unit:.3g} {prefix}"
  return f"{value:g} "


_OF_RUN: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
  ("parameters", "Parameters", amount),
  ("flops_per_step", "FLOPs a step", amount),
  ("seconds", "Wall-clock", lambda seconds: str(datetime.timedelta(seconds=round(seconds)))),
  ("devices", "Devices", lambda kinds: f"{len(kinds)} x {', '.join(sorted(set(kinds)))}"),
  ("cpus", "CPU cores", str),
  ("platform", "Platform", str),
  ("skipped_training_examples", "Skipped in training", lambda skipped: str(len(skipped))),
)


def columns(run_info: Mapping[str, Any], history: Mapping[str, Curve]) -> list[Facts]:
  """Columns of facts: about the run, its data, and its package versions.

  Args:
    run_info: as in `run.json`.
    history: steps and values; `images_per_second` and `waiting_for_data` are used.
  """
  run = [
    (title, show(run_info[key])) for key, title, show in _OF_RUN if run_info.get(key) is not None
  ]
  for where, size in run_info.get("peak_memory", {}).items():
    run.append((f"Peak memory, {where}", f"{amount(size)}B"))
  if "images_per_second" in history:
    run.append(("Images per second", f"{np.median(history['images_per_second'][1]):.3g} (median)"))
  if "waiting_for_data" in history:
    share = np.median(history["waiting_for_data"][1])
    run.append(("Waiting for data", f"{100 * share:.1f} % of the time (median)"))
  data = run_info.get("data", {})
  named = [("Data", data["name"])] if data else []
  splits = []
  for split, facts in data.get("splits", {}).items():
    size = f" ({amount(facts['bytes'])}B)" if "bytes" in facts else ""
    splits.append((f"Examples in {split}", f"{facts['examples']:,}{size}"))
  versions = list(run_info.get("versions", {}).items())
  return [column for column in (run, named + splits, versions) if column]


def command(run_info: Mapping[str, Any]) -> str:
  """The commands that reproduce a run, one flag per line; empty if they are not known."""
  lines = []
  if commit := run_info.get("git_commit"):
    lines.append(f"git checkout {commit.removesuffix('-dirty')}")
  if arguments := run_info.get("command"):
    lines.append(re.sub(r" ('?--)", r" \\\n  \1", arguments))
  return "\n".join(lines)


def settings(config: Mapping[str, Any], prefix: str = "") -> Facts:
  """The configuration as dotted keys and values."""
  lines: Facts = []
  for key, value in config.items():
    if isinstance(value, Mapping):
      lines += settings(value, f"{prefix}{key}.")
    else:
      lines.append((prefix + key, value if isinstance(value, str) else json.dumps(value)))
  return lines
