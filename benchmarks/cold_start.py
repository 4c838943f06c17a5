"""How those fare whom the model has never met: reps, accounts, regions and solutions held out; newcomers.

`python -m benchmarks.cold_start` prints one table a kind over samples, whose true chances are known;
`--data CRM --config FILE` prints the same for a snapshot of your own, by its outcomes. What it showed is in
docs/cold_start.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.sample_truth import END, Sample, sizes
from features.config import load_config
from features.errors import NotEnoughData
from features.snapshot import read_snapshot
from models.recipe import Recipe
from training.cold_start import AVERAGE, KINDS, KNOWN, STRANGER, ColdStart, Kind, Snap, cold_start
from training.world.life import live
from training.world.record import Offers
from training.world.setting import Setting, World

SHOWN = {"log_loss_accept": "log loss, accept", "log_loss_convert": "log loss, convert", "ndcg_at_5": "NDCG at 5"}
ORDER = (STRANGER, AVERAGE, KNOWN)
TRUE = ("off the true p_accept", "off the true p_convert", "mean p_accept - true", "mean p_convert - true")


def against_truth(found: ColdStart, log: Offers) -> dict[str, np.ndarray]:
    """Recipe -> (4,) mean distance of each probability to the true one, and of their means."""
    rows = np.array([int(offer[1:]) - 1 for offer in found.offer_id])
    told = {}
    for name, said in found.said.items():
        off = said.p_accept - log.p_accept[rows], said.p_convert - log.p_convert[rows]
        told[name] = np.array([np.abs(off[0]).mean(), np.abs(off[1]).mean(), off[0].mean(), off[1].mean()])
    return told


def over_samples(
    kinds: Sequence[Kind], world: World, offers: int, seeds: Sequence[int], recipe: Recipe, cuts: int
) -> Iterator[Table]:
    """One table a kind: each recipe's mean over the seeds, and how far the stranger's differs, with standard errors."""
    rows: dict[Kind, dict[str, list[np.ndarray]]] = {kind: {} for kind in kinds}
    tested = dict.fromkeys(kinds, 0)
    for seed in seeds:
        sample = Sample.made(offers, seed, world)
        log = live(Setting(*sizes(offers), offers, seed, END, world), lambda _: None).offers
        snap = Snap.of(sample.snapshot, sample.config, cuts)
        for kind in kinds:
            try:
                found = cold_start(snap, recipe, kind, replicates=2)
            except NotEnoughData:  # a sample may have nobody of the kind
                continue
            tested[kind] += found.offers
            for name, measured in found.measured.items():
                values = np.array([measured.value.get(metric, np.nan) for metric in SHOWN])
                rows[kind].setdefault(name, []).append(np.append(values, against_truth(found, log)[name]))
    for kind in kinds:
        table = _table(
            f"{kind}: {world} samples of {offers:,} offers, {len(seeds)} seeds, {tested[kind]:,} test offers"
        )
        values = {name: np.array(each) for name, each in rows[kind].items()}
        for i, title in enumerate((*SHOWN.values(), *TRUE)):
            cells = [f"{np.nanmean(values[name][:, i]):.4f}" if name in values else "–" for name in ORDER]
            for other in ORDER[1:]:
                if other not in values:
                    continue
                less = values[STRANGER][:, i] - values[other][:, i]
                cells.append(f"{np.nanmean(less):+.4f} ± {np.nanstd(less, ddof=1) / np.sqrt(len(less)):.4f}")
            table.add_row(title, *cells)
        yield table


def of_snapshot(found: ColdStart) -> Table:
    """One table with bootstrap intervals."""
    table = _table(f"{found.kind}: {found.units:,} held out, {found.offers:,} test offers, 95 % intervals")
    for metric, title in SHOWN.items():
        if not all(metric in measured.value for measured in found.measured.values()):
            continue
        cells = [f"{found.measured[name].value[metric]:.4f}" if name in found.measured else "–" for name in ORDER]
        for other in ORDER[1:]:
            if other not in found.measured:
                continue
            less = found.measured[STRANGER].less(found.measured[other], metric)
            cells.append(f"{less.value:+.4f} ({less.low:+.4f} to {less.high:+.4f})")
        table.add_row(title, *cells)
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for head in ("", *ORDER, f"{STRANGER} - average", f"{STRANGER} - {KNOWN}"):
        table.add_column(head, justify="right" if head else "left")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--data", help="a snapshot of your own instead of samples")
    parser.add_argument("--config", type=Path, default=Path("callsheet.yaml"))
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--offers", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--world", nargs="+", default=["smooth", "rough"])
    options = parser.parse_args()
    screen, recipe = Console(width=130), Recipe.preset(options.recipe)
    if options.data:
        config = load_config(options.config)
        snap = Snap.of(read_snapshot(options.data, config=config), config, options.cuts)
        for kind in options.kind:
            screen.print(of_snapshot(cold_start(snap, recipe, kind)))
        return
    for world in options.world:
        for table in over_samples(options.kind, world, options.offers, range(options.seeds), recipe, options.cuts):
            screen.print(table)


if __name__ == "__main__":
    main()
