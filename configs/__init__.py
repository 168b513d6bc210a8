"""One file per row of a published table, plus `quickstart.py`."""
