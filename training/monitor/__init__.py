"""Is the model still what it was? The recent past held against what was learned from: drift, outcomes, age, advice."""
