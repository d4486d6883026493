"""The run folder: which run it holds, and which settings may change when the run resumes."""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from flax_unet import errors, files, nested, terminal
from flax_unet.config_flag import CONFIG, complete, from_json
from flax_unet.data import label_space_file
from flax_unet.data.datasets import Dataset
from flax_unet.data.label_space import LabelSpace
from flax_unet.planning import rules

_DIGESTS = "data.json"  # digests of the examples that a run began with
_GENERIC = ("image", "images", "img", "imgs")  # the parent folder's name says more
_LONGEST_NAME = 80  # characters of a default folder's name

# Settings that may change silently when a run resumes: they do not affect what it computes.
_FREE = (
  "ckpt_steps",
  "images.view",
  "input.cache",
  "input.cache_dir",
  "input.data.data_dir",
  "input.data.manual_dir",
  "input.prefetch",
  "input.prefetch_to_device",
  "input.timeout",
  "input.workers",
  "log_training_steps",
  "profile_steps",
)
# Settings that error messages advise to change; `run.json` lists each change with its step.
_RECORDED = (
  "accumulate_steps",
  "best",
  "early_stopping",
  "evals",
  "grad_clip_norm",
  "input.on_bad_example",
  "lr",
  "model.remat",
  "skip_nonfinite",
  "total_epochs",  # see `extension`
  "total_steps",
)
# Of these, the settings that only matter in steps to come.
_OF_STEPS = ("accumulate_steps", "grad_clip_norm", "lr", "skip_nonfinite")


def choose(workdir: str | None, config_file: str) -> pathlib.Path:
  """The run folder: the one given, or `runs/<config>[_<arguments>]`.

  If the arguments name a folder of images, only the name of that folder is used.
  """
  if workdir is not None:
    return pathlib.Path(workdir).expanduser()
  file, _, arguments = config_file.partition(":")
  if pathlib.Path(file).name == CONFIG:  # the config.json of a run
    return pathlib.Path(file).expanduser().parent
  words = re.split(r"[^\w.]+", arguments)
  if images := re.search(r"(?:^|,)\s*images\s*=\s*([^,]+)", arguments):
    path = pathlib.Path(images[1].strip()).expanduser().absolute()
    words = [path.parent.name if path.name.lower() in _GENERIC else path.name]
  name = "_".join(filter(None, [pathlib.Path(file).stem, *words]))
  return pathlib.Path("runs") / name[:_LONGEST_NAME]


def check_config(
  workdir: pathlib.Path, config: ml_collections.ConfigDict, *, fresh: bool
) -> list[dict[str, Any]]:
  """Compares a configuration with that of the run in a folder.

  Any setting may change while the run has no checkpoint. After that, only the settings that error
  messages advise to change, and those that do not affect what the run computes.

  Args:
    workdir: the run folder.
    config: the configuration.
    fresh: whether the run has no checkpoint.

  Returns:
    The settings that have changed, each with `key`, `from` and `to`; without those that do not
    affect what the run computes.

  Raises:
    UserError: the folder holds a run of another configuration.
  """
  path = workdir / CONFIG
  changes = []
  if path.exists():
    before, now = completed(files.read_json(path)), completed(to_json(config))
    changes = [
      {"key": key, "from": before.get(key), "to": now.get(key)}
      for key in sorted(before | now)
      if not _is_one_of(key, _FREE) and before.get(key) != now.get(key)
    ]
  refused = [] if fresh else [item for item in changes if not _is_one_of(item["key"], _RECORDED)]
  if refused:
    lengths = [item for item in changes if item["key"] in ("total_steps", "total_epochs")]
    differences = "; ".join(
      f"{item['key']}: {item['from']!r} there, {item['to']!r} now" for item in (*lengths, *refused)
    )
    raise errors.UserError(
      f"{workdir} holds a run of another configuration ({differences}). Use these settings again "
      f"to resume it, or start a new run with --workdir=DIR (from its weights, with "
      f"--config.init_from={workdir})"
    )
  return changes


def with_chosen(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> ml_collections.ConfigDict:
  """Fills in, from a run's folder, what a configuration leaves to be derived from the data.

  Args:
    config: the configuration.
    workdir: the run folder.

  Returns:
    The configuration, with the mean, standard deviation and planned settings of the run, if any.
  """
  path = workdir / CONFIG
  left = [f"model.{key}" for key in ("mean", "stddev") if config.model.get(key) == ()]
  left += rules.keys(config.plan.rules, config)
  if not left or not path.exists():
    return config
  there = complete(from_json(files.read_json(path)))
  if any(there.images[key] != config.images[key] for key in config.images if key != "view"):
    return config  # it is another run, as `check_config` will say
  found = nested.flatten(there.to_dict())
  chosen = {key: found[key] for key in left if found.get(key, ()) != ()}
  return replaced(config, {**chosen, "plan.rules": ()})


def replaced(
  config: ml_collections.ConfigDict, settings: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """Returns a copy of a configuration with other settings, by dotted key."""
  config = config.copy_and_resolve_references()
  with config.unlocked():
    for key, value in settings.items():
      *groups, name = key.split(".")
      group = config
      for part in groups:
        group = group[part]
      group[name] = tuple(value) if isinstance(value, list) else value
  return config


def check_ended(workdir: pathlib.Path, changes: list[dict[str, Any]]) -> None:
  """Refuses changed settings of a run that has taken all its steps without them.

  Args:
    workdir: the run folder.
    changes: from `check_config`.

  Raises:
    UserError: a setting that only matters in training has changed.
  """
  if late := [item for item in changes if item["key"] in _OF_STEPS]:
    differences = ", ".join(f"{item['key']}={item['from']}" for item in late)
    raise errors.UserError(
      f"{workdir} has taken all its steps with {differences}: to train with other values, start "
      f"another with --workdir=DIR (and --config.init_from={workdir} to begin with its weights)"
    )


def write_config(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Writes the configuration to the run folder, unless it is there already.

  Raises:
    UserError: the folder is not writable.
  """
  content, path = to_json(config), workdir / CONFIG
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    if not path.exists() or files.read_json(path) != content:
      files.write_json(path, content)
  except OSError as error:
    raise errors.UserError(
      f"cannot write to {workdir} ({error.strerror}): choose another folder with --workdir=DIR"
    ) from error


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The configuration as in `config.json`: tuples become lists."""
  return json.loads(config.to_json_best_effort())


def completed(content: Mapping[str, Any]) -> dict[str, Any]:
  """The settings of a `config.json`, by dotted key, with those that an earlier version lacked."""
  return nested.flatten(to_json(complete(from_json(content))))


def shared_settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """The settings that must agree between the processes of a run, by dotted key."""
  settings = nested.flatten(to_json(config))
  return {key: value for key, value in settings.items() if not _is_one_of(key, _FREE)}


def check_data(
  workdir: pathlib.Path,
  info: Mapping[str, Any],
  dataset: Dataset,
  label_space: LabelSpace,
) -> None:
  """Refuses data or classes that have changed since the run began; records them for a new run.

  Args:
    workdir: the run folder.
    info: its `run.json` so far; empty for a new run.
    dataset: the current data.
    label_space: the current classes.

  Raises:
    UserError: they differ; the message says what has changed.
  """
  path = workdir / label_space_file.NAME
  if info and path.exists():
    if difference := label_space_file.difference(label_space_file.read(path), label_space):
      raise errors.UserError(
        f"the classes of {workdir} have changed since it began ({difference}): restore those it "
        "began with, or start a new run with --workdir=DIR"
      )
  else:
    label_space_file.write(path, label_space)
  digests = dataset.digests()
  path = workdir / _DIGESTS
  if info.get("data", dataset.fingerprint()) != dataset.fingerprint():
    before = files.read_json(path) if path.exists() else {}
    changes = list(_data_changes(before, digests)) or list(
      _fact_changes(info["data"], dataset.fingerprint())
    )
    raise errors.UserError(
      f"the data of {workdir} have changed since it began ({'; '.join(changes)}), so it may be "
      "validated with examples it was trained on: restore the data it began with, or start a "
      "new run with --workdir=DIR"
    )
  if not info and digests:
    files.write_json(path, digests)


def _data_changes(
  before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
  """Describes which examples were added, removed or edited."""
  for split in sorted(before.keys() | now.keys()):
    old, new = before.get(split, {}), now.get(split, {})
    edited = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    for what, names in (
      ("added to", new.keys() - old.keys()),
      ("removed from", old.keys() - new.keys()),
      ("edited in", edited),
    ):
      if names:
        some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        yield f"{terminal.counted(len(names), 'example')} {what} {split}: {some}"


def _fact_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
  old, new = nested.flatten(before), nested.flatten(now)
  for key in sorted(old | new):
    if old.get(key) != new.get(key):
      yield f"{key}: {old.get(key)} then, {new.get(key)} now"


def _is_one_of(key: str, settings: tuple[str, ...]) -> bool:
  return any(key == setting or key.startswith(f"{setting}.") for setting in settings)
