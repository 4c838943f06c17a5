"""Who decides on a lead: the model, the rules for held-out accounts, chance for a share of the rest; how likely."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from features.asof import DAY
from features.config_policy import Explore, Policy
from serving.ranking import Ranking

Name = Literal["champion", "fallback", "holdout", "explore", "pilot"]
_WHOLE: Final = 2**64


@dataclass(frozen=True)
class Mixed:
    """A ranking as the policy wants it.

    ranking     the best first: where a rep was drawn, that one
    name        whose decision it is
    propensity  (n,) of each ranked candidate, in the same order: the probability with which the whole policy, draws of
                the holdout and of exploration included, commits it
    """

    ranking: Ranking
    name: Name
    propensity: np.ndarray


def held_out(account_id: str, policy: Policy) -> bool:
    """Whether an account's leads stay on the rules: always the same answer, for a share of all accounts."""
    return _part(policy.salt, account_id) < policy.holdout


def kept_out(account_ids: Iterable[str], policy: Policy) -> np.ndarray:
    """(n,) bool: as `held_out` for each account."""
    return np.array([held_out(str(one), policy) for one in account_ids], bool)


def first_turns(policy: Policy, who: str, now: int) -> tuple[float, float]:
    """Numbers from 0 to 1 for each asker and day (UTC) that decide who has the first turn, as `turns` wants them.

    who  a rep, or the plan; now: int64 microseconds UTC
    """
    salt = f"{policy.salt}\x1fturn"
    return _part(salt, f"1 {who} {now // DAY}"), _part(salt, f"2 {who} {now // DAY}")


def mixed(model: Ranking, rules: Ranking, account_id: str, policy: Policy, draw: str | None) -> Mixed:
    """The ranking that decides, and how likely each candidate was.

    model, rules  the same candidates ranked by the model (or whoever stands in for it) and by the rules alone
    draw          what the draw is made from, an id that nobody chose; None: nothing is drawn, for nothing is committed
    """
    by_model = drawn_with(_values(model), policy.explore)
    by_rules = np.zeros(len(by_model))
    if len(by_rules):
        by_rules[model.best_ids.index(rules.best_ids[0])] = 1.0
    chance = (1 - policy.holdout) * by_model + policy.holdout * by_rules
    if held_out(account_id, policy):
        place = {one: i for i, one in enumerate(model.best_ids)}
        return Mixed(rules, "holdout", chance[[place[one] for one in rules.best_ids]])
    chosen = _pick(by_model, _part("explore", draw)) if draw is not None and len(by_model) else 0
    if chosen == 0:
        return Mixed(model, name_of(model), chance)
    first = np.r_[chosen, np.delete(np.arange(len(by_model)), chosen)]
    return Mixed(replace(model, best=model.best[first]), "explore", chance[first])


def name_of(model: Ranking) -> Name:
    """Whose decision it is where neither the holdout nor chance takes it from the model."""
    return {"champion": "champion", "challenger": "pilot"}.get(model.order.rung, "fallback")  # type: ignore[return-value]


def drawn_with(value: np.ndarray, explore: Explore) -> np.ndarray:
    """(n,) with what probability each of n candidates, the best first, is taken.

    value  (n,) what each is worth; where rules rank (NaN) or nothing is worth anything, the first is taken

    Of a share of the decisions the rep is drawn among those who are worth at most `loss` less than the best: by softmax
    of their worth, or all alike (epsilon). So exploring costs at most share * loss of the value.
    """
    n = len(value)
    certain = np.zeros(n)
    certain[:1] = 1.0
    if not n or not explore.share or not value[0] > 0:
        return certain
    near = value >= (1 - explore.loss) * value[0]
    shortfall = (value - value[0]) / (explore.temperature * value[0])
    weight = np.where(near, np.exp(np.where(near, shortfall, 0.0)) if explore.how == "softmax" else 1.0, 0.0)
    return (1 - explore.share) * certain + explore.share * weight / weight.sum()


def _values(ranking: Ranking) -> np.ndarray:
    return np.asarray(ranking.order.value[ranking.best], dtype=np.float64)


def _pick(chance: np.ndarray, u: float) -> int:
    return min(int(np.searchsorted(np.cumsum(chance), u, side="right")), len(chance) - 1)


def drawn(what: str, decision_id: str, share: float) -> bool:
    """Whether a decision is among a share of them, drawn for `what` from its id, which nobody chose."""
    return _part(what, decision_id) < share


def _part(salt: str, text: str) -> float:
    """A number from 0 to 1 that only the two texts decide."""
    digest = hashlib.sha256(f"{salt}\x1f{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _WHOLE
