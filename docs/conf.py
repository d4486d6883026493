"""Settings of the site, which Sphinx builds: `sphinx-build -W -n docs site`."""

import packaging.version

import flax_unet

project = "flax_unet"
author = "The flax_unet authors"
project_copyright = f"{author}, Apache-2.0"
release = flax_unet.__version__
html_title = f"flax_unet {packaging.version.parse(release).base_version}"  # fits the sidebar

extensions = ["myst_parser"]
exclude_patterns = ["generate", "make_gallery", "_build"]
myst_heading_anchors = 4  # as GitHub's, so that links work there too
smartquotes = False  # quotes on these pages are those of values
html_theme = "furo"  # fetches nothing from the network
html_copy_source = False
html_show_sphinx = False
