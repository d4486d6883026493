"""One file per experiment: `python main.py --config=configs/NAME.py[:ARGUMENTS]`."""
