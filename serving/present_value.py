"""The value of a policy as a person reads it: the estimates, what they rest on, or why there are none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.counted import counted
from training.offpolicy.value import Estimate, Value

TITLES = {
    "ips": "inverse propensity",
    "snips": "the same, normalised by its weights",
    "dr": "doubly robust",
    "switch-dr": "doubly robust, heavy weights cut",
}


def show_value(value: Value, screen: Console) -> None:
    """The estimates beside what the log itself earned, then the support."""
    if value.refused is None:
        screen.print(_estimates(value))
        _gain(value, screen)
    else:
        screen.print(Text(f"No estimate. {value.refused}", style="bold red"))
    for line in _facts(value):
        screen.print(Text(line))


def _estimates(value: Value) -> Table:
    table = Table(
        title="What the policy would have earned a round", title_justify="left", title_style="bold",
        header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column("estimator")
    table.add_column("value", justify="right")
    table.add_column(f"{value.level:.0%} interval", justify="right", no_wrap=True)
    table.add_column("")
    for one in value.estimates:
        cells = (f"{one.value:.4g}", _between(one), TITLES[one.estimator])
        table.add_row(one.estimator, *cells, style="bold" if one.estimator == "dr" else None)
    if value.logged is not None:
        table.add_row("logged", f"{value.logged.value:.4g}", _between(value.logged), "what the log's own policy earned")
    return table


def _between(one: Estimate) -> str:
    return f"{one.low:.4g} to {one.high:.4g}"


def _gain(value: Value, screen: Console) -> None:
    gain = value.gain
    if gain is None:
        return
    if gain.low > 0:
        words, style = "more than the log's own policy, by more than chance", "bold green"
    elif gain.high < 0:
        words, style = "less than the log's own policy, by more than chance", "bold red"
    else:
        words, style = "which may be chance", "bold yellow"
    screen.print(Text(f"Doubly robust minus logged: {gain.value:+.4g} ({_between(gain)}), {words}.", style=style))


def _facts(value: Value) -> list[str]:
    clusters = f" in {counted(value.clusters, 'cluster')}" if value.clustered else ""
    lines = [f"Log: {counted(value.rounds, 'round')}{clusters}, {counted(value.actions, 'action')}."]
    found, made = value.support, value.propensities
    if found is not None:
        lines.append(
            f"Support: effective sample size {found.effective_sample_size:,.0f}, overlap {found.overlap:.1%}; weights "
            f"average {found.mean_weight:.3g}, the largest is {found.largest_weight:.3g} "
            f"({found.largest_weight_share:.1%} of all)."
        )
    if made is not None and made.fitted.any():
        lines.append(
            f"Propensities: {value.rounds - int(made.fitted.sum()):,} logged, {int(made.fitted.sum()):,} fitted "
            f"({str(made.model).replace('_', ' ')}, calibration error {made.error:.3f}, by chance up to "
            f"{made.by_chance:.3f})."
        )
    if value.reward_model is not None:
        cut = "no weight was cut" if value.threshold is None else f"weights above {value.threshold:.3g} were cut"
        lines.append(f"Reward model: {value.reward_model.replace('_', ' ')}; switch-DR: {cut}.")
    return lines
