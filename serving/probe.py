"""Tries a model before a worker loads it: run as a process, within limits, exit 0 only for a model that answers."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def main(folder: str, content_hash: str, seconds: int, memory: int) -> None:
    """Load the model under limits on processor time and memory, and score rows of extremes with it."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    # LightGBM takes scikit-learn along where it finds it; predicting needs none of it, and it is half of the start.
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    import numpy as np

    from features.errors import ModelError
    from features.matrix import Matrix
    from models.product import Product

    product = Product.load(Path(folder), expected=content_hash)
    columns = product.contract.columns
    rows = [np.full(len(columns), value, np.float32) for value in (np.nan, 0.0, 1.0, -1.0, 1e6)]
    n = len(rows)
    ids = np.full(n, "", object)
    said = product.predict(Matrix(np.stack(rows), columns, ids, ids, np.zeros(n, np.int64), product.vocabulary))
    shares = np.concatenate([said.p_accept, said.p_convert])
    shares = shares[~np.isnan(shares)]
    if not np.isfinite(said.score).all() or (shares < 0).any() or (shares > 1).any():
        raise ModelError("The model answers with numbers that are no scores.")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
