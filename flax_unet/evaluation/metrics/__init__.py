"""Counts, and the scores computed from them."""
