"""Data: label spaces, sources, preprocessing ops and the input pipeline."""
