"""The ranker, its heads and baselines: matrices in, scores and probabilities out. No I/O but save and load."""
