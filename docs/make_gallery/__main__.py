"""Makes docs/gallery.md: every op on one scene, every network's cost, and screenshots.

    python -m docs.make_gallery [--speeds] [--runs=RUN,RUN]

Pictures of ops are always made anew, and are equal bytes with equal packages. `--speeds` measures
the networks on this machine, which takes minutes, and keeps the numbers in
docs/gallery/networks.json; `--runs` photographs the report of the first run, and the page on which
`flax-unet compare --page` compares all of them.
"""

import pathlib

import jax
from absl import flags

from docs.make_gallery import networks, op_examples, page, pictures, screenshots
from flax_unet import errors, files

_SPEEDS = flags.DEFINE_bool("speeds", False, "Measure the networks on this machine.")
_TURNS = flags.DEFINE_integer("turns", 3, "How often each of them has its turn.", lower_bound=1)
_RUNS = flags.DEFINE_list("runs", [], "Folders of finished runs to photograph.")

DOCS = pathlib.Path(__file__).parents[1]


def main(_) -> None:
  """Runs the program; see above."""
  jax.config.update("jax_platforms", "cpu")
  folder = DOCS / page.FOLDER
  folder.mkdir(parents=True, exist_ok=True)
  for name in op_examples.names():
    pictures.save(
      pictures.arrange(op_examples.columns(name)), folder / f"{name}.webp", pictures.QUALITY
    )
  if _SPEEDS.value:
    networks.measure(folder / "networks.json", _TURNS.value)
  screenshots.take(_RUNS.value, folder)
  text = page.text(DOCS, networks.read(folder / "networks.json"))
  with files.replacing(DOCS / "gallery.md") as temporary:
    temporary.write_text(text)


if __name__ == "__main__":
  errors.run(main)
