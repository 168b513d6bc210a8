"""Reads IEMOCAP's release folder."""
