"""The HTML templates of reports and studies."""

import jinja2


def environment() -> jinja2.Environment:
  """Opens the folder of templates; what they insert is escaped, and missing values are errors."""
  return jinja2.Environment(
    loader=jinja2.PackageLoader("flax_unet.evaluation.report", "page_template"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
