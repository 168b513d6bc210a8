"""Multimodal emotion recognition in JAX: four systems, one training loop."""

__version__ = "0.1.0"
