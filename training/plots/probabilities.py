"""Charts of the probabilities: whether one means what it says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.bootstrap import Draw
from training.evaluate import bins, perfect_calibration
from training.plots.canvas import BAD, GOOD, OURS, QUIET, name_axes, nothing, sheet


def calibration(heads: Mapping[str, tuple[np.ndarray, np.ndarray]], draw: Draw) -> Figure:
    """Forecast against what happened, by tenth of the test rows, with intervals resampled by account.

    heads  what is forecast, in words -> ((n,) probabilities, (n,) outcomes 0/1)
    """
    figure, axes = sheet(
        "Does a probability mean what it says?",
        "Each dot is a tenth of the test offers, with its 95 % interval. On the line it happens as often as forecast.",
        11, 5.4, max(len(heads), 1),
    )  # fmt: skip
    for ax, (words, (p, y)) in zip(axes, heads.items(), strict=False):
        place = bins(p)
        groups = np.unique(place)
        here = np.column_stack([place == g for g in groups]).astype(np.float64)
        size = here.sum(axis=0)
        mean, seen = p @ here / size, y @ here / size
        sums = draw.sums(np.column_stack([here * y[:, None], here]))
        happened, drawn = sums[:, : len(groups)], sums[:, len(groups) :]
        samples = happened / np.where(drawn > 0, drawn, np.nan)
        low, high = np.nanquantile(samples, [0.025, 0.975], axis=0)
        top = max(float(np.nanmax(high)), float(mean.max())) * 1.12 + 1e-3
        ax.plot([0, top], [0, top], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        ax.vlines(mean, low, high, color=OURS, linewidth=2.2, alpha=0.45)
        ax.scatter(mean, seen, s=46, color=OURS, zorder=3, edgecolor="white", linewidth=0.8)
        ax.set_xlim(0, top)
        ax.set_ylim(0, top)
        digits = 0 if top > 0.25 else 1
        ax.xaxis.set_major_formatter(PercentFormatter(1, digits))
        ax.yaxis.set_major_formatter(PercentFormatter(1, digits))
        error, perfect = float((size * np.abs(mean - seen)).sum() / size.sum()), perfect_calibration(p)
        name_axes(ax, f"forecast: {words}", "share that happened", f"{words[0].upper()}{words[1:]}")
        colour = GOOD if error <= perfect else BAD
        text = f"error {error:.3f}\nchance alone: up to {perfect:.3f}"
        ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", fontsize=9.5, color=colour)
    if not heads:
        nothing(axes[0], "No probability could be estimated from these data.")
    return figure
