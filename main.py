"""Trains, evaluates and predicts: see `python main.py --help`, and `flax_unet/tools/train.py`."""

from flax_unet.tools import train

if __name__ == "__main__":
  train.run()
