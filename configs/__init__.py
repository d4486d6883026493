"""Experiments, one a file: `python main.py --config=configs/NAME.py[:ARGUMENTS]`."""
