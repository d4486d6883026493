"""Turns a configuration into a run, and loads runs from their folders."""
