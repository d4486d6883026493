"""Inference, confusion matrices, metrics and the report."""
