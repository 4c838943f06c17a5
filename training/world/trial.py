"""Finds the intercepts of the truth: with them the past policy meets the rates that a sample should have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.world.history import History
from training.world.setting import DAY, Floats
from training.world.truth import Truth


def calibrated(history: History, accept: float = 0.277, convert: float = 0.041) -> Truth:
    """The truth with the intercepts at which the past policy meets the rates, tried at six instants of the log.

    The aims lie below the rates that come out (0.30 and 0.05): in the trial no offer has yet warmed a tie.
    """
    logits: list[tuple[Floats, Floats, Floats]] = []
    setting, leads = history.setting, history.leads
    for share in np.linspace(0.05, 0.95, 6):
        day = int(share * (setting.log_end - setting.start) // DAY)
        near = np.flatnonzero(leads.fits & (np.abs(leads.created - history.midnight(day)) < 28 * DAY))[:400]
        if not near.size:
            continue
        history.look_around(day)
        moment = history.moment(history.midnight(day), near, np.full(len(history.reps), 0.35))
        chance = history.chances_of_policy(day, moment, history.able(moment, near))
        logits.append((chance, *history.truth.logits(moment)))
    history.look_around(0)
    weight, a, c = (np.concatenate([part[i] for part in logits]) for i in range(3))
    held = weight > 0
    weight, a, c = weight[held] / weight[held].sum(), a[held], c[held]
    base = _solve(lambda b: float((weight / (1 + np.exp(-a - b))).sum()), accept)
    taken = weight / (1 + np.exp(-a - base))
    other = _solve(lambda b: float((taken / (1 + np.exp(-c - b))).sum()), convert)
    return replace(history.truth, accept_base=base, convert_base=other)


def _solve(rising: Callable[[float], float], goal: float) -> float:
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < goal else (low, middle)
    return (low + high) / 2
