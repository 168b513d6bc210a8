"""Graph-MFN (Zadeh et al. 2018b)."""
