"""Training as a person reads it: a run's recipes against each other, runs side by side, and the gate's verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.counted import counted
from training.compare import Compared, Ends
from training.contestants import RANKER
from training.gate import PRIMARY, Verdict
from training.label_counts import LabelCounts
from training.results import HEADLINES, Row

if TYPE_CHECKING:
    from serving.promote import Promotion

#: Characters from which a terminal shows every headline.
WIDE = 120

#: Characters of the names of what is compared, and of a number with its interval.
LABEL, INTERVAL = 26, 22


def show_counts(counts: LabelCounts, screen: Console) -> None:
    """What each rule made of the offers, and what those that are left teach and test."""
    table = _grid("The offers, and what each rule made of them")
    table.add_column("")
    table.add_column("offers", justify="right")
    table.add_column("")
    for rule, offers, meaning in counts.lines():
        whole = rule in ("offers", "examples")
        table.add_row(
            Text(rule if whole else f"  {rule}"), f"{offers:,}", Text(meaning), style="bold" if whole else None
        )
    screen.print(table)
    screen.print()
    table = _grid("What they teach and test")
    table.add_column("")
    for block in counts.blocks:
        table.add_column(block, justify="right")
    for what in next(iter(counts.blocks.values())):
        numbers = [known[what] for known in counts.blocks.values()]
        if any(numbers):
            table.add_row(what, *(f"{n:,}" if n else "–" for n in numbers))
    screen.print(table)
    screen.print()


def show_recipes(rows: Sequence[Row], said: str, beaten: bool, screen: Console) -> None:
    """The ranker and everything it was set against, on the same test offers; `beaten`: it beats all of them."""
    cells = {(row.recipe, row.metric): row for row in rows}
    table = _grid("The ranker and its baselines, on the same offers that none of them had seen")
    table.add_column("recipe")
    metrics = [name for name in HEADLINES if screen.width >= WIDE or not name.startswith("log_loss")]
    for name in metrics:
        table.add_column(HEADLINES[name], justify="right", max_width=14)
    table.add_column(f"ranker's lead, {HEADLINES[PRIMARY]}", justify="right", no_wrap=True)
    for recipe, title in {row.recipe: row.title for row in rows}.items():
        found = [cells.get((recipe, metric)) for metric in metrics]
        first = cells.get((recipe, PRIMARY))
        lead = Text("–" if first is None or first.difference is None else _lead(first))
        numbers = ["–" if row is None else f"{row.value:.3f}" for row in found]
        table.add_row(title, *numbers, lead, style="bold" if recipe == RANKER else None)
    screen.print(table)
    screen.print(Text(said, style="bold green" if beaten else "bold yellow"))


def _lead(row: Row) -> str:
    text = f"{row.difference:+.3f}"
    if row.difference_low is not None:
        text += f" ({row.difference_low:+.3f} to {row.difference_high:+.3f})"
    return text


def show_runs(runs: Sequence[Compared], screen: Console) -> None:
    """Runs as columns: their metrics with 95 % intervals where there is room, then the parameters that differ."""
    room = (screen.width - LABEL) // len(runs) - 2
    exact = room >= INTERVAL
    table = _grid("Runs side by side")
    table.add_column("", max_width=LABEL)
    for run in runs:
        table.add_column(Text(run.name), overflow="fold", max_width=max(room, 8))
    table.add_row("run", *(run.run_id for run in runs))
    table.add_row("started", *(f"{run.started:%Y-%m-%d %H:%M}" for run in runs))
    table.add_row("gate", *(run.gate or "not judged" for run in runs))
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        table.add_row(_called(name), *(_metric(run.metrics.get(name), exact) for run in runs))
    if any(run.behind for run in runs):
        cells = ("–" if run.behind is None else _signed(run.behind, exact) for run in runs)
        table.add_row(f"{HEADLINES[PRIMARY]}: behind the first, on the same offers", *cells, style="bold")
    for name in runs[0].params:
        if not name.endswith("fingerprint"):
            table.add_row(Text(name), *(Text(_brief(run.params.get(name, "–"))) for run in runs))
    screen.print(table)
    if not exact:
        screen.print("The 95 % intervals need a wider window, fewer runs, or --format csv.")


def show_recipes_of(runs: Sequence[Compared], screen: Console) -> None:
    """Each run as a heading over its baselines and ablations, with the ranker's lead over each."""
    wide = screen.width >= WIDE
    metrics = [name for name in HEADLINES if wide or name in (PRIMARY, "accept_at_3", "convert_at_3")]
    table = _grid("Each run with its baselines and ablations, on the same offers")
    table.padding = (0, 1, 0, 0)
    table.add_column("recipe")
    for name in metrics:
        table.add_column(HEADLINES[name], justify="right", max_width=14 if wide else 9)
    table.add_column(f"ranker's lead, {HEADLINES[PRIMARY]}", justify="right", no_wrap=True)
    for run in runs:
        above = run.kind == RANKER
        cells = [_metric(run.metrics.get(name), False) for name in metrics]
        lead = "–" if run.lead is None else _signed(run.lead)
        if above and table.row_count:
            table.add_section()
        table.add_row(Text(run.name), *cells, lead, style="bold" if above else None)
    screen.print(table)


def _called(name: str) -> str:
    return HEADLINES.get(name, name.replace("_", " "))


def _brief(value: str) -> str:
    """A parameter that fits a column: of a long list how long it is, of a hash its beginning."""
    if len(value) <= 40 and not re.fullmatch(r"[0-9a-f]{40}", value):
        return value
    try:
        listed = json.loads(value)
    except ValueError:
        return f"{value[:10]}…"
    return counted(len(listed), "entry", "entries") if isinstance(listed, list) else f"{value[:10]}…"


def _metric(seen: Ends | None, exact: bool = True) -> str:
    if seen is None:
        return "–"
    value, low, high = seen
    return f"{value:.3f}" if low is None or not exact else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _signed(seen: Ends, exact: bool = True) -> str:
    value, low, high = seen
    return f"{value:+.3f}" if low is None or not exact else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def show_verdict(verdict: Verdict, screen: Console) -> None:
    """Every check of the gate with what it saw, then what that comes to."""
    table = _grid(f"The gate on version {verdict.version}")
    table.add_column("")
    table.add_column("check")
    table.add_column("what it saw", ratio=1)
    for check in verdict.checks:
        style = "bold red" if not check.passed else "green" if check.tried else "yellow"
        table.add_row(Text(check.mark, style=style), check.name.replace("_", " "), Text(check.text))
    screen.print(table)
    screen.print(Text(verdict.reason, style="bold green" if verdict.passed else "bold red"))


#: Columns of the verdict as a listing: one row a check, the verdict last.
VERDICT_COLUMNS = ("name", "passed", "tried", "text", "numbers", "version", "forced", "serves")


def verdict_rows(done: Promotion) -> list[dict[str, object]]:
    """Every check as a row of VERDICT_COLUMNS, then the verdict, with the version and what became of it."""
    rows: list[dict[str, object]] = [dict(check.__dict__) for check in done.verdict.checks]
    return [*rows, {
        "name": "verdict", "passed": done.verdict.passed, "tried": True, "text": done.verdict.reason,
        "version": done.version, "forced": done.forced, "serves": done.serves,
    }]  # fmt: skip


def outcome(done: Promotion, forcing: bool) -> str:
    """What came of asking for a release, in a line or two; forcing: the gate was to be overruled."""
    against = ", ".join(check.name.replace("_", " ") for check in done.verdict.checks if not check.passed)
    if done.already:
        text = f"Version {done.version} serves already, so nothing was released and nothing was recorded"
        return f"{text}, the reason neither." if forcing else f"{text}; `callsheet rollback` takes it back."
    if not done.serves:
        return "The gate refused, so nothing changes: what served before still serves, a model or the rules."
    text = f"Version {done.version} serves; `callsheet rollback` takes it back."
    if done.forced:
        return f"The gate was overruled; against it were: {against}. {text}"
    return f"The gate let it pass, so there was nothing to overrule. {text}" if forcing else text


def _grid(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
