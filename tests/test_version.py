"""The version is that of the last tag, in clones, in archives of a tag, and without git."""

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

import pytest

import flax_unet

ROOT = pathlib.Path(__file__).parents[1]
_FALLBACK = "0.1.0"


def test_the_package_knows_its_version():
  assert flax_unet.__version__ == importlib.metadata.version("flax_unet")


def _version(folder):
  command = [sys.executable, "-m", "setuptools_scm"]
  done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
  return done.stdout.strip()


def _git(folder, *arguments):
  options = ["-c", "user.name=test", "-c", "user.email=test", "-c", "commit.gpgsign=false"]
  subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(name="repository")
def _repository(tmp_path):
  """A repository of the files that decide on the version, with a commit."""
  folder = tmp_path / "repository"
  folder.mkdir()
  for name in ("pyproject.toml", ".git_archival.txt", ".gitattributes"):
    shutil.copy(ROOT / name, folder)
  _git(folder, "init", "--quiet")
  _git(folder, "add", ".")
  _git(folder, "commit", "--quiet", "--message=first")
  return folder


def test_a_tag_is_the_version_in_clones_and_archives(repository, tmp_path):
  assert _version(repository).startswith("0.1.1.dev1+g")  # after the fallback
  _git(repository, "tag", "v1.2.3")
  assert _version(repository) == "1.2.3"
  _git(repository, "archive", "--format=zip", f"--output={tmp_path}/a.zip", "v1.2.3")
  shutil.unpack_archive(tmp_path / "a.zip", tmp_path / "archive")
  assert _version(tmp_path / "archive") == "1.2.3"


def test_without_git_it_is_the_fallback(repository):
  shutil.rmtree(repository / ".git")
  assert _version(repository) == _FALLBACK
