"""Reads the computational sequences (.csd) of the CMU multimodal corpora."""
