"""Weights of other programs: one file a dialect."""
