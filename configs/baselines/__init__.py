"""The LSTM baselines of Dai et al. 2020."""
