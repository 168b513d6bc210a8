"""Serves a trained model: exports it, loads it and predicts with it."""
