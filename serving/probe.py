"""Tries a model before a worker loads it: run as a process, within limits, exit 0 only for a model that answers."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from statistics import median

#: Rows of one large question, and how often they are scored; the median counts, for a clock may stand still.
ROWS = 200
REPEATS = 5


def main(folder: str, content_hash: str, seconds: int, memory: int, scoring_ms: float) -> None:
    """Load the model under limits on processor time and memory, and score rows of extremes with it, soon enough.

    Loading holds it to the scores of its golden pairs.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    import numpy as np

    from features.errors import ModelError
    from features.matrix import Matrix
    from models.product import Product

    product = Product.load(Path(folder), expected=content_hash)
    columns = product.contract.columns
    extremes = np.resize(np.array([np.nan, 0.0, 1.0, -1.0, 1e6], np.float32), ROWS)
    ids = np.full(ROWS, "", object)
    rows = np.repeat(extremes[:, None], len(columns), axis=1)
    asked = Matrix(rows, columns, ids, ids, np.zeros(ROWS, np.int64), product.vocabulary)
    took = []
    for _ in range(REPEATS):
        begun = time.process_time()
        said = product.predict(asked)
        took.append(1000 * (time.process_time() - begun))
    product.contributions(asked.take(np.arange(5)))  # of its reasons, which LightGBM computes by other code
    shares = np.concatenate([said.p_accept, said.p_convert])
    shares = shares[~np.isnan(shares)]
    if not np.isfinite(said.score).all() or (shares < 0).any() or (shares > 1).any():
        raise ModelError("The model answers with numbers that are no scores.")
    if median(took) > scoring_ms:
        raise ModelError(f"It takes {median(took):.0f} ms to score {ROWS} pairs; allowed are {scoring_ms:.0f}.")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
