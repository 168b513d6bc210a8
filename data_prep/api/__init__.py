"""Converts and inspects from Python and notebooks."""
