"""Whether the very files that will serve are whole, answer as the run says they do, and are quick about it."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from features.catalogue import COLUMNS, FEATURE_VERSION
from features.errors import CallsheetError
from features.matrix import Matrix
from models.product import Product
from models.scores import Scores
from training.contestants import RANKER
from training.evaluate import Predictions, evaluate
from training.gate.case import PRIMARY, PRIMARY_WORDS, Case, Check, Number

#: Pairs of one request, and the most that scoring them may take under one thread: a part of the 50 ms in which 99 of
#: 100 requests with so many candidates are to be answered, features and all.
PAIRS, BUDGET_MS = 200, 10.0
REPEATS = 30
#: How far the artefact may be behind what was tested, on rows of which it has since seen most.
AGREES = 0.02
_SAID = ("score", "p_accept", "p_convert")


def artefact_whole(case: Case) -> Check:
    """The files are those that were registered, and this code's features are theirs."""
    found = case.artefact
    if isinstance(found, CallsheetError):
        return Check("artefact_whole", False, {}, f"The model's files are not what the run registered: {found}")
    if case.version.feature_version != FEATURE_VERSION or found.contract.columns != COLUMNS:
        return Check("artefact_whole", False, {}, "The model was made for other features than this version computes.")
    return Check("artefact_whole", True, {}, "The model's files are whole, and made for these features.")


def artefact_agrees(case: Case) -> Check:
    """Loaded from its files it says what the run wrote down, and ranks the test rows as well as what was tested."""
    name, product, rows = "artefact_agrees", case.artefact, case.evidence.tried
    if isinstance(product, CallsheetError):
        return Check(name, False, {}, "The model's files cannot be loaded, so nothing is known of what they say.")
    try:
        said = product.predict(_matrix(case, product))
    except CallsheetError as error:
        return Check(name, False, {}, f"The model cannot score the run's own test rows: {error}")
    wrong = _wrong(said, {part: rows[part].to_numpy(np.float64) for part in _SAID})
    numbers: dict[str, Number] = {"offers": len(rows)}
    if wrong:
        return Check(name, False, numbers, wrong)
    place = {offer: i for i, offer in enumerate(case.pool.offer_id)}
    pool = case.pool.take(np.array([place[offer] for offer in rows["offer_id"]], dtype=np.int64))
    draw = pool.draw(case.seed, case.replicates)
    ours = evaluate(pool.board, Predictions(said.score, said.p_accept, said.p_convert), draw)
    tested = evaluate(pool.board, pool.said[RANKER], draw)
    text = f"Loaded from its files it says of {len(rows):,} test offers what the run wrote down"
    if PRIMARY not in ours.value:
        return Check(name, True, numbers, f"{text}.")
    lead = ours.less(tested, PRIMARY)
    numbers |= {"artefact": ours.value[PRIMARY], "tested": tested.value[PRIMARY], "low": lead.low, "high": lead.high}
    passed = not (lead.value < -AGREES and lead.high < 0)
    text += f"; {PRIMARY_WORDS} {ours.value[PRIMARY]:.3f}, tested with {tested.value[PRIMARY]:.3f}"
    text += "; it has learned from most of them." if passed else ": refitted on all the data it lost its way."
    return Check(name, passed, numbers, text)


def fast_enough(case: Case) -> Check:
    """Scoring what one request asks for stays within the budget."""
    product = case.artefact
    if isinstance(product, CallsheetError):
        return Check("fast_enough", False, {}, "The model's files cannot be loaded, so it cannot be timed.")
    matrix = _matrix(case, product)
    asked = matrix.take(np.arange(PAIRS) % max(len(matrix), 1))
    product.predict(asked)  # the first call readies LightGBM
    took = []
    for _ in range(REPEATS):
        begun = perf_counter()
        product.predict(asked)
        took.append((perf_counter() - begun) * 1000)
    median = float(np.median(took))
    passed = median <= BUDGET_MS
    text = (
        f"Scores {PAIRS} pairs in {median:.1f} ms under one thread (median of {REPEATS}); allowed: {BUDGET_MS:.0f} ms."
    )
    return Check("fast_enough", passed, {"ms": median, "budget ms": BUDGET_MS, "pairs": PAIRS}, text)


def _matrix(case: Case, product: Product) -> Matrix:
    """The tried rows as the model reads them."""
    rows = case.evidence.tried
    columns = tuple(str(c) for c in rows.columns if c not in ("offer_id", *_SAID))
    ids = rows["offer_id"].to_numpy(dtype=object)
    values = np.ascontiguousarray(rows[list(columns)].to_numpy(np.float32))
    return Matrix(values, columns, ids, ids, np.zeros(len(rows), np.int64), product.vocabulary)


def _wrong(said: Scores, written: dict[str, np.ndarray]) -> str:
    """What is wrong with an answer beside what the run wrote down; empty when nothing is."""
    if not np.isfinite(said.score).all():
        return f"The model answers {int((~np.isfinite(said.score)).sum())} test offers with no score."
    for part in _SAID:
        ours = getattr(said, part)
        if not np.allclose(ours, written[part], rtol=1e-9, atol=1e-12, equal_nan=True):
            worst = np.nanmax(np.abs(ours - written[part])) if np.isfinite(ours - written[part]).any() else np.nan
            return f"The model's {part} of the test offers is not what the run wrote down (off by up to {worst:.3g})."
    return ""
