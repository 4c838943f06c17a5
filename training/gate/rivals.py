"""The model against what it would replace and what is simpler: the rules, the champion, the baselines."""

from __future__ import annotations

import numpy as np

from features.counted import counted
from training.blocks import day_of
from training.contestants import CHAMPION, RANKER, RULES, TITLES
from training.evaluate import Measured, evaluate
from training.gate.better import better
from training.gate.case import PRIMARY, PRIMARY_WORDS, Case, Check, Number
from training.gate.data import MIN_GROUPS, MIN_OFFERS
from training.since import LATE, unseen_from

#: How much a simpler baseline may be ahead before the product is refused.
MARGIN = 0.02
#: How much the same recipe on fresher data may be behind what serves; beyond it, and beyond chance, it is refused.
SAME_MARGIN = 0.02


def beats_rules(case: Case) -> Check:
    """Better than what serves when no model does."""
    found = better(case, RULES, "the rules")
    return Check("beats_rules", found.passed, found.numbers, found.text)


def against_champion(case: Case) -> Check:
    """A new recipe is better than the champion's; the same recipe on fresher data is not worse than the champion."""
    name, serving, told = "against_champion", case.serving, case.evidence.champion
    if serving is None:
        return Check(name, True, {}, "No model serves, so the rules are the one opponent.")
    if serving.content_hash == case.version.content_hash:
        return Check(name, True, {}, "It is the very model that serves.")
    if serving.content_hash != told["content_hash"]:
        knew = f"version {told['version']}" if told["content_hash"] else "no model"
        text = (
            f"Version {serving.version} serves, and the run was told of {knew}, so the two were never compared: "
            "train again."
        )
        return Check(name, False, {}, text)
    called = f"the champion (version {serving.version})"
    match case.evidence.relation:
        case "same":
            return _not_worse(case, called)
        case "new" if CHAMPION in case.pool.said:
            found = better(case, CHAMPION, f"the recipe of {called}")
            return Check(name, found.passed, found.numbers, f"A new recipe. {found.text}")
        case "lost":
            text = f"This version cannot load {called}, so it cannot serve, and the rules are the one opponent"
            return Check(name, True, {}, f"Not tried. {text}: {told['gap']}", tried=False)
        case _:
            text = f"The recipe of {called} could not be fitted beside the new one, so the two cannot be compared"
            return Check(name, False, {}, f"{text}: {told['gap'] or 'it is not in the run.'}")


def _not_worse(case: Case, called: str) -> Check:
    """The champion's stored artefact on offers that it knew nothing of, against the same recipe on fresher data.

    Only `held_out`, which neither had seen, is a fair trial. Of `answered` the challenger has learned the answers and
    the champion has not: being ahead there shows nothing, so that it can refuse, and never reassure.
    """
    numbers: dict[str, Number] = {"margin": SAME_MARGIN}
    fair, taught = (_lead_since(case, part, numbers) for part in ("held_out", "answered"))
    surely = [f"{words} {whose}" for (words, worse), whose in ((fair, _FAIR), (taught, _TAUGHT)) if worse]
    text = f"The recipe of {called} on fresher data"
    if surely:
        text += f" is worse beyond the margin of {SAME_MARGIN} and chance: {'; '.join(surely)}."
        return Check("against_champion", False, numbers, text)
    if fair[0]:
        return Check("against_champion", True, numbers, f"{text}: {fair[0]} {_FAIR}.")
    return Check("against_champion", True, numbers, f"Not tried. {text}: {_too_young(case)}", tried=False)


_FAIR, _TAUGHT = "that neither had seen", "answered since, from which it has learned itself"


def _lead_since(case: Case, part: str, numbers: dict[str, Number]) -> tuple[str, bool]:
    """The lead on a part of what came since the champion's cut, in words (none: not enough to tell); surely worse?"""
    pool = case.evidence.since.get(part)
    numbers[f"{part} offers"] = 0 if pool is None else len(pool)
    if pool is None or len(pool) < MIN_OFFERS or len(pool.board.size) < MIN_GROUPS:
        return "", False
    draw = pool.draw(case.seed, case.replicates)
    ours, theirs = (evaluate(pool.board, pool.said[key], draw) for key in (RANKER, CHAMPION))
    if PRIMARY not in ours.value or PRIMARY not in theirs.value:
        return "", False
    lead = ours.less(theirs, PRIMARY)
    numbers |= {f"{part} difference": lead.value, f"{part} low": lead.low, f"{part} high": lead.high}
    words = (
        f"{'behind' if lead.value < 0 else 'ahead'} by {abs(lead.value):.3f} {PRIMARY_WORDS} "
        f"({lead.low:+.3f} to {lead.high:+.3f}) on {counted(len(pool), 'offer')}"
    )
    return words, lead.value < -SAME_MARGIN and lead.high < 0


def _too_young(case: Case) -> str:
    """Why the two could not be tried on what neither had seen, and how long that lasts."""
    held, config = case.evidence.since.get("held_out"), case.config
    within, block = config.labels.converted.within, config.blocks.test
    text = (
        f"{counted(0 if held is None else len(held), 'ripe test offer was', 'ripe test offers were')} made after the "
        f"champion's cut, and it takes {MIN_OFFERS} in {MIN_GROUPS} groups. That lasts until the champion is "
        f"older than a conversion horizon and a test block ({within} and {block}"
    )
    cut = None if case.serving is None or case.serving.product is None else unseen_from(case.serving.product)
    if cut is not None and cut != LATE:
        text += f": from {day_of(cut + within.microseconds + block.microseconds)} on"
    return f"{text}), or longer where offers are few."


def no_worse_than_baselines(case: Case) -> Check:
    """No simpler baseline may be ahead by more than the margin."""
    ours = case.measured[RANKER]
    numbers: dict[str, Number] = {"margin": MARGIN}
    ahead: list[str] = []
    closest: tuple[float, str] | None = None
    for name, theirs in case.measured.items():
        if name in (RANKER, RULES, CHAMPION) or name.startswith("without_") or PRIMARY not in theirs.value:
            continue
        lead, words = _lead(ours, theirs)
        numbers[name] = lead
        said = f"{TITLES.get(name, name)} {words}"
        if lead < -MARGIN:
            ahead.append(said)
        closest = min(closest or (lead, said), (lead, said))
    text = (
        f"No baseline is ahead by more than {MARGIN} {PRIMARY_WORDS}; the closest is {closest[1] if closest else ''}."
    )
    if ahead:
        text = f"Simpler, and ahead by more than {MARGIN} {PRIMARY_WORDS}: {'; '.join(ahead)}."
    if closest is None:
        text = "Not tried: no baseline of the run can be judged."
    return Check("no_worse_than_baselines", not ahead, numbers, text, tried=closest is not None)


def _lead(ours: Measured, theirs: Measured) -> tuple[float, str]:
    """The model's lead over a baseline, and the same from the baseline's side in words."""
    if PRIMARY not in ours.value:
        return -np.inf, "can be judged, the model cannot"
    lead = ours.less(theirs, PRIMARY)
    return lead.value, f"at {-lead.value:+.3f} (95 % interval {-lead.high:+.3f} to {-lead.low:+.3f})"
