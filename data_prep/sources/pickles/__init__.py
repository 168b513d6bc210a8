"""Reads the pickles that published code shares its features in."""
