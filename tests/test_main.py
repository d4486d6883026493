"""The command line, with real processes where necessary."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = f"--config={ROOT / 'configs/street_scenes.py'}:runlocal"
FOLDER = f"--config={ROOT / 'configs/folder.py'}"


def _run(*arguments):
  environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=1"}  # one device
  return subprocess.run(
    [sys.executable, ROOT / "main.py", *map(str, arguments)],
    capture_output=True,
    text=True,
    env=environment,
    check=False,
  )


def _error(*arguments):
  """The one line that an invalid command prints."""
  result = _run(*arguments)
  assert result.returncode == 1
  # Log lines, which begin with the time, may precede it.
  (line,) = (line for line in result.stderr.splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line))
  return line


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ([CONFIG, "--config.lrr=1"], """no setting 'lrr'. Did you mean "lr" instead of "lrr"?"""),
    (
      [CONFIG, "--config.evals.vall.log_steps=1"],
      """no setting 'vall'. Did you mean "val" instead of "vall"?""",
    ),
    ([CONFIG, "--config.lr=abc"], "flag --config.lr=abc: could not convert string to float: 'abc'"),
    ([CONFIG, "--wrokdir=x"], "Unknown command line flag 'wrokdir'. Did you mean: workdir ?"),
    ([CONFIG, "config.lr=1"], "unexpected argument 'config.lr=1'"),
    ([CONFIG + "l"], "unknown argument of the configuration 'runlocall': did you mean 'runlocal'"),
    (
      ["--config=no/file.py", "--config.lr=1"],
      "error: --config=no/file.py: there is no file no/file.py",
    ),
    ([], "give --config=FILE; to evaluate or predict, --workdir=RUN is enough"),
    (
      [FOLDER],
      "configs/folder.py needs images=DIR,labels=DIR and either num_classes=N or classes=",
    ),
    ([f"{FOLDER}:images=a,labels=b,num_classes=2,classes=c.csv"], "and either num_classes=N or"),
    ([f"{FOLDER}:images=a/b, c,labels=b"], "'c': .*commas separate arguments"),
  ],
)
def test_a_command_line_that_is_not_understood_is_refused_in_one_line(arguments, message):
  line = _error(*arguments)
  assert line.startswith("error: ")
  assert re.search(message, line) or message in line


def test_help_shows_the_programs_own_flags():
  result = _run("--help")
  assert result.returncode == 0
  lines = result.stdout.splitlines()
  assert "python main.py --config=configs/street_scenes.py" in lines[2]
  assert next(line for line in lines if line.startswith("  --")).startswith("  --config: ")
  assert "--workdir" in result.stdout
  assert "--logtostderr" not in result.stdout


@pytest.mark.parametrize("platform", ["cuda", "gppu"])
def test_a_device_that_is_not_there_is_one_line(tmp_path, monkeypatch, platform):
  monkeypatch.setenv("JAX_PLATFORMS", platform)
  line = _error(CONFIG, f"--workdir={tmp_path / 'run'}", "--verbosity=-1")
  assert line.startswith(f"error: JAX_PLATFORMS={platform}: no such device can be used here (")
  assert not (tmp_path / "run").exists()


def test_missing_archives_are_named_in_one_line(tmp_path):
  line = _error(
    f"--config={ROOT / 'configs/cityscapes.py'}:runlocal",
    f"--config.input.data.data_dir={tmp_path}",
    f"--workdir={tmp_path / 'run'}",
  )
  assert line.startswith(
    "error: Cityscapes: leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip not found in "
    f"{tmp_path}/downloads/manual. "
  )


def test_what_libraries_set_up_at_the_first_start_is_not_told(tmp_path, monkeypatch):
  monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))  # looks for fonts, and logs it
  line = _error(CONFIG, "--mode=evaluate", f"--workdir={tmp_path / 'run'}")
  assert line.startswith(f"error: {tmp_path / 'run'} holds no run: train first")


def test_trains_for_an_epoch(street_scenes_dir, tmp_path):
  result = _run(
    CONFIG,
    f"--config.input.data.data_dir={street_scenes_dir}",
    "--config.total_steps=None",
    "--config.total_epochs=1",
    "--config.model.depth=2",
    f"--workdir={tmp_path / 'run'}",
  )
  assert result.returncode == 0, result.stderr
  assert "step 8/8" in result.stderr
  assert "warning" not in result.stderr.lower()
  assert json.loads((tmp_path / "run/report/metrics.json").read_text())["step"] == 8
