"""A run's outcome in rows and in words: every recipe beside the ranker, and what is not beaten, said plainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from training.contestants import RANKER, RULES, Contestant
from training.evaluate import Measured
from training.gate import PRIMARY

#: Metric -> what a person calls it; these are in the table of every run.
HEADLINES = {
    "ndcg_at_5": "NDCG at 5",
    "accept_at_3": "accepted of the first 3",
    "convert_at_3": "converted of the first 3",
    "convert_lift_at_3": "conversions over the logged policy, first 3",
    "log_loss_accept": "log loss of p_accept",
    "log_loss_convert": "log loss of p_convert",
}


@dataclass(frozen=True)
class Row:
    """One recipe's metric beside the ranker's; difference is the ranker minus the recipe, paired; None: not known."""

    recipe: str
    title: str
    metric: str
    value: float
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None

    def as_dict(self) -> dict[str, object]:
        """The row as a listing has it."""
        return asdict(self)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def table(order: Sequence[Contestant], measured: Mapping[str, Measured]) -> tuple[Row, ...]:
    """Rows of every headline and recipe, the ranker first."""
    ours, rows = measured[RANKER], []
    for metric in HEADLINES:
        for one in order:
            theirs = measured[one.key]
            if metric not in theirs.value:
                continue
            seen = theirs.interval(metric)
            lead: tuple[float | None, float | None, float | None] = (None, None, None)
            if one.key != RANKER and metric in ours.value:
                paired = ours.less(theirs, metric)
                lead = _number(paired.value), _number(paired.low), _number(paired.high)
            rows.append(Row(one.key, one.title, metric, seen.value, _number(seen.low), _number(seen.high), *lead))
    return tuple(rows)


def rivals(order: Sequence[Contestant]) -> list[Contestant]:
    """What the ranker has to beat: the rules and the baselines."""
    return [one for one in order if one.kind in ("rules", "baseline")]


def not_beaten(order: Sequence[Contestant], measured: Mapping[str, Measured]) -> tuple[str, ...]:
    """Keys of the rivals over which the ranker's lead on the primary metric could be chance, or is none."""
    ours = measured[RANKER]
    if PRIMARY not in ours.value:
        return tuple(one.key for one in rivals(order))
    return tuple(
        one.key
        for one in rivals(order)
        if PRIMARY in measured[one.key].value and not ours.less(measured[one.key], PRIMARY).above_zero
    )


def sentence(order: Sequence[Contestant], measured: Mapping[str, Measured]) -> str:
    """What the run shows, in one or two sentences."""
    ours = measured[RANKER]
    if PRIMARY not in ours.value:
        return "No test group holds an accepted offer, so no order can be judged."
    open_ = not_beaten(order, measured)
    if not open_:
        return f"The ranker beats every baseline on {HEADLINES[PRIMARY]} by more than chance."
    words = []
    for one in rivals(order):
        if one.key in open_:
            lead = ours.less(measured[one.key], PRIMARY)
            words.append(f"{one.title} (lead {lead.value:+.3f}, 95 % interval {lead.low:+.3f} to {lead.high:+.3f})")
    beaten = len(rivals(order)) - len(open_)
    return (
        f"The ranker does NOT beat every baseline by more than chance on {HEADLINES[PRIMARY]}. Not beaten: "
        f"{'; '.join(words)}. Beaten: {beaten} of {len(rivals(order))}."
    )


def _cell(rows: Mapping[tuple[str, str], Row], recipe: str, metric: str) -> str:
    row = rows.get((recipe, metric))
    if row is None:
        return "–"
    return f"{row.value:.3f}" if row.low is None else f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"


def _lead(rows: Mapping[tuple[str, str], Row], recipe: str) -> str:
    row = rows.get((recipe, PRIMARY))
    if row is None or row.difference is None:
        return ""
    if row.difference_low is None:
        return f"{row.difference:+.3f}"
    return f"{row.difference:+.3f} ({row.difference_low:+.3f} to {row.difference_high:+.3f})"


def markdown(
    order: Sequence[Contestant], rows: Sequence[Row], said: str, facts: Mapping[str, str], links: Mapping[str, str]
) -> str:
    """The run's page: the sentence, links to what the run holds, the table of recipes, and the facts of the run."""
    by = {(row.recipe, row.metric): row for row in rows}
    shown = [m for m in HEADLINES if m != "convert_lift_at_3"]
    lines = [said, "", " · ".join(f"[{name}]({where})" for name, where in links.items() if name != "Run"), ""]
    lines += ["| recipe | " + " | ".join(HEADLINES[m] for m in shown) + " | ranker's lead |"]
    lines.append("|---" * (len(shown) + 2) + "|")
    for one in order:
        name = f"**{one.title}**" if one.key in (RANKER, RULES) else one.title
        cells = " | ".join(_cell(by, one.key, m) for m in shown)
        lines.append(f"| {name} | {cells} | {_lead(by, one.key)} |")
    lines += ["", "In brackets: 95 % intervals, resampled by account.", ""]
    lines += [f"- **{name}**: {text}" for name, text in facts.items()]
    return "\n".join(lines)
