"""What a lead with a rep is worth: expected value from probabilities, by the configuration's `value`."""

from __future__ import annotations

import numpy as np

from features.config import Value


def expected_value(p_accept: np.ndarray, p_convert: np.ndarray, mean_amount: np.ndarray, value: Value) -> np.ndarray:
    """(n,) float64: accept · p_accept + p_convert · (convert + amount · mean amount of the solution's opportunities).

    p_accept, p_convert   (n,) probabilities; NaN where a head is not estimable, and so is the result: without a
                          probability there is no expectation, even where its part would count 0
    mean_amount           (n,) USD; read only where `value.amount` is not 0
    """
    worth = np.full(len(p_convert), value.convert)
    if value.amount:
        worth = worth + value.amount * mean_amount
    return np.asarray(value.accept * p_accept + p_convert * worth)
