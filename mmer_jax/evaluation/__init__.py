"""Scores trained runs and makes results and tables of them."""
