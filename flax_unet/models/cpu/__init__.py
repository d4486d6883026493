"""Convolutions that are fast on CPUs."""
