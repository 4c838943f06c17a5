"""The charts of a look at a model: what moved, how it moved, the outcomes week by week, and its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from features.asof import DAY
from training.bootstrap import Draw
from training.monitor.compare import Calibration, Moved, Rate
from training.monitor.reference import HEADS, WEEK, Head
from training.monitor.watch import Monitored
from training.plots import BAD, INK, OURS, QUIET, THEIRS, calibration, name_axes, sheet
from training.reliability import Curve, curve

TOP = 20  # features of the overview
SHOWN = 6  # distributions drawn
WORDS = {"accept": "accepted", "convert": "converted"}


def charts(seen: Monitored) -> dict[str, Figure]:
    """Every chart that there is something to draw for, by name."""
    compared = seen.compared
    made: dict[str, Figure] = {}
    judged = [m for m in compared.features if m.limit is not None]
    if judged:
        made["features"] = overview(judged)
        calm = all(m.state == "same" for m in judged)
        title = "The features that came nearest to their limit" if calm else "Where did the features go?"
        made["distributions"] = distributions(nearest(judged)[:SHOWN], title)
    if compared.rows and compared.scores:
        made["scores"] = distributions(list(compared.scores.values()), "What does the model say of the offers?")
    made["rates"] = rates(compared.rates, seen.reference.cut)
    heads = {WORDS[head]: one for head, one in compared.calibration.items() if one.error is not None}
    if heads:
        made["calibration"] = calibration({w: _curve(one) for w, one in heads.items()}, "ripe offers since the cut")
    return made


def nearest(moved: Sequence[Moved]) -> list[Moved]:
    """Distributions by how near they came to their limit, or how far beyond; what is gone comes first."""
    return sorted(moved, key=lambda m: (m.state != "gone", -m.psi / (m.limit or np.inf), m.name))


def _curve(seen: Calibration) -> tuple[Curve, float, float]:
    drawn = curve(seen.p, seen.y, Draw.of(seen.account))
    return drawn, seen.error or 0.0, seen.chance or 0.0


def overview(moved: Sequence[Moved]) -> Figure:
    """Each feature's PSI as a share of its limit, those that came nearest first."""
    shown = nearest(moved)[:TOP][::-1]
    figure, (ax,) = sheet(
        "How far did each feature move?",
        "PSI as a share of its limit: what chance, and its habit in training, explain. Beyond 1 it has drifted. "
        "Right: its part of the model.",
        11, 0.29 * len(shown) + 1.6,
    )  # fmt: skip
    share = np.array([m.psi / (m.limit or np.inf) for m in shown])
    colours = [THEIRS if m.state == "same" else BAD for m in shown]
    end = max(1.25, min(float(share.max(initial=0)) * 1.05, 4.0))
    ax.barh(range(len(shown)), np.minimum(share, end), color=colours, height=0.66)
    for place, (one, value) in enumerate(zip(shown, share, strict=True)):
        beyond = f"  {value:.1f}" if value > end else ""
        said = f"gone{beyond}" if one.state == "gone" else beyond
        ax.text(min(value, end), place, f" {said}" if said else "", va="center", ha="right", fontsize=9, color="white")
        ax.text(
            1.01, place, f"{one.weight:.1%}", va="center", fontsize=9, color=INK if one.weight >= 0.01 else QUIET,
            transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    ax.axvline(1, color=INK, linewidth=1.2)
    ax.set_xlim(0, end)
    ax.set_ylim(-0.7, len(shown) - 0.3)
    ax.set_yticks(range(len(shown)), [m.name for m in shown])
    ax.tick_params(axis="y", labelcolor=INK)
    ax.grid(axis="y", visible=False)
    name_axes(ax, "PSI over its limit")
    return figure


def distributions(moved: Sequence[Moved], title: str) -> Figure:
    """Shares of rows by bin, then and now, a panel for each."""
    columns = min(2, len(moved))
    rows = -(-len(moved) // columns)
    figure, axes = sheet(
        title, "Share of offers by value. Grey: in training. Blue: in the window.", 12, 2.75 * rows + 0.9, columns, rows
    )  # fmt: skip
    for ax, one in zip(axes, moved, strict=False):
        _bars(ax, one)
    for ax in axes[len(moved) :]:
        ax.set_visible(False)
    return figure


def _bars(ax: Axes, one: Moved) -> None:
    then, now = (counts / max(counts.sum(), 1.0) for counts in (one.then, one.now))
    there = np.flatnonzero((then > 0) | (now > 0))
    there = there[np.lexsort((there, there >= len(then) - 2))]
    names = [one.bins[i] if len(one.bins[i]) <= 12 else f"{one.bins[i][:11]}…" for i in there]
    place = np.arange(len(there))
    ax.bar(place - 0.2, then[there], width=0.38, color=THEIRS)
    ax.bar(place + 0.2, now[there], width=0.38, color=OURS)
    crowded = sum(len(n) for n in names) > 60
    ax.set_xticks(place, names, rotation=40 if crowded else 0, ha="right" if crowded else "center", fontsize=8)
    ax.grid(axis="x", visible=False)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    limit = "not judged" if one.limit is None else f"limit {one.limit:.2f}"
    colour = BAD if one.state in ("moved", "gone") else INK
    ax.set_title(f"{one.name}: PSI {one.psi:.2f}, {limit}", loc="left", fontsize=11, color=colour)


def rates(seen: Mapping[Head, Rate], cut: int) -> Figure:
    """How often offers were accepted, and converted, by the week in which that was due."""
    figure, axes = sheet(
        "Do offers end as they used to?",
        "A dot is a week of offers that were due then. Band: where the window would lie without a shift; line: where "
        "it lies. Dashed: the model's cut.",
        12, 4.6, len(HEADS),
    )  # fmt: skip
    for ax, head in zip(axes, HEADS, strict=True):
        one = seen[head]
        _weeks(ax, one.weeks_then, cut, THEIRS)
        _weeks(ax, one.weeks_now, one.end, OURS)
        first, last = _day(one.end - len(one.weeks_now) * WEEK), _day(one.end)
        if one.low is not None and one.high is not None and one.now is not None:
            ax.fill_between([first, last], one.low, one.high, color=OURS, alpha=0.15, linewidth=0)
            ax.hlines(one.now, first, last, color=BAD if one.state == "moved" else OURS, linewidth=2.2)
        ax.axhline(one.then, color=THEIRS, linewidth=1.2)
        ax.axvline(_day(cut), color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        ax.set_ylim(0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
        locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        said = "not judged" if one.now is None or one.low is None else f"{one.now:.1%} now, {one.then:.1%} in training"
        name_axes(ax, "", "share of the week's offers", f"{WORDS[head][0].upper()}{WORDS[head][1:]}: {said}")
    return figure


def _weeks(ax: Axes, weeks: np.ndarray, end: int, colour: str) -> None:
    """Weekly shares; weeks of a handful of offers are left out, for they say nothing."""
    total = weeks.sum(axis=1)
    shown = np.flatnonzero(total >= 10)
    at = _day(end) - (len(weeks) - 1 - shown + 0.5) * WEEK / DAY
    size = 8 + 28 * np.sqrt(total[shown] / max(float(total.max(initial=1)), 1.0))
    ax.scatter(at, weeks[shown, 1] / total[shown], s=size, color=colour, linewidth=0, zorder=3)


def _day(instant: int) -> float:
    """An instant as matplotlib counts days."""
    return instant / DAY
