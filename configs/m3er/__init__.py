"""Configs of Mittal et al. 2020."""
