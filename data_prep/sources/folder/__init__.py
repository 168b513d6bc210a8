"""Reads one array per utterance and modality, with a table of labels."""
