"""Predictor 1, linear: how the first archives were made. Only its decoder is left, and that stays."""
