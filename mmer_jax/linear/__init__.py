"""Linear baselines of texts and functionals, which scikit-learn fits."""
