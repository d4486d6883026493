import subprocess
import sys

import pytest

from flax_unet import cli


def _run(*arguments, folder):
  command = [sys.executable, "-m", "flax_unet.cli", *arguments]
  return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_commands_are_listed(tmp_path):
  listed = _run(folder=tmp_path)
  assert (listed.returncode, listed.stderr) == (0, "")
  names = [line.split()[0] for line in listed.stdout.splitlines()[2:]]
  assert names == list(cli.COMMANDS)


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_each_has_its_help(tmp_path, name):
  shown = _run(name, "--help", folder=tmp_path)
  assert (shown.returncode, shown.stderr) == (0, "")
  module = cli.COMMANDS[name][0]
  assert f"{'main.py' if module == 'train' else f'flax_unet.tools.{module}'} " in shown.stdout
  first = shown.stdout.index("\n  --")
  assert "--helpfull shows the flags of all libraries" in shown.stdout[first:]


def test_a_command_that_is_not_there(tmp_path):
  refused = _run("trian", folder=tmp_path)
  assert refused.returncode == 1
  assert refused.stderr.startswith("error: unknown command 'trian': did you mean 'train'?")


def test_mistakes_are_one_line_and_modes_are_implied(tmp_path):
  refused = _run("evaluate", "--workdir=nowhere", folder=tmp_path)
  assert refused.returncode == 1
  assert refused.stderr == ("error: nowhere holds no run: train first, or name another --workdir\n")
  shown = _run("show-config", "--config=configs/street_scenes.py", "--changes", folder=tmp_path)
  assert "* config.input.batch_size = 2  # default: 8" in shown.stdout
