"""MTEE (Dai et al. 2020)."""
