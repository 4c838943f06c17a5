"""Charts of the probabilities: whether one means what it says, overall, by slice, and from a threshold on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from features.counted import counted
from training.plots.canvas import BAD, GOOD, INK, OURS, QUIET, name_axes, nothing, sheet
from training.reliability import Curve, Promise

ACROSS = 4  # small panels in a row


def calibration(heads: Mapping[str, tuple[Curve, float, float]], offers: str = "test offers") -> Figure:
    """Forecast against what happened, by tenth of the offers.

    heads   what is forecast, in words -> (curve, its calibration error, what chance alone explains)
    offers  which these are, in words
    """
    figure, axes = sheet(
        "Does a probability mean what it says?",
        f"Each dot is a tenth of the {offers}, with its 95 % interval. On the line it happens as often as forecast.",
        11, 5.4, max(len(heads), 1),
    )  # fmt: skip
    for ax, (words, (curve, error, chance)) in zip(axes, heads.items(), strict=False):
        _curve(ax, curve, _top(curve), 46)
        name_axes(ax, f"forecast: {words}", "share that happened", f"{words[0].upper()}{words[1:]}")
        text = f"error {error:.3f}\nchance alone: up to {chance:.3f}"
        ax.text(
            0.03, 0.97, text, transform=ax.transAxes, va="top", fontsize=9.5, color=GOOD if error <= chance else BAD
        )
    if not heads:
        nothing(axes[0], "No probability could be estimated from these data.")
    return figure


def calibration_by_slice(words: str, parts: Mapping[str, Curve]) -> Figure:
    """The same for each slice in a small panel of its own, each on its own scale.

    words  what is forecast; parts: slice in words -> its curve
    """
    columns = min(ACROSS, max(len(parts), 1))
    rows = max(-(-len(parts) // columns), 1)
    figure, axes = sheet(
        f"Does p({words}) mean what it says for each?",
        "A dot: offers of like forecast, with a 95 % interval. Hollow: the line is outside it. In brackets: offers.",
        max(3.1 * columns, 10.0), 2.9 * rows + 1.0, columns, rows,
    )  # fmt: skip
    for ax, (name, curve) in zip(axes, parts.items(), strict=False):
        _curve(ax, curve, _top(curve), 30)
        name_axes(ax, "", "", f"{name} ({int(curve.offers.sum()):,})")
        ax.title.set_fontsize(10)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(4))
    for ax in axes[len(parts) :]:
        ax.set_visible(False)
    if not parts:
        axes[0].set_visible(True)
        nothing(axes[0], "No slice has enough test offers.")
    return figure


def _top(curve: Curve) -> float:
    return min(float(max(curve.high.max(), curve.forecast.max())) * 1.12 + 1e-3, 1.0)


def _curve(ax: Axes, curve: Curve, top: float, size: float) -> None:
    ax.plot([0, top], [0, top], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    ax.vlines(curve.forecast, curve.low, curve.high, color=OURS, linewidth=2.2, alpha=0.45)
    held = (curve.low <= curve.forecast) & (curve.forecast <= curve.high)
    ax.scatter(curve.forecast[held], curve.share[held], s=size, color=OURS, zorder=3, edgecolor="white", linewidth=0.8)
    ax.scatter(
        curve.forecast[~held], curve.share[~held], s=size, color="white", zorder=3, edgecolor=OURS, linewidth=1.6
    )
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    digits = 0 if top > 0.25 else 1
    ax.xaxis.set_major_formatter(PercentFormatter(1, digits))
    ax.yaxis.set_major_formatter(PercentFormatter(1, digits))


def threshold(promises: Sequence[Promise], marked: Promise | None, offers: int) -> Figure:
    """What was accepted of the offers at or above each threshold of p_accept, and how many offers those are.

    marked  the promise that is spelled out; offers: all test offers
    """
    said = "Too few offers reach one in three to hold it to that."
    if marked is not None:
        said = (
            f"Of {counted(marked.offers, 'offer')} with p_accept of one in three or more {marked.share.value:.0%} were "
            f"accepted ({marked.share.low:.0%} to {marked.share.high:.0%}); forecast {marked.forecast:.0%}: "
            f"{'kept' if marked.kept else 'NOT KEPT'}."
        )
    figure, (left, right) = sheet("Does a threshold keep its promise?", said, 11, 5.0, 2)
    if not promises:
        nothing(left, "Too few offers.")
        right.set_visible(False)
        return figure
    at = np.array([one.threshold for one in promises])
    low, high = (np.array([getattr(one.share, end) for one in promises]) for end in ("low", "high"))
    left.fill_between(at, low, high, color=OURS, alpha=0.18, linewidth=0, label="95 % interval")
    left.plot(at, [one.share.value for one in promises], color=OURS, linewidth=2.2, label="accepted")
    left.plot(at, [one.forecast for one in promises], color=INK, linewidth=1.4, linestyle=(0, (4, 2)), label="forecast")
    left.plot(at, at, color=QUIET, linewidth=1, linestyle=(0, (1, 2)), label="the threshold itself")
    right.plot(at, [one.offers / offers for one in promises], color=OURS, linewidth=2.2)
    if marked is not None:
        for ax in (left, right):
            ax.axvline(marked.threshold, color=QUIET, linewidth=1)
        left.text(marked.threshold, left.get_ylim()[1], " one in three", color=QUIET, fontsize=9, va="top")
    for ax in (left, right):
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    left.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    right.set_ylim(0, 1.02)
    name_axes(left, "p_accept at least", "share accepted", "What was accepted")
    name_axes(right, "p_accept at least", "share of the test offers", "How many offers reach it")
    return figure
