"""One module per layout that `data_prep.convert` can read."""
