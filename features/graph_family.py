"""How the lead's contact is tied within the account, and to the contacts whom the rep already works there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asked import Asked
from features.declare import Family, Feature
from features.ties import TieFeatures

GRAPH = Family(
    "graph",
    Feature(
        "contact_degree", "Colleagues with whom the contact shares a solution, a meeting, an opportunity or a line.",
        level="lead", helps="{contact} is tied to {value} colleagues at {account}.",
    ),
    Feature(
        "contact_pagerank", "PageRank of the contact in the account's contact graph, times its contacts: 1 is average.",
        "ratio", level="lead", helps="{contact} is well connected at {account}.",
        hurts="{contact} is poorly connected at {account}.",
    ),
    Feature(
        "account_interest_share", "Share of the account's other contacts who showed interest in the lead's solution.",
        "share", level="lead", helps="{value} of the other contacts at {account} are interested in {solution}, too.",
        hurts="{value} of the other contacts at {account} have shown interest in {solution}.",
    ),
    Feature(
        "colleagues_lately", "Colleagues of whom a lead for the same solution came in within the last 90 days.",
        level="lead", helps="{value} colleagues of {contact} came in for {solution} in the last 90 days.",
    ),
    Feature("account_contacts", "Contacts known at the account, log(1 + n).", "log_count", level="lead"),
    Feature(
        "tie_distance",
        "Steps from the lead's contact to the nearest contact whom the rep works, 3 at most; 0: himself.",
        "steps", monotone=-1, helps="{contact} is {value} steps from a contact whom you work at {account}.",
        hurts="{contact} is {value} steps from the nearest contact whom you work at {account}.",
    ),
    Feature(
        "tie_strength",
        "Strength of the shortest paths to that contact, 0 to 1: a step weighs 1 / members of what is shared.",
        "strength", monotone=1, helps="You work a contact at {account} who is close to {contact}.",
        hurts="Whom you work at {account} has little to do with {contact}.",
    ),
    Feature(
        "worked_within_two", "Contacts whom the rep works within two steps of the lead's contact, himself included.",
        monotone=1, helps="You work {value} contacts close to {contact} at {account}.",
        hurts="You work {value} contacts close to {contact} at {account}.",
    ),
    Feature(
        "tie_diffusion",
        "What reaches the lead's contact by diffusion from the contacts whom the rep works, half after 90 days.",
        "strength", monotone=1, helps="Your recent work at {account} reaches {contact}.",
        hurts="Little of your recent work at {account} reaches {contact}.",
    ),
)  # fmt: skip


@GRAPH.computes("lead")
def lead_ties(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each lead-level feature above, (leads,)."""
    told = asked.shared("ties", _ask)
    return told.degree, told.pagerank, told.interest_share, told.colleagues_lately, np.log1p(told.contacts)


@GRAPH.computes("pair")
def pair_ties(asked: Asked) -> Sequence[np.ndarray]:
    """One array for each pair-level feature above, (pairs,); NaN where no table tells whom the reps work."""
    told = asked.shared("ties", _ask)
    return told.distance, told.strength, told.near, told.diffusion


def _ask(asked: Asked) -> TieFeatures:
    """Search once for both levels."""
    leads = asked.leads
    return asked.book.ties.ask(leads.account, leads.contact, leads.solution, leads.t, asked.lead_row, asked.rep)
