"""A first callsheet.yaml from what the data holds: each value that was found, how often, and a market to begin with."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.counted import counted
from features.countries import iso_country
from features.schema import STATUSES
from features.titles import FUNCTIONS, LEVELS, read_titles

if TYPE_CHECKING:
    from features.snapshot import Snapshot

#: A rule is proposed where so many of the accounts tell what it asks for; on fewer it would refuse for want of data.
TOLD = 0.9
#: So many of the accounts are let in by the values that a rule names.
COVERED = 0.9
NEARLY_ALL = 0.98
#: Accounts that have bought, or whose leads were accepted: from so many on they show the market, not all accounts.
PROOF = 30
#: A list in the file names at most so many values.
LONGEST = 40
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

Values = list[str | None]

HEADER = """\
# Callsheet: the agreement on which leads are worth a seller's time, and who may take them.
# Written from the data; the counts say what was found there. It is a draft: go through it with sales, line by line.
# What is behind a # is not in force. `callsheet audit` shows whom each rule lets in.

markets:                     # the first that matches counts; all lines of a market must hold
  main:
"""

FOOTER = """\

# Which hard filters hold for reps. An empty list of regions or product lines limits nothing; ldr and bdr get no offers.
reps: {territory: true, product_line: true}
# reps: {territory: true, product_line: true, roles: {channel: {statuses: [partner]}}}

unknown: refuse              # a revenue that is missing, a level that can't be read: refuse, or allow
# timezone: UTC              # of timestamps that carry none; without this key they are refused
# hours: {days: [mon, tue, wed, thu, fri], from: 9, to: 17}
# hours: {holidays: {us-east: US-NY, dach: DE-BY}}    # whose public holidays reps of a region keep, not their country's
# sla: {accept: 16wh, by_role: {enterprise: 3d}}      # wh = working hours of the rep's zone and holidays
# sla: {accept: 16wh, by_grade: {A: 4wh}}             # by the lead's grade, besides: whichever ends first
# reoffers: {attempts: 3}    # how often a lead that was rejected or ran out goes to the next best rep
# labels: {converted: {within: 90d, forecast_weight: 0.10}, won: {within: 365d}}
# blocks: {calibrate: 28d, test: 28d}
# value: {accept: 0, convert: 1, amount: 0}           # what a lead is worth, in the unit of your choice
# policy: {holdout: 0.1, explore: {share: 0.05, loss: 0.25}}   # accounts that stay on the rules; leads left to chance
# policy: {shadow: true, pilot: true}      # what the challenger may do: look on; decide for reps who try things first
# policy: {guard: false}     # do not roll a new model back by itself whose offers are accepted less
# behaviour_share: 1.0       # most that behaviour may move a score, as a share of what fit moves it
# history: {assume_constant: []}
# retention: {decisions: 730d}                        # how long what explains a decision is kept
"""


def write_config(snapshot: Snapshot, timezone: str | None = None) -> str:
    """The text of a commented callsheet.yaml that `load_config` accepts, with one market drawn from the data.

    The market's ranges and lists are those of the accounts that bought or whose leads were accepted, where there are
    enough of them, else of all accounts. A rule for which the accounts lack the value stands behind a `#`.
    `timezone` is that of instants which carry none.
    """
    accounts = snapshot.tables["accounts"]
    shown = _proven(snapshot)
    proof = accounts[accounts["account_id"].isin(shown)] if len(shown) >= PROOF else accounts
    whose = "accounts that bought or accepted leads" if len(shown) >= PROOF else "accounts, all of them"
    countries: Values = [iso_country(c) if c else None for c in _texts(proof["country"])]
    lines = [f"    # The values below are those of {len(proof):,} {whose}."]
    rules = [
        *_amounts("revenue", proof["annual_revenue"], "USD"),
        *_amounts("employees", proof["employees"], "people", offer=False),
        *_codes("naics", proof["naics"], 3),
        *_codes("sic", proof["sic"], 2, offer=_told(_texts(proof["naics"])) < TOLD),
        *_listed("countries", countries, covered=NEARLY_ALL),
        # Regions mostly repeat the countries; both at once would cut twice.
        *_listed("regions", _texts(proof["region"]), covered=NEARLY_ALL, offer=_told(countries) < TOLD),
        *_listed("statuses", _texts(proof["status"]), covered=1.0, among=lambda s: s in STATUSES and s != "former"),
    ]
    if all(line.lstrip().startswith("#") for line in rules):
        rules += _named(accounts)
    solutions = _texts(snapshot.tables["leads"]["solution"])
    rules += _listed("solutions", solutions, covered=1.0, offer=len(set(solutions)) <= LONGEST)
    footer = FOOTER.replace("# timezone: UTC  ", f"timezone: {timezone}  ") if timezone else FOOTER
    return HEADER + "\n".join([*lines, *rules, *_buyers(snapshot), ""]) + footer


def _proven(snapshot: Snapshot) -> set[str]:
    """Accounts that won business came from, or whose leads a rep accepted."""
    tables = snapshot.tables
    found: set[str] = set()
    if "opportunities" in tables:
        deals = tables["opportunities"]
        found |= set(deals.loc[deals["outcome"] == "won", "account_id"])
    if "offers" in tables:
        offers, leads, contacts = tables["offers"], tables["leads"], tables["contacts"]
        taken = leads[leads["lead_id"].isin(offers.loc[offers["answer"] == "accepted", "lead_id"])]
        employer = contacts.set_index("contact_id")["account_id"]
        found |= set(taken["account_id"].fillna(taken["contact_id"].map(employer)).dropna())
    return found


# -- rules on accounts ----------------------------------------------------------------------------------------------


def _texts(column: pd.Series) -> Values:
    return [None if pd.isna(v) else str(v) for v in column]


def _told(values: Values) -> float:
    return sum(value is not None for value in values) / max(len(values), 1)


def _line(key: str, value: str, *, offer: bool, comments: Iterable[str]) -> list[str]:
    return [*(f"    # {text}" for text in comments), f"    {'' if offer else '# '}{key}: {value}"]


def _amounts(key: str, column: pd.Series, unit: str, *, offer: bool = True) -> list[str]:
    told = column.dropna().to_numpy(dtype=float)
    if not len(told):
        return [f"    # {key}: [null, null]                # the data tells none"]
    cuts = np.quantile(told, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    shares = ("least", "5 %", "25 %", "half", "75 %", "95 %", "most")
    spread = ", ".join(f"{share} {_round(cut):_}" for share, cut in zip(shares, cuts, strict=True))
    missing = len(column) - len(told)
    comments = [f"{key}, {unit}: {spread}; missing in {missing:,}"]
    floor = _round(cuts[1], down=True)
    # A floor of nothing would be a rule in name only.
    return _line(
        key, f"[{floor:_}, null]", offer=offer and floor > 0 and len(told) >= TOLD * len(column), comments=comments
    )


def _round(value: float, *, down: bool = False) -> int:
    """To two significant digits; a floor is rounded down to one."""
    if value < 1:
        return 0
    unit = 10 ** (int(np.log10(value)) - (0 if down else 1))
    return int(np.floor(value / unit) * unit) if down and unit >= 1 else int(round(value / max(unit, 1)) * max(unit, 1))


def _codes(key: str, column: pd.Series, digits: int, *, offer: bool = True) -> list[str]:
    prefixes: Values = [c[:digits] if c and c.isascii() and c.isdigit() else None for c in _texts(column)]
    return _listed(key, prefixes, offer=offer, quote=True)


def _listed(
    key: str, values: Values, *, covered: float = COVERED, offer: bool = True, quote: bool = False,
    among: Callable[[str], bool] = lambda value: True,
) -> list[str]:  # fmt: skip
    """A rule that names the commonest values, until they cover so many of the rows; counts in the comment."""
    counts = Counter(value.strip() for value in values if value and value.strip())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return [f"    # {key}: []                # the data tells none"]
    chosen: list[str] = []
    total, held = sum(counts.values()), 0
    for value, count in ranked:
        if held >= covered * total or len(chosen) >= LONGEST:
            break
        held += count
        if among(value):
            chosen.append(value)
    missing = len(values) - total
    found = "; ".join(f"{_said(value)} {count:,}" for value, count in ranked[:LONGEST])
    rest = f"; {len(ranked) - LONGEST:,} more" if len(ranked) > LONGEST else ""
    names = ", ".join(_quoted(value, always=quote) for value in chosen)
    return _line(
        key, f"[{names}]", offer=offer and bool(chosen) and total >= TOLD * len(values),
        comments=[f"{key} found: {found}{rest}; missing in {missing:,}"],
    )  # fmt: skip


def _said(value: str) -> str:
    """A value in a comment: on one line, whatever it holds."""
    return "".join(c if c.isprintable() else " " for c in " ".join(value.split())).replace(";", ",")[:40]


def _quoted(value: str, *, always: bool = False) -> str:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS
    return value if plain and not always else json.dumps(value)


def _named(accounts: pd.DataFrame) -> list[str]:
    """The last resort, where no column tells enough: the accounts by name."""
    ids = ", ".join(json.dumps(str(value)) for value in sorted(accounts["account_id"]))
    return [
        "    # No column of accounts is filled well enough for a rule. These are all of them: keep those you serve.",
        f"    accounts: {{include: [{ids}]}}",
    ]


# -- buyers ---------------------------------------------------------------------------------------------------------


def _buyers(snapshot: Snapshot) -> list[str]:
    """The functions that most leads come from, at the levels that decide."""
    contacts, leads = snapshot.tables["contacts"], snapshot.tables["leads"]
    asking = contacts[contacts["contact_id"].isin(set(leads["contact_id"]))]
    asking = asking if len(asking) >= PROOF else contacts
    read = read_titles(_texts(asking["title"]), _texts(asking["function"]), _texts(asking["seniority"]))
    table = np.zeros((len(FUNCTIONS), len(LEVELS)), int)
    both = (read.function >= 0) & (read.level >= 0)
    np.add.at(table, (read.function[both], read.level[both]), 1)
    order = [int(f) for f in np.argsort(-table.sum(axis=1), kind="stable") if table[f].any()]
    asked = counted(len(asking), "contact")
    lines = [f"    # Who asks: {int(both.sum()):,} of {asked} of leads have a title that can be read."]
    lines += [
        f"    #   {FUNCTIONS[f]}: " + ", ".join(f"{LEVELS[v]} {table[f, v]:,}" for v in reversed(range(len(LEVELS))))
        for f in order
    ]
    deciding = range(LEVELS.index("manager"), len(LEVELS))
    chosen = [f for f in order if table[f, deciding].sum() >= 0.05 * max(both.sum(), 1)]
    offer = bool(chosen) and both.sum() >= 0.5 * len(asking)
    mark = "" if offer else "# "
    chosen = chosen or [FUNCTIONS.index("Finance")]
    levels = ", ".join(LEVELS[v] for v in reversed(deciding))
    rows = [f"    {mark}  - {{functions: [{_quoted(FUNCTIONS[f])}], levels: [{levels}]}}" for f in chosen]
    return [
        *lines,
        f"    {mark}buyers:                  # any one that fits: its function, and its level or a keyword",
        *rows,
    ]
