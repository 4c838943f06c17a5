"""Charts of recipes against each other: side by side, by slice, and how much of the good each finds first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.bootstrap import Interval
from training.plots.canvas import BAD, GOOD, INK, OURS, QUIET, RULES, THEIRS, dot, name_axes, name_rows, nothing, sheet


def gain(curves: Mapping[str, np.ndarray], hits: Mapping[str, np.ndarray]) -> Figure:
    """Share of the good outcomes found in the best-scored share of the test offers.

    curves  recipe in words -> (n,) scores, the ranker first; hits: outcome in words -> (n,) 0/1
    """
    figure, axes = sheet(
        "How much of the good comes first?",
        "Offers sorted by each recipe's score, best first. The further above the diagonal (chance), the better.",
        11, 5.4, max(len(hits), 1),
    )  # fmt: skip
    colours = [OURS, RULES, THEIRS, "#7d6bb0"]
    for ax, (outcome, hit) in zip(axes, hits.items(), strict=False):
        share = np.arange(len(hit) + 1) / max(len(hit), 1)
        ax.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        for colour, (name, score) in zip(colours, curves.items(), strict=False):
            # Rows of equal score share their hits, so that a tie is drawn as what it is: chance.
            _, level = np.unique(-score, return_inverse=True)
            even = (np.bincount(level, hit) / np.bincount(level))[level]
            found = np.concatenate([[0.0], np.cumsum(even[np.argsort(level, kind="stable")])]) / max(hit.sum(), 1)
            ax.plot(share, found, color=colour, linewidth=2.4 if colour == OURS else 1.7, label=name)
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.01)
        name_axes(
            ax, "share of the offers, best first", f"share of all {outcome} found", outcome[0].upper() + outcome[1:]
        )
        ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower right")
    return figure


def compared(
    title: str,
    metrics: Sequence[tuple[str, Mapping[str, Interval]]],
    ours: str,
    rules: str,
    against: Mapping[str, Interval],
) -> Figure:
    """Every recipe with its interval, metric by metric, and last the ranker's lead over each.

    metrics  (in words, recipe in words -> interval); against: recipe -> the ranker minus it on the first metric, paired
    """
    order = sorted(metrics[0][1], key=lambda name: metrics[0][1][name].value)
    figure, axes = sheet(
        title,
        "Lines: 95 % intervals, by account. Right: the ranker's lead over each; clear of 0, it is more than chance.",
        14, 0.42 * len(order) + 2.0, len(metrics) + 1,
    )  # fmt: skip
    for ax, (words, values) in zip(axes, metrics, strict=False):
        for place, name in enumerate(order):
            if name in values:
                dot(ax, place, values[name], {ours: OURS, rules: RULES}.get(name, THEIRS))
        name_axes(ax, "", "", words[0].upper() + words[1:])
    for place, name in enumerate(order):
        if name in against:
            seen = against[name]
            dot(axes[-1], place, seen, GOOD if seen.low > 0 else BAD if seen.high < 0 else THEIRS)
    axes[-1].axvline(0, color=QUIET, linewidth=1)
    name_axes(axes[-1], "", "", f"Ranker's lead: {metrics[0][0]}")
    name_rows(axes, order, ours)
    return figure


def slices(
    metric: str, parts: Mapping[str, Mapping[str, tuple[int, Interval, Interval]]], ours: str, rules: str
) -> Figure:
    """One metric by slice, the ranker's and the rules'.

    parts  way of slicing, in words -> slice -> (rows, the ranker's interval, the rules')
    """
    names: list[str] = []
    dots: list[tuple[float, Interval, Interval]] = []
    heads: list[tuple[float, str]] = []
    place = 0.0
    for title, values in parts.items():
        heads.append((place, title))
        place += 1
        for name, (rows, one, other) in values.items():
            names.append(f"{name}  ({rows:,})")
            dots.append((place, one, other))
            place += 1
        place += 0.35
    figure, (ax,) = sheet(
        f"Where is it good, where not? {metric}, by slice",
        f"Blue: {ours}. Orange: {rules}. In brackets: test offers. Compare the two, not slices: a short list is easy.",
        10, max(3.2, 0.25 * place + 1.4),
    )  # fmt: skip
    for y, one, other in dots:
        dot(ax, y + 0.17, other, RULES)
        dot(ax, y - 0.13, one, OURS)
    ax.set_ylim(max(place, 1) - 0.5, -0.8)
    ax.set_yticks([y for y, _, _ in dots] + [y for y, _ in heads], [*names, *(title for _, title in heads)])
    titles = {title for _, title in heads}
    for label in ax.get_yticklabels():
        label.set_color(INK)
        label.set_fontweight("bold" if label.get_text() in titles else "normal")
    ax.grid(axis="y", visible=False)
    if not dots:
        nothing(ax, "No slice has enough test offers.")
    name_axes(ax, metric)
    return figure
