"""The commands of the README: what they name exists."""

import importlib
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def _commands() -> list[list[str]]:
  """The words of each Python command in the README's shell blocks, from `python` on."""
  blocks = re.findall(r"^ *```sh\n(.*?)^ *```", (ROOT / "README.md").read_text(), re.M | re.S)
  lines = "".join(blocks).replace("\\\n", " ").splitlines()
  parts = [part for line in lines for part in line.split("&&")]
  words = [shlex.split(part, comments=True) for part in parts]
  return [command[command.index("python") :] for command in words if "python" in command]


def _script(command: list[str]) -> pathlib.Path:
  """The file that a command runs."""
  name = command[2].replace(".", "/") + ".py" if command[1] == "-m" else command[1]
  return ROOT / name


def _flags(command: list[str]) -> dict[str, str]:
  """The values of a command's flags."""
  flags = [word[2:].partition("=") for word in command if word.startswith("--")]
  return {name: value for name, _, value in flags}


def test_there_are_commands():
  assert _commands()[0][1:] == ["main.py", "--config=configs/street_scenes.py"]
  assert len(_commands()) > 10


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_scripts_and_flags_exist(command):
  source = _script(command).read_text()
  known = set(re.findall(r'(?:DEFINE_\w+|add_argument)\(\s*"(?:--)?(\w+)"', source))
  known |= {"config"} if "config_flag.define()" in source else set()
  named = {name.partition(".")[0] for name in _flags(command)}
  assert named <= known


@pytest.mark.parametrize(
  "command", [command for command in _commands() if "config" in _flags(command)], ids=" ".join
)
def test_configurations_and_their_keys_exist(command):
  flags = _flags(command)
  path, _, arg = flags.pop("config").partition(":")
  module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
  config = module.get_config(arg or None)
  for name in flags:
    if name.startswith("config."):
      node = config
      for key in name.split(".")[1:]:
        assert key in node, f"{path} has no {name}"
        node = node[key]
