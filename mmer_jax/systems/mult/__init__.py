"""MulT (Tsai et al. 2019)."""
