"""Multimodal and multi-view models by words (Aguilar et al. 2019)."""
