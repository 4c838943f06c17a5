"""The charts of a run: each is titled with what it shows, says how to read it, and carries its uncertainty."""

from training.plots.canvas import BAD, GOOD, INK, OURS, QUIET, RULES, THEIRS, dot, name_axes, name_rows, nothing, sheet
from training.plots.features import contributions, families, importance
from training.plots.probabilities import calibration, calibration_by_slice, threshold
from training.plots.recipes import compared, gain, slices

__all__ = [
    "BAD", "GOOD", "INK", "OURS", "QUIET", "RULES", "THEIRS", "calibration", "calibration_by_slice", "compared",
    "contributions", "dot", "families", "gain", "importance", "name_axes", "name_rows", "nothing", "sheet",
    "slices", "threshold",
]  # fmt: skip
