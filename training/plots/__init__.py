"""The charts of a run: each is titled with what it shows, says how to read it, and carries its uncertainty."""

from training.plots.features import contributions, importance
from training.plots.probabilities import calibration
from training.plots.recipes import compared, gain, slices

__all__ = ["calibration", "compared", "contributions", "gain", "importance", "slices"]
