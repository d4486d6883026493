"""Reads hand-written lists and tables from any operating system."""

import codecs
import pathlib

from flax_unet import errors

_OTHER_MARKS = {
  codecs.BOM_UTF32_LE: "UTF-32",
  codecs.BOM_UTF32_BE: "UTF-32",
  codecs.BOM_UTF16_LE: "UTF-16",
  codecs.BOM_UTF16_BE: "UTF-16",
}


def read_lines(path: pathlib.Path, what: str) -> list[str]:
  """Reads the lines of a UTF-8 file, with or without a byte order mark and with any line endings.

  Args:
    path: the file.
    what: what error messages call it, for example "classes file".

  Raises:
    UserError: it cannot be read, or is not UTF-8.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise errors.UserError(f"{what} {path} cannot be read: {error.strerror}") from error
  for mark, encoding in _OTHER_MARKS.items():
    if content.startswith(mark):
      raise errors.UserError(f"{what} {path} is {encoding} text; save it as UTF-8")
  try:
    text = content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = content[: error.start].count(b"\n") + 1
    raise errors.UserError(
      f"{what} {path}, line {line}: is not UTF-8 text (Latin-1, perhaps); save it as UTF-8"
    ) from error
  if "\0" in text:
    raise errors.UserError(f"{what} {path} is not a text file; save it as UTF-8 text")
  return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
