"""Reads files of features and describes them."""
