"""Photographs the pages that the program writes, with a headless Chromium."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from PIL import Image

from docs.make_gallery import pictures
from flax_unet import errors

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_WIDTH = 1040  # of the window, in pixels
_HEIGHTS = {"report": 1500, "comparison": 1860}  # what is below is cut off
_QUALITY = 80


def take(runs: Sequence[str], folder: pathlib.Path) -> None:
  """Photographs the report of the first run and, if there are more, the comparison of all.

  Without a browser or runs it says so, and leaves the pictures as they are.

  Args:
    runs: folders of finished runs.
    folder: where the pictures go: `report.webp` and `comparison.webp`.

  Raises:
    UserError: a run has no report, or they cannot be compared.
  """
  browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
  if not browser or not runs:
    reason = "no --runs" if not runs else f"none of {', '.join(_BROWSERS)} is installed"
    print(f"screenshots: kept as they are ({reason})")
    return
  page = pathlib.Path(runs[0]) / "report" / "index.html"
  if not page.exists():
    raise errors.UserError(f"--runs: {page} is missing: name folders of finished runs")
  _photograph(browser, page, folder, "report")
  if len(runs) == 1:
    print("screenshots: that of the comparison is kept as it is (a single run in --runs)")
    return
  with tempfile.TemporaryDirectory() as made:
    command = [sys.executable, "-m", "flax_unet.tools.compare", *runs, f"--page={made}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      raise errors.UserError(f"--runs cannot be compared: {done.stderr.strip()}")
    _photograph(browser, pathlib.Path(made) / "index.html", folder, "comparison")


def _photograph(browser: str, page: pathlib.Path, folder: pathlib.Path, name: str) -> None:
  with tempfile.TemporaryDirectory() as temporary:
    shot = pathlib.Path(temporary) / "shot.png"
    command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
    command += [f"--user-data-dir={temporary}/profile", f"--window-size={_WIDTH},{_HEIGHTS[name]}"]
    command += ["--virtual-time-budget=5000", f"--screenshot={shot}", page.resolve().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not shot.exists():
      raise errors.UserError(
        f"{browser} made no screenshot of {page}: {done.stderr[-300:].strip()}"
      )
    with Image.open(shot) as picture:
      pictures.save(picture.convert("RGB"), folder / f"{name}.webp", _QUALITY)
