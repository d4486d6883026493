"""Writes the reference pages: `python -m docs.generate`, in the folder of the repository."""

import pathlib

from docs.generate import api, configurations, optimizers, parts, programs, settings

FOLDER = pathlib.Path(__file__).parents[1] / "reference"


def pages() -> dict[str, str]:
  """Returns the text of each page by the name of its file."""
  made = {
    "settings": settings.page(),
    "configurations": configurations.page(),
    "networks": parts.networks(),
    "losses": parts.losses(),
    "ops": parts.ops(),
    "scores": parts.scores(),
    "optimizers": optimizers.page(),
    "planning": parts.planning(),
    "label_spaces": parts.label_spaces(),
    "weights": parts.weights(),
    "programs": programs.page(),
    "api": api.page(),
  }
  return {f"{name}.md": text for name, text in made.items()}


if __name__ == "__main__":
  for name, text in pages().items():
    (FOLDER / name).write_text(text)
