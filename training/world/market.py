"""The served market of the sample: its callsheet.yaml, and which contact may be offered for which solution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.titles import FUNCTIONS, LEVELS
from training.world.places import REGIONS, SOLUTIONS
from training.world.setting import Flags, Floats, Ints, Texts


@dataclass(frozen=True)
class Buyer:
    """A function that is involved in the purchase, from one of these levels."""

    function: str
    levels: tuple[str, ...]
    solutions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Market:
    """One market as the sample's configuration states it; ends of ranges are inclusive, None is open."""

    name: str
    revenue: tuple[float, float | None]
    naics: tuple[str, ...]
    sic: tuple[str, ...]
    regions: tuple[str, ...]
    solutions: tuple[str, ...]
    buyers: tuple[Buyer, ...]
    statuses: tuple[str, ...] = ("prospect", "customer", "partner")


SENIOR = ("c_level", "vp", "director")
BROAD = (*SENIOR, "manager")
MARKETS = (
    Market(
        "banks", (50_000_000, 20_000_000_000), ("522", "523"), ("602", "606", "621", "628"),
        tuple(r.name for r in REGIONS[:10]), ("payments", "risk", "analytics"),
        (Buyer("Finance", BROAD), Buyer("IT", BROAD), Buyer("Operations", SENIOR, ("payments", "analytics"))),
    ),
    Market(
        "food", (20_000_000, None), ("111", "112", "311", "312"), ("01", "02", "20"),
        tuple(r.name for r in REGIONS[:10]), ("analytics", "supply", "service"),
        (Buyer("Operations", BROAD), Buyer("IT", SENIOR), Buyer("Procurement", BROAD), Buyer("Finance", SENIOR)),
    ),
)  # fmt: skip


def sample_config(out: Path) -> str:
    """The text of the sample's callsheet.yaml.

    out   the sample's folder, named in the first comment so that a copy still says what it belongs to
    """
    lines = [
        f"# The served market of the sample CRM in {out.name}: two markets side by side.",
        "markets:",
    ]
    for market in MARKETS:
        low, high = market.revenue
        lines += [
            f"  {market.name}:",
            f"    revenue: [{low:_.0f}, {'null' if high is None else f'{high:_.0f}'}]  # USD, inclusive",
            f"    naics: {_quoted(market.naics)}",
            f"    sic: {_quoted(market.sic)}  # quoted: a code's leading zero must stay",
            f"    regions: [{', '.join(market.regions)}]",
            f"    statuses: [{', '.join(market.statuses)}]",
            f"    solutions: [{', '.join(market.solutions)}]",
            "    buyers:",
        ]
        for buyer in market.buyers:
            only = f", solutions: [{', '.join(buyer.solutions)}]" if buyer.solutions else ""
            lines.append(f"      - {{functions: [{buyer.function}], levels: [{', '.join(buyer.levels)}]{only}}}")
    lines += [
        "reps:",
        "  territory: true",
        "  product_line: true",
        "  roles:",
        "    partner: {statuses: [partner]}",
        "    channel: {statuses: [partner]}",
        "unknown: refuse",
        "timezone: UTC",
        "hours: {days: [mon, tue, wed, thu, fri], from: 9, to: 17}",
        "sla: {accept: 16wh}",
        "labels: {converted: {within: 90d, forecast_weight: 0.10}, won: {within: 365d}}",
        "blocks: {calibrate: 28d, test: 28d}",
        "value: {accept: 0, convert: 1, amount: 0}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(codes: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{code}"' for code in codes) + "]"


def served_accounts(naics: Texts, sic: Texts, revenue: Floats, region: Texts) -> Flags:
    """Which accounts pass each market's rules on accounts, but for their status.

    naics, sic, region   (n,) text or None; revenue (n,) USD, NaN: not known, so refused
    Returns              (n, markets)
    """
    out = np.zeros((len(naics), len(MARKETS)), dtype=bool)
    for m, market in enumerate(MARKETS):
        low, high = market.revenue
        coded = _starts(naics, market.naics) | _starts(sic, market.sic)
        out[:, m] = coded & (revenue >= low) & (revenue <= (high or np.inf)) & np.isin(region, market.regions)
    return out


def _starts(codes: Texts, prefixes: tuple[str, ...]) -> Flags:
    return np.array([code is not None and code.startswith(prefixes) for code in codes], dtype=bool)


def buys(functions: Ints, level: Ints) -> Flags:
    """Which contacts are buyers of which solution in each market.

    functions, level   (n,) as `features.titles.read_titles` gives them: a bit for each function; -1: no level
    Returns            (n, markets, solutions)
    """
    out = np.zeros((len(functions), len(MARKETS), len(SOLUTIONS)), dtype=bool)
    for m, market in enumerate(MARKETS):
        for s, solution in enumerate(SOLUTIONS):
            for buyer in market.buyers:
                if solution in market.solutions and (not buyer.solutions or solution in buyer.solutions):
                    named = (functions >> FUNCTIONS.index(buyer.function)) & 1 == 1
                    out[:, m, s] |= named & np.isin(level, [LEVELS.index(name) for name in buyer.levels])
    return out
