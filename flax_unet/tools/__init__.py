"""Small command-line programs: `python -m flax_unet.tools.<name> --help`."""
