"""An answer as a person reads it: who, how likely, why, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: What a rule's name means, as the end of the sentence "n were refused: …".
REFUSED = {
    "revenue": "revenue outside the market",
    "employees": "headcount outside the market",
    "industry": "industry outside the market",
    "country": "country outside the market",
    "region": "region outside the market",
    "status": "account status outside the market",
    "account_excluded": "the account is excluded",
    "solution": "solution not served there",
    "buyer": "not a buyer's function and level",
    "objects": "the contact objects to profiling",
    "lead_closed": "the lead is closed",
    "lead_taken": "the lead is with someone",
    "already_offered": "had the lead before",
    "inactive": "no longer active",
    "time_off": "away",
    "role": "role does not take such accounts",
    "territory": "outside the rep's territory",
    "product_line": "not the rep's product",
    "exclusion": "excluded by the rep's preference",
    "capacity_full": "no room this week",
}
RUNGS = {
    "champion": "by the released model",
    "last_good": "by the last good model",
    "challenger": "by the challenger, which is not released: model",
    "owner_territory": "by rule: the account's owner, then the territory",
    "hash": "by an even draw over who may take it",
}


@dataclass(frozen=True)
class Names:
    """What people call the ids: id -> words."""

    reps: Mapping[str, str]
    leads: Mapping[str, str]

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame]) -> Names:
        """Read them from a snapshot's tables. A rep: name and role; a lead: title, account and solution."""
        reps = tables["reps"]
        leads = tables["leads"][["lead_id", "contact_id", "solution"]]
        leads = leads.merge(tables["contacts"][["contact_id", "title", "account_id"]], on="contact_id", how="left")
        leads = leads.merge(tables["accounts"][["account_id", "name"]], on="account_id", how="left")
        said = leads["title"].fillna("a contact") + " at " + leads["name"].fillna("an account") + ": "
        return cls(
            dict(zip(reps["rep_id"], reps["name"] + ", " + reps["role"], strict=True)),
            dict(zip(leads["lead_id"], said + leads["solution"], strict=True)),
        )


def show_answer(answer: Mapping[str, Any], names: Names, screen: Console) -> None:
    """Print an answer of /recommend_reps or /recommend_leads (the object on the wire) for a person."""
    of_lead = answer.get("lead_id") is not None
    asked = answer["lead_id"] if of_lead else answer["rep_id"]
    called = (names.leads if of_lead else names.reps).get(asked, asked)
    what = "Reps for lead" if of_lead else "Call sheet of"
    screen.print(Text.assemble((f"{what} {asked}", "bold"), f"  {called}"))
    screen.print(Text(_who_decided(answer), style="dim"))
    if answer["items"]:
        screen.print(_table(answer["items"], "rep" if of_lead else "lead", names))
    else:
        screen.print(Text("Nobody may take it." if of_lead else "No lead may go to this rep now."))
    screen.print(Text(refusals(answer), style="dim"))


def _who_decided(answer: Mapping[str, Any]) -> str:
    version = f" {answer['model_version']}" if answer.get("model_version") else ""
    said = f"Ranked {RUNGS.get(answer['rung'], answer['rung'])}{version}, as of {answer['as_of']}"
    if answer.get("degraded"):
        said += f". Degraded: {answer['degraded_reason']}"
    return said


def _table(items: Sequence[Mapping[str, Any]], other: str, names: Names) -> Table:
    called = names.reps if other == "rep" else names.leads
    known = any(item["p_convert"] is not None or item["p_accept"] is not None for item in items)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("", justify="right")
    table.add_column(other)
    if known:
        table.add_column("accepts", justify="right")
        table.add_column("converts", justify="right")
    explained = any(item.get("reasons") for item in items)
    if explained:
        table.add_column("because", ratio=1)
    for item in items:
        id_ = str(item[f"{other}_id"])
        odds = [_percent(item["p_accept"]), _percent(item["p_convert"])] if known else []
        who = Text.assemble((id_, "bold"), f"\n{called.get(id_, '')}")
        why = [_because(item.get("reasons") or ())] if explained else []
        table.add_row(str(item["rank"]), who, *odds, *why)
    return table


def _because(reasons: Sequence[Mapping[str, Any]]) -> Text:
    """One line a reason, what helps first: + speaks for the pair, - against it."""
    lines = Text()
    for reason in sorted(reasons, key=lambda r: -r["effect"]):
        helps = reason["effect"] >= 0
        lines.append("+ " if helps else "- ", style="green" if helps else "red")
        lines.append(f"{reason['text']}\n")
    lines.rstrip()
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def refusals(answer: Mapping[str, Any]) -> str:
    """How many were looked at and why some could not be taken, as one sentence; the most frequent rule first."""
    refused = sorted(answer["refused"].items(), key=lambda kv: (-kv[1], kv[0]))
    said = f"{answer['candidates']:,} looked at"
    if not refused:
        return f"{said}, none refused."
    return f"{said}; refused: " + ", ".join(f"{n:,} {REFUSED.get(rule, rule)}" for rule, n in refused) + "."
