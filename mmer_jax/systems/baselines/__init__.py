"""EF-LSTM and LF-LSTM, the baselines of Dai et al. 2020."""
