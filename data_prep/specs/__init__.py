"""Specs of corpora for `data_prep.convert --source=utterances`."""
