import json
import shutil
import subprocess
import sys

import pytest

from flax_unet.errors import UserError
from flax_unet.run import run_info


def _read(folder):
  return json.loads((folder / "run.json").read_text())


def test_it_tells_from_the_start_what_a_run_runs_on(tmp_path):
  info = run_info.RunInfo(tmp_path, fresh=True)
  info.begin(0, [], data={"name": "drawn"})
  written = _read(tmp_path)
  assert written["data"] == {"name": "drawn"}
  assert len(written["devices"]) == 4
  assert written["processes"] == 1
  assert written["peak_memory"]["host"] > 50e6  # bytes; jax alone takes more
  assert {"python", "flax_unet", "jax", "numpy", "grain"} <= set(written["versions"])
  assert written["finished"] is False
  assert written["starts"][0]["step"] == 0


def test_seconds_count_all_starts_and_changes_are_kept(tmp_path, monkeypatch):
  clock = iter([100.0, 101.0, 110.0, 200.0, 201.0, 205.0])
  monkeypatch.setattr(run_info.time, "monotonic", lambda: next(clock))
  info = run_info.RunInfo(tmp_path, fresh=True)
  info.begin(0, [], data={"name": "drawn"})
  info.end("stopped at step 20 by SIGTERM")
  again = run_info.RunInfo(tmp_path, fresh=False)
  again.begin(20, [{"key": "lr", "from": 1, "to": 2}], data={"name": "other"})
  again.end("finished", finished=True)
  written = _read(tmp_path)
  assert [start["seconds"] for start in written["starts"]] == [10.0, 5.0]
  assert written["seconds"] == 15.0
  assert [start["ended"] for start in written["starts"]] == [
    "stopped at step 20 by SIGTERM",
    "finished",
  ]
  assert written["changes"] == [{"step": 20, "key": "lr", "from": 1, "to": 2}]
  assert written["data"] == {"name": "drawn"}  # of the first start
  assert written["finished"] is True


def test_an_error_is_noted_and_goes_on(tmp_path):
  info = run_info.RunInfo(tmp_path, fresh=True)
  info.begin(0, [])
  with pytest.raises(UserError, match="loss nan"), info.noting_how_it_ends():
    raise UserError("step 3: loss nan")
  assert _read(tmp_path)["starts"][0]["ended"] == "step 3: loss nan"


@pytest.mark.parametrize("content", ["", '{"starts": [', "[]"])
def test_a_damaged_file_is_one_line(tmp_path, content):
  (tmp_path / "run.json").write_text(content)
  with pytest.raises(UserError, match=r"run\.json: ") as error:
    run_info.RunInfo(tmp_path, fresh=False)
  assert "\n" not in str(error.value)


def test_the_commit_of_another_checkout_is_not_taken_for_ours(tmp_path):
  """As if the package were installed in an environment inside somebody's repository."""
  shutil.copytree(
    run_info.pathlib.Path(run_info.__file__).parents[1],
    tmp_path / "flax_unet",
    ignore=shutil.ignore_patterns("__pycache__"),
  )
  git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
  subprocess.run([*git, "init", "--quiet"], check=True)
  (tmp_path / "theirs").touch()
  subprocess.run([*git, "add", "theirs"], check=True)
  subprocess.run([*git, "commit", "--quiet", "-m", "theirs"], check=True)
  code = "from flax_unet.run import run_info; print(run_info._git_commit())"
  result = subprocess.run(
    [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
  )
  assert result.stdout.strip() == "None"
