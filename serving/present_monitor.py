"""A look at a model as a person reads it: every check with what it saw, what moved most, and last the advice."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.counted import counted
from features.errors import CallsheetError
from training.blocks import day_of
from training.monitor.charts import nearest
from training.monitor.compare import Moved
from training.monitor.watch import Monitored

MARKS = {
    "ok": ("ok", "green"), "alarm": ("ALARM", "bold red"), "watch": ("look", "yellow"), "not judged": ("–", "dim"),
}  # fmt: skip
COLOURS = {"keep": "bold green", "recalibrate": "bold yellow", "retrain": "bold red"}
#: Columns of a listing for a program: one row a finding, the advice last.
COLUMNS = ("check", "state", "asks", "text", "numbers")
MOST = 5  # features that moved most, told even where none moved too far


def show_monitored(seen: Monitored, screen: Console) -> None:
    """Print the findings, the features that moved most, the reasons and, as the last line, the advice."""
    start, end = day_of(seen.recent.start), day_of(seen.recent.end)
    table = _grid(
        f"Model {seen.watched.version}{'' if seen.watched.released else ' (not released)'}, learned to "
        f"{day_of(seen.reference.cut)}; {counted(seen.compared.rows, 'offer')} of {start} to {end}"
    )
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("what it saw", ratio=1)
    for one in seen.judgement.findings:
        mark, style = MARKS[one.state]
        table.add_row(Text(mark, style=style), one.check, Text(one.text))
    screen.print(table)
    judged = [m for m in seen.compared.features if m.limit is not None]
    if judged:
        screen.print(_moved([m for m in nearest(judged) if m.state != "same"] or nearest(judged)[:MOST]))
    screen.print()
    advice = seen.judgement.advice
    because = "; ".join(one.check for one in seen.judgement.reasons)
    if because:
        screen.print(Text(f"Because of: {because}."))
    if not seen.judgement.healthy:
        screen.print(Text(seen.judgement.remedy.replace("`", ""), style="yellow"))
    screen.print(Text(f"recommendation: {advice}", style=COLOURS[advice]))


def rows(seen: Monitored) -> list[dict[str, object]]:
    """The findings as rows of COLUMNS, then one for each feature, then the recommendation."""
    found: list[dict[str, object]] = [
        {"check": one.check, "state": one.state, "asks": one.asks, "text": one.text, "numbers": dict(one.numbers)}
        for one in seen.judgement.findings
    ]
    for moved in seen.compared.features:
        numbers = {
            "psi": moved.psi, "limit": moved.limit, "weight": moved.weight, "missing_then": moved.missing[0],
            "missing_now": moved.missing[1], "new": moved.new,
        }  # fmt: skip
        found.append({"check": f"feature {moved.name}", "state": moved.state, "numbers": numbers})
    advice = seen.judgement.advice
    found.append({"check": "recommendation", "state": advice, "asks": advice, "text": seen.judgement.remedy})
    return found


def refused(error: CallsheetError) -> list[dict[str, object]]:
    """Data that could not be looked at as the one row of COLUMNS, in place of any recommendation."""
    return [{"check": "data", "state": "refused", "asks": "mend", "text": str(error)}]


def _moved(shown: Sequence[Moved]) -> Table:
    calm = all(m.state == "same" for m in shown)
    table = _grid("\nCame nearest to their limit" if calm else "\nMoved beyond their limit")
    table.add_column("feature")
    for name in ("PSI", "limit", "part of the model", "missing then", "now", "new values"):
        table.add_column(name, justify="right")
    for one in shown:
        missing = [f"{share:.0%}" for share in one.missing]
        name = f"{one.name} (gone)" if one.state == "gone" else one.name
        table.add_row(name, f"{one.psi:.2f}", f"{one.limit:.2f}", f"{one.weight:.1%}", *missing, f"{one.new:.1%}")
    return table


def _grid(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
