"""How well a probability still sorts offers: the chance that one that came good stands above one that did not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from training.bootstrap import Draw

REPLICATES = 100
#: Offers of either outcome below which an order is not judged.
MIN_OF_EACH = 20


@dataclass(frozen=True)
class Order:
    """Area under the ROC curve, its standard error (accounts resampled), and how many offers it was measured on."""

    value: float
    error: float
    offers: int


def order(p: np.ndarray, y: np.ndarray, account: np.ndarray) -> Order | None:
    """Measure (n,) probabilities against (n,) outcomes 0/1; None where either outcome is too rare to judge.

    account  (n,) cluster of each row
    Cost     REPLICATES sorts of n rows
    """
    if min(int((y == 1).sum()), int((y == 0).sum())) < MIN_OF_EACH or not np.isfinite(p).all():
        return None
    draw = Draw.of(account, REPLICATES)
    again = []
    for counts in draw.counts:
        weight = counts[draw.cluster]
        drawn = weight > 0
        if len(np.unique(y[drawn])) == 2:
            again.append(roc_auc_score(y[drawn], p[drawn], sample_weight=weight[drawn]))
    return Order(float(roc_auc_score(y, p)), float(np.std(again)), len(p))
