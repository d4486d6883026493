"""Evaluators, inference, metrics and the report."""
