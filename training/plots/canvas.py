"""What charts share: a sheet with a title and how to read it, its colours, and dots with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from training.bootstrap import Interval

INK, QUIET, GRID = "#1f2933", "#66727f", "#e3e8ee"
OURS, THEIRS, RULES, GOOD, BAD = "#1f6fb2", "#9aa7b4", "#d9822b", "#2a8f6b", "#c2452d"


def sheet(
    title: str, how: str, width: float = 9.0, height: float = 5.2, columns: int = 1, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure with a title and a line below it on how to read it; its panels row by row."""
    room = (0.01, 0.01, 0.98, 0.99 - 0.78 / height)
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=room, w_pad=0.12, hspace=0.06))
    figure.patch.set_facecolor("white")
    figure.text(0.015, 1 - 0.16 / height, title, fontsize=14, fontweight="bold", color=INK, va="top")
    figure.text(0.015, 1 - 0.47 / height, how, fontsize=9.5, color=QUIET, va="top")
    axes = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for ax in axes:
        ax.set_axisbelow(True)
        ax.grid(color=GRID, linewidth=0.8)
        ax.tick_params(colors=QUIET, labelsize=9, length=0, pad=5)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return figure, axes


def name_axes(ax: Axes, x: str, y: str = "", title: str = "") -> None:
    """Name an axis or two, and what the panel shows."""
    ax.set_xlabel(x, color=QUIET, fontsize=9.5)
    ax.set_ylabel(y, color=QUIET, fontsize=9.5)
    ax.set_title(title, loc="left", fontsize=11, color=INK)


def dot(ax: Axes, place: float, seen: Interval, colour: str) -> None:
    """A value with its interval, on one line of a panel."""
    if np.isfinite(seen.low):
        ax.hlines(place, seen.low, seen.high, color=colour, linewidth=2.4, alpha=0.5)
    ax.scatter([seen.value], [place], s=44, color=colour, zorder=3, edgecolor="white", linewidth=0.8)


def name_rows(axes: Sequence[Axes], names: Sequence[str], bold: str = "") -> None:
    """Name the lines of panels that share them, on the first panel only."""
    for i, ax in enumerate(axes):
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.set_yticks(range(len(names)), names if i == 0 else [""] * len(names))
        ax.grid(axis="y", visible=False)
    for label in axes[0].get_yticklabels():
        label.set_color(INK)
        label.set_fontweight("bold" if label.get_text() == bold else "normal")


def palette(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; the same names, the same colours."""
    colours = ("#d9822b", "#7d6bb0", "#1f6fb2", "#2a8f6b", "#b5487a", "#5f8ca3", "#8a6d3b", "#9aa7b4")
    return {name: colours[i % len(colours)] for i, name in enumerate(names)}


def nothing(ax: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=QUIET, fontsize=11)
