"""Prediction: in one pass or in tiles, at one or several scales."""
