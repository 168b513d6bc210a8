"""Draws figures, fills papers' tables, and writes pages for people."""
