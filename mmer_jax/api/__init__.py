"""Trains, evaluates and predicts from Python and notebooks."""
