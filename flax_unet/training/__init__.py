"""Losses, optimizer, state, steps, checkpoints and the loop."""
