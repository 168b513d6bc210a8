"""Trains the runs of an experiment: steps, programs, the loop of the host."""
