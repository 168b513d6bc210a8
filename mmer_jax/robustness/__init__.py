"""Noise on modalities, their check and their proxies, for any system."""
