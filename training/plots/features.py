"""Charts of the features: what the model looks at, and which way each pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter
from scipy.stats import rankdata

from training.plots.canvas import INK, QUIET, name_axes, palette, sheet


def importance(values: Mapping[str, float], families: Mapping[str, str]) -> Figure:
    """Share of each feature, and of each family, in what the model's trees and linear parts make of the data."""
    total = sum(values.values()) or 1.0
    ranked = sorted(values.items(), key=lambda item: -item[1])
    by_family: dict[str, float] = {}
    for name, value in ranked:
        by_family[families[name]] = by_family.get(families[name], 0.0) + value / total
    colours = palette(sorted(set(families.values())))
    figure, (left, right) = sheet(
        "What does the model look at?",
        "Mean size of each feature's push on a score over the test offers, as a share of all. Colour: its family.",
        11, 6.6, 2,
    )  # fmt: skip
    top = ranked[:20][::-1]
    left.barh(
        [n for n, _ in top], [v / total for _, v in top], color=[colours[families[n]] for n, _ in top], height=0.7
    )
    groups = sorted(by_family.items(), key=lambda item: item[1])
    right.barh([n for n, _ in groups], [v for _, v in groups], color=[colours[n] for n, _ in groups], height=0.6)
    for place, (_, value) in enumerate(groups):
        right.text(value, place, f"  {value:.0%}", va="center", fontsize=9.5, color=INK)
    right.set_xlim(0, max(by_family.values(), default=1) * 1.15)
    for ax, title in ((left, f"The {len(top)} largest features"), (right, "Families")):
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.xaxis.set_major_locator(MultipleLocator(0.01 if ax is left and ax.get_xlim()[1] < 0.1 else 0.05))
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", labelcolor=INK)
        name_axes(ax, "share of all pushes", "", title)
    return figure


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
