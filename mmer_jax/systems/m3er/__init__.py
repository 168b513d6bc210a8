"""M3ER (Mittal et al. 2020) and its memory fusion network."""
