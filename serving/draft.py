"""An answer about to be committed: what it will say and what is kept of it, made before the transaction writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.ledger.decisions import Decision
from serving.ledger.offers import new_offer_id
from serving.ranking import Ranking
from serving.recommend import Answer


@dataclass(frozen=True)
class Draft:
    """An answer with its offers as it will be said and kept: all text is made before the transaction that writes it.

    offers  by candidate the id of the offer that it will get; said: the answer, text: the same as JSON
    """

    offers: Mapping[str, str]
    said: Answer
    text: str
    made: Decision

    @classmethod
    def of(cls, ranking: Ranking, answer: Answer, made: Decision, chosen: Sequence[str]) -> Draft:
        """The draft that offers to, or offers, those who are chosen."""
        offers = {one: new_offer_id() for one in chosen}
        items = [
            item | {"offer_id": offers.get(item[ranking.ranked]) or item["offer_id"]} for item in answer["items"]
        ]  # fmt: skip
        said = answer | {"decision_id": made.decision_id, "advice_only": False, "items": items}
        return cls(offers, said, json.dumps(said, ensure_ascii=False), made.saying(said).ready())
