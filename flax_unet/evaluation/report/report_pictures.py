"""Reads the pictures of a finished run back from the page of its report."""

import html.parser
import pathlib

PANELS = ("image", "label", "prediction")


def read(page: pathlib.Path) -> dict[str, dict[str, str]]:
  """Returns the data URIs of `PANELS` by the id of their image, the largest where there are two.

  Args:
    page: the page of a report; without one, there are no pictures.
  """
  if not page.exists():
    return {}
  parser = _Parser()
  parser.feed(page.read_text(encoding="utf-8", errors="replace"))
  return {
    name: panels
    for name, panels in parser.found.items()
    if all(panels.get(panel, "").startswith("data:image/") for panel in PANELS)
  }


class _Parser(html.parser.HTMLParser):
  """Collects the figures, see `picture` in `macros.html.j2`: the id is bold, panels are images."""

  def __init__(self):
    super().__init__()
    self.found: dict[str, dict[str, str]] = {}
    self._name: str | None = None  # in a figure, the part of the id that has been read
    self._is_bold = False
    self._panels: dict[str, str] = {}

  def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    values = dict(attrs)
    if tag == "figure" and "picture" in (values.get("class") or "").split():
      self._name, self._panels = "", {}
    elif tag == "b":
      self._is_bold = True
    elif tag == "img" and self._name is not None:
      self._panels[values.get("alt") or ""] = values.get("src") or ""

  def handle_data(self, data: str) -> None:
    if self._is_bold and self._name is not None:
      self._name += data

  def handle_endtag(self, tag: str) -> None:
    if tag == "b":
      self._is_bold = False
    elif tag == "figure" and self._name is not None:
      # The page shows an image in full before it shows it smaller, for one class.
      self.found.setdefault(self._name, self._panels)
      self._name = None
