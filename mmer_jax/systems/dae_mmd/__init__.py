"""DAE + MMD (Liang et al. 2020)."""
