"""Optimizer, schedules, state, steps, checkpoints and the log of training."""
