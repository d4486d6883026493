"""Losses over the valid pixels of the global batch."""
