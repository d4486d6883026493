"""Optimizer, schedules, state, steps, checkpoints and the training log."""
