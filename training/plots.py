"""The charts of a run: each is titled with what it shows, says how to read it, and carries its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from scipy.stats import rankdata

from training.bootstrap import Draw, Interval
from training.evaluate import bins, perfect_calibration

INK, QUIET, GRID = "#1f2933", "#66727f", "#e3e8ee"
OURS, THEIRS, RULES, GOOD, BAD = "#1f6fb2", "#9aa7b4", "#d9822b", "#2a8f6b", "#c2452d"


def sheet(title: str, how: str, width: float = 9.0, height: float = 5.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with a title and a line below it on how to read it."""
    room = (0.01, 0.01, 0.98, 0.99 - 0.78 / height)
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=room, w_pad=0.12))
    figure.patch.set_facecolor("white")
    figure.text(0.015, 1 - 0.16 / height, title, fontsize=14, fontweight="bold", color=INK, va="top")
    figure.text(0.015, 1 - 0.47 / height, how, fontsize=9.5, color=QUIET, va="top")
    axes = list(np.atleast_1d(figure.subplots(1, columns)))
    for ax in axes:
        ax.set_axisbelow(True)
        ax.grid(color=GRID, linewidth=0.8)
        ax.tick_params(colors=QUIET, labelsize=9, length=0, pad=5)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return figure, axes


def name_axes(ax: Axes, x: str, y: str = "", title: str = "") -> None:
    """What its axes measure, and what it shows."""
    ax.set_xlabel(x, color=QUIET, fontsize=9.5)
    ax.set_ylabel(y, color=QUIET, fontsize=9.5)
    ax.set_title(title, loc="left", fontsize=11, color=INK)


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


def importance(values: Mapping[str, float], families: Mapping[str, str]) -> Figure:
    """Share of each feature, and of each family, in what the model's trees and linear parts make of the data."""
    total = sum(values.values()) or 1.0
    ranked = sorted(values.items(), key=lambda item: -item[1])
    by_family: dict[str, float] = {}
    for name, value in ranked:
        by_family[families[name]] = by_family.get(families[name], 0.0) + value / total
    palette = _palette(sorted(set(families.values())))
    figure, (left, right) = sheet(
        "What does the model look at?",
        "Mean size of each feature's push on a score over the test offers, as a share of all. Colour: its family.",
        11, 6.6, 2,
    )  # fmt: skip
    top = ranked[:20][::-1]
    left.barh(
        [n for n, _ in top], [v / total for _, v in top], color=[palette[families[n]] for n, _ in top], height=0.7
    )
    groups = sorted(by_family.items(), key=lambda item: item[1])
    right.barh([n for n, _ in groups], [v for _, v in groups], color=[palette[n] for n, _ in groups], height=0.6)
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


def _palette(names: Sequence[str]) -> dict[str, str]:
    colours = ("#d9822b", "#7d6bb0", "#1f6fb2", "#2a8f6b", "#b5487a", "#5f8ca3", "#8a6d3b", "#9aa7b4")
    return {name: colours[i % len(colours)] for i, name in enumerate(names)}


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


def nothing(ax: Axes, text: str) -> None:
    """A panel that says why it is empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=QUIET, fontsize=11)


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
                _dot(ax, place, values[name], {ours: OURS, rules: RULES}.get(name, THEIRS))
        name_axes(ax, "", "", words[0].upper() + words[1:])
    for place, name in enumerate(order):
        if name in against:
            seen = against[name]
            _dot(axes[-1], place, seen, GOOD if seen.low > 0 else BAD if seen.high < 0 else THEIRS)
    axes[-1].axvline(0, color=QUIET, linewidth=1)
    name_axes(axes[-1], "", "", f"Ranker's lead: {metrics[0][0]}")
    _rows(axes, order, ours)
    return figure


def _dot(ax: Axes, place: float, seen: Interval, colour: str) -> None:
    if np.isfinite(seen.low):
        ax.hlines(place, seen.low, seen.high, color=colour, linewidth=2.4, alpha=0.5)
    ax.scatter([seen.value], [place], s=44, color=colour, zorder=3, edgecolor="white", linewidth=0.8)


def _rows(axes: Sequence[Axes], names: Sequence[str], bold: str = "") -> None:
    for i, ax in enumerate(axes):
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.set_yticks(range(len(names)), names if i == 0 else [""] * len(names))
        ax.grid(axis="y", visible=False)
    for label in axes[0].get_yticklabels():
        label.set_color(INK)
        label.set_fontweight("bold" if label.get_text() == bold else "normal")


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
        _dot(ax, y + 0.17, other, RULES)
        _dot(ax, y - 0.13, one, OURS)
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
