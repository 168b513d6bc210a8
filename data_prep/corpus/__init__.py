"""Describes corpora, their words, columns and missing values."""
