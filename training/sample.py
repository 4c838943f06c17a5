"""Writes a synthetic CRM: all tables, a matching callsheet.yaml, and apart from them the truth of the last weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features.errors import UsageError
from training.world.answers import ACCEPTED, WITHDRAWN
from training.world.cells import write_table
from training.world.life import Life, live
from training.world.market import sample_config
from training.world.setting import NONE, Graph, Setting, World
from training.world.tables import tables_of, truth_of

__all__ = ["SampleReport", "sample_config", "write_sample"]

_TABLES = 17


@dataclass(frozen=True)
class SampleReport:
    """What was written.

    rows             rows per table
    accept_rate      accepted offers / offers that were not taken back
    convert_rate     true chance of conversion, mean over the offers (what is seen by the end is less: censored)
    converted_seen   conversions that the tables know / offers
    outside          offers that the filters would have refused: made by hand
    truth_pairs      rows of truth/pairs.csv; truth_leads: leads in it
    oracle_lift      p_convert of the best eligible rep / of a random one, mean over the truth's leads
    """

    rows: Mapping[str, int]
    accept_rate: float
    convert_rate: float
    converted_seen: float
    outside: int
    truth_pairs: int
    truth_leads: int
    oracle_lift: float


def write_sample(
    out: Path,
    *,
    accounts: int = 2000,
    reps: int = 60,
    offers: int = 12_000,
    seed: int = 0,
    end: date,
    world: World = "mixed",
    graph: Graph = "strong",
    traits: bool = True,
) -> SampleReport:
    """Write a synthetic CRM to a folder: same arguments, same bytes.

    out     a new or empty folder; gets one CSV per table, callsheet.yaml and truth/pairs.csv
    end     the last day that the tables know of; the sixty weeks before it are their history
    world   what the truth is like: smooth (a sum of terms), rough (with corners), mixed
    graph   how far a rep's ties to a contact's colleagues matter
    traits  whether reps have tastes and skills beyond those of their role
    Raises  UsageError for sizes too small to make a world of, or a folder that holds other files
    """
    setting = Setting(accounts, reps, offers, seed, end, world, graph, traits)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; a sample is written to a new one.", field="out")
    (out / "truth").mkdir(parents=True, exist_ok=True)
    with _progress(setting.days + _TABLES) as step:
        life = live(setting, lambda _: step("living the weeks"))
        rows: dict[str, int] = {}
        for name, cells in tables_of(life):
            rows[name] = write_table(out / f"{name}.csv", cells)
            step(f"writing {name}")
        write_table(out / "truth" / "pairs.csv", truth_of(life))
        (out / "callsheet.yaml").write_text(sample_config(out), encoding="utf-8")
        step("done")
    return _report(life, rows)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("[bold]sample[/] {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("who is there", total=total)
        yield lambda text: bar.update(task, advance=1, description=text)


def _report(life: Life, rows: Mapping[str, int]) -> SampleReport:
    log, pairs = life.offers, life.pairs
    kept = log.answer != WITHDRAWN
    lead, start = np.unique(pairs.lead, return_index=True)
    best = np.maximum.reduceat(pairs.p_convert, start) if lead.size else np.zeros(0)
    usual = np.add.reduceat(pairs.p_convert, start) / np.diff(np.r_[start, pairs.lead.size]) if lead.size else best
    return SampleReport(
        rows=dict(rows),
        accept_rate=_share(log.answer[kept] == ACCEPTED),
        convert_rate=_share(log.p_convert[kept & ~log.outside]),
        converted_seen=_share(log.converted != NONE),
        outside=int(log.outside.sum()),
        truth_pairs=int(pairs.lead.size),
        truth_leads=int(lead.size),
        oracle_lift=float(best.sum() / usual.sum()) if lead.size else float("nan"),
    )


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
