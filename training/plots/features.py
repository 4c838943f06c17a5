"""Charts of the features: what each is worth, what the model looks at, and which way each pushes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import rankdata

from training.canary import Canaries
from training.feature_report import FamilyRow, FeatureRow
from training.gate import PRIMARY
from training.plots.canvas import (
    BAD,
    GOOD,
    INK,
    QUIET,
    THEIRS,
    dot,
    name_axes,
    name_rows,
    palette,
    sheet,
)
from training.worth import Worth


def families(rows: Sequence[FamilyRow], metric: str) -> Figure:
    """What each family is worth in each way, its share of the pushes at each cut, and what it costs.

    rows  of the feature report; metric: what PRIMARY is called
    """
    order = sorted(rows, key=lambda row: np.mean(row.shares))
    figure, axes = sheet(
        "What is each family of features worth?",
        "What is lost without it: right of 0 it helps, clear of 0 by more than chance (95 %). Small dots: each cut.",
        15, 0.5 * len(order) + 2.2, 6,
    )  # fmt: skip
    panels = (
        (f"Fitted without it:\n{metric}", "dropped", PRIMARY),
        ("Fitted without it:\nlog loss of p_convert", "dropped", "log_loss_convert"),
        (f"Its values mixed up:\n{metric}", "permuted", PRIMARY),
        ("Its values mixed up:\nlog loss of p_convert", "permuted", "log_loss_convert"),
    )
    for ax, (title, way, measure) in zip(axes, panels, strict=False):
        for place, row in enumerate(order):
            _lost(ax, place, getattr(row, way), measure)
        ax.axvline(0, color=QUIET, linewidth=1)
        name_axes(ax, "", "", title)
    colours = palette(sorted(row.name for row in rows))
    for place, row in enumerate(order):
        _shares(axes[4], place, row.shares, colours[row.name])
        axes[5].barh(place, row.cost_ms, color=THEIRS, height=0.5)
    axes[4].xaxis.set_major_formatter(PercentFormatter(1, 0))
    name_axes(axes[4], "", "", "Share of\nall pushes")
    name_axes(axes[5], "", "", "ms for\n1,000 pairs")
    name_rows(axes, [row.name for row in order])
    for ax in axes:
        ax.title.set_fontsize(10)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    return figure


def importance(rows: Sequence[FeatureRow], canaries: Canaries | None, metric: str) -> Figure:
    """The strongest features and the canaries: share of the pushes at each cut, what is lost mixed up, what each costs.

    rows  of the feature report, the strongest first
    """
    shown = [row for row in rows if row.permuted is not None]
    lines: list[tuple[str, str, tuple[float, ...], Worth | None, float]] = [
        (row.name, row.family, row.shares, row.permuted, row.cost_ms) for row in shown
    ]
    for name, kind in canaries.kinds.items() if canaries else ():
        words = "noise (mean of one)" if name == "noise" else "a day before, less now (mean of one)"
        lines.append((f"canary: {words}", "", (kind.share,), kind.permuted, np.nan))
    lines.sort(key=lambda line: float(np.mean(line[2])))
    figure, axes = sheet(
        "What does the model look at?",
        "Share in what pushes scores, a small dot for each cut; what is lost when values are mixed up. Colour: family.",
        14, 0.3 * len(lines) + 2.0, 4,
    )  # fmt: skip
    colours = palette(sorted({row.family for row in rows})) | {"": BAD}
    for place, (_, family, shares, permuted, cost) in enumerate(lines):
        _shares(axes[0], place, shares, colours[family])
        _lost(axes[1], place, permuted, PRIMARY)
        _lost(axes[2], place, permuted, "log_loss_convert")
        axes[3].barh(place, cost, color=THEIRS, height=0.6)
    axes[0].xaxis.set_major_formatter(PercentFormatter(1, 0))
    for ax in axes[1:3]:
        ax.axvline(0, color=QUIET, linewidth=1)
    name_axes(axes[0], "", "", "Share of all pushes")
    name_axes(axes[1], "", "", f"Lost of {metric}")
    name_axes(axes[2], "", "", "Lost of log loss of p_convert")
    name_axes(axes[3], "", "", "ms for 1,000 pairs")
    name_rows(axes, [line[0] for line in lines])
    for label in axes[0].get_yticklabels():
        label.set_color(BAD if label.get_text().startswith("canary") else INK)
    used = [name for name in colours if name and any(line[1] == name for line in lines)]
    axes[0].legend(
        handles=[Patch(color=colours[name], label=name) for name in used], frameon=False, fontsize=9, labelcolor=INK,
        loc="lower right",
    )  # fmt: skip
    return figure


def _lost(ax: Axes, place: float, worth: Worth | None, measure: str) -> None:
    if worth is not None and measure in worth.lost:
        seen = worth.lost[measure]
        dot(ax, place, seen, GOOD if seen.low > 0 else BAD if seen.high < 0 else THEIRS)


def _shares(ax: Axes, place: float, shares: Sequence[float], colour: str) -> None:
    ax.barh(place, float(np.mean(shares)), color=colour, height=0.6, alpha=0.85)
    if len(shares) > 1:
        ax.scatter(shares, [place] * len(shares), s=9, color=INK, zorder=3, alpha=0.7, linewidth=0)


def contributions(values: np.ndarray, features: np.ndarray, names: Sequence[str], top: int = 15) -> Figure:
    """Each test row's push by feature, coloured by the feature's value.

    values  (n, f) contributions; features (n, f) what they were made from, NaN: not known; names: the f features
    """
    figure, (ax,) = sheet(
        "Which way does each feature push?",
        "A dot is one offer: right of 0 the feature speaks for the pair. Grey: the value is not known, or is a word.",
        10, 7.2,
    )  # fmt: skip
    size = np.abs(values).mean(axis=0)
    shown = np.argsort(-size, kind="stable")[:top][::-1]
    rng = np.random.default_rng(0)
    colour = None
    for place, column in enumerate(shown):
        x, raw = values[:, column], features[:, column].astype(np.float64)
        known = np.isfinite(raw)
        spread = place + _swarm(x) * 0.36 * rng.choice([-1, 1], len(x))
        ax.scatter(x[~known], spread[~known], s=7, color="#c3cad2", linewidth=0, alpha=0.7)
        level = (rankdata(raw[known]) - 1) / max(known.sum() - 1, 1)
        colour = ax.scatter(
            x[known], spread[known], s=7, c=level, cmap="coolwarm", vmin=0, vmax=1, linewidth=0, alpha=0.85
        )
    ax.axvline(0, color=QUIET, linewidth=1)
    ax.set_yticks(range(len(shown)), [names[c] for c in shown])
    ax.tick_params(axis="y", labelcolor=INK)
    if colour is not None:
        bar = figure.colorbar(colour, ax=ax, shrink=0.5, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=9, colors=QUIET)
    name_axes(ax, "push on the score (log odds)")
    return figure


def _swarm(x: np.ndarray) -> np.ndarray:
    """(n,) how far a dot may stray from its line, 0..1: more where many dots lie."""
    if len(x) < 2 or np.ptp(x) == 0:
        return np.zeros(len(x))
    cells = np.minimum(((x - x.min()) / np.ptp(x) * 60).astype(int), 59)
    count = np.bincount(cells, minlength=60)
    place = np.zeros(len(x))
    order = np.argsort(cells, kind="stable")
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    place[order] = np.arange(len(x)) - first[cells[order]]
    return np.asarray(place / count.max())
