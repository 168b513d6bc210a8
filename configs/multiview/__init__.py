"""Multimodal and multi-view models, Aguilar et al. 2019."""
