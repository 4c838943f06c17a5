"""How many offers each rule of labelling took, and what the rest teach and test, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.outcomes import ACCEPTED, WITHDRAWN
from training.blocks import Block, Cut
from training.examples import Examples

#: Rule -> what it does to the offers that it takes or marks. A rule of the market has its own name after the colon.
MEANING = {
    "withdrawn": "left out: the rep had no say",
    "reassigned": "left out: another rep's before the SLA was over",
    "after now": "left out: later than the data",
    "left out": "left out: today's market does not hold it",
    "kept although": "used: it was the past policy's choice",
    "re-offers": "used: each is a decision of its own",
    "accepted after the SLA": "count as accepted from then on",
    "taken back after the SLA": "count as expired: the rep had let them lie",
    "converted, never accepted": "no conversion: nobody took the offer",
    "advanced": "no conversion: the opportunity was open already",
    "SLA not passed": "acceptance not known yet: teaches nothing",
    "horizon not passed": "conversion not known yet: weighed by age",
}


class Line(NamedTuple):
    """One line of the account: a rule, how many offers, and what became of them."""

    rule: str
    offers: int
    meaning: str


@dataclass(frozen=True)
class LabelCounts:
    """What was made of a log of offers.

    log     rule -> offers, in the order in which the rules hold; first all offers, later `examples`, those that teach
    blocks  train, calibrate, test -> what is known -> offers; `worth` counts young offers by their weight
    """

    log: Mapping[str, int]
    blocks: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, examples: Examples, final: Cut, cuts: Sequence[Cut]) -> LabelCounts:
        """Count: train and calibrate as of the final cut, test over the rolling ones."""
        yes = examples.answer == ACCEPTED
        due = examples.due <= final.at
        marked = {
            "re-offers": examples.attempt > 1,
            "accepted after the SLA": yes & (examples.answered > examples.due),
            "taken back after the SLA": (examples.answer >= WITHDRAWN) & (examples.answered <= final.at) & due,
            "converted, never accepted": ~yes & (examples.converted_known <= final.at) & (examples.converted_known > 0),
            "advanced": yes & examples.advanced,
            "SLA not passed": ~due,
            "horizon not passed": due & (examples.convert_due > final.at),
        }
        blocks = {"train": [final.train], "calibrate": [final.calibrate], "test": [cut.test for cut in cuts]}
        return cls(
            dict(examples.counts) | {rule: int(mark.sum()) for rule, mark in marked.items()},
            {name: _known(examples, parts, final.at) for name, parts in blocks.items()},
        )

    @property
    def flat(self) -> dict[str, int]:
        """All of it as one mapping; a block's numbers have its name before them."""
        return dict(self.log) | {
            f"{block}: {what}": n for block, known in self.blocks.items() for what, n in known.items()
        }

    def lines(self) -> Iterator[Line]:
        """The log's account without the rules that took nothing; the rules of reps' filters as one."""
        kept = sum(n for rule, n in self.log.items() if rule.startswith("kept although"))
        for rule, n in self.log.items():
            if rule.startswith("kept although"):
                continue
            if n or rule in ("offers", "examples"):
                yield Line(rule.removeprefix("left out: "), n, MEANING.get(rule.split(":")[0], ""))
            if rule == "examples" and kept:
                yield Line("against a rep's filters", kept, MEANING["kept although"])

    def words(self) -> str:
        """The log's account as a sentence."""
        said = [f"{n:,} {rule}" + (f" ({meaning})" if meaning else "") for rule, n, meaning in self.lines()]
        return "; ".join(said) + "."


def _known(examples: Examples, parts: Sequence[Block], at: int) -> dict[str, int]:
    """What is known of a block's outcomes: each head's rows and successes, the young apart."""
    rows = np.concatenate([part.rows for part in parts])
    accepted, converted, won, weight = (
        np.concatenate([getattr(part.labels, name) for part in parts])
        for name in ("accepted", "converted", "won", "convert_weight")
    )
    young = examples.convert_due[rows] > at
    weighed = young & np.isfinite(converted)
    return {
        "offers": len(rows),
        "answer known": int(np.isfinite(accepted).sum()), "accepted": int(np.nansum(accepted)),
        "conversion known": int((np.isfinite(converted) & ~young).sum()),
        "converted": int(np.nansum(converted[~young])),
        "younger than the horizon": int(weighed.sum()),
        "worth, in offers past it": round(float(weight[weighed].sum())),
        "converted already": int(converted[weighed].sum()),
        "win known": int(np.isfinite(won).sum()), "won": int(np.nansum(won)),
    }  # fmt: skip
