"""What Dai et al. 2020 compare MTEE with: LSTMs, systems of other papers."""
