"""MTL, contextual inter-modal attention (Akhtar et al. 2019)."""
