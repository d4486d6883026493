"""What other programs read: CI, issue forms, pre-commit and the changelog."""

import pathlib
import re
import tomllib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def _read(path):
  return yaml.safe_load((ROOT / path).read_text())


def test_ci_runs_what_contributors_run_on_the_oldest_python():
  (job,) = _read(".github/workflows/ci.yml")["jobs"].values()
  assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
  assert job["timeout-minutes"] <= 30
  oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
  assert oldest == f">={job['strategy']['matrix']['python'][0]}"
  assert (ROOT / ".ci/run").stat().st_mode & 0o100


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_have_what_github_needs(path):
  form = _read(path)
  assert form["name"] and form["description"]
  fields = {part["id"]: part for part in form["body"]}
  assert all(part["attributes"]["label"] for part in fields.values())
  if path.name == "bug.yml":
    required = {key for key, part in fields.items() if part.get("validations", {}).get("required")}
    assert required == {"error", "command", "run"}
    assert "run.json" in fields["run"]["attributes"]["label"]


def test_pre_commit_has_the_ruff_that_pyproject_allows():
  (repo,) = _read(".pre-commit-config.yaml")["repos"]
  assert {hook["id"] for hook in repo["hooks"]} == {"ruff-check", "ruff-format"}
  least = re.search(r'"ruff>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
  revision, least = (tuple(map(int, text.split("."))) for text in (repo["rev"][1:], least))
  assert revision >= least


def test_the_changelog_begins_with_what_is_not_released():
  sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
  assert sections[0] == "Unreleased"
