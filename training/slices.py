"""Ways of cutting offers up, in which a model may be good here and bad there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from features.asof import DAY, NAT
from features.book import Book

UNKNOWN = "not known"
#: Column of the slice table -> what a person calls it.
TITLES = {
    "role": "Role of the rep",
    "region": "Region of the account",
    "solution": "Solution asked for",
    "relationship": "New or existing account",
    "tenure": "Tenure of the rep",
    "account_size": "Employees of the account",
}
MINIMUM = 100  # rows below which a slice tells more of chance than of the model


def slice_table(book: Book, lead: np.ndarray, rep: np.ndarray, account: np.ndarray, t: np.ndarray) -> pd.DataFrame:
    """(n rows) one text column for each of TITLES, as of each offer; (n,) codes of the book, (n,) int64 instants."""
    since = book.accounts.customer_since[account]
    hired = book.reps.hired[rep]
    years = np.where(hired == NAT, np.nan, (t - np.where(hired == NAT, t, hired)) / (365.25 * DAY))
    return pd.DataFrame(
        {
            "role": _named(book.reps.roles.values, book.reps.role.read(rep, t)),
            "region": _named(book.regions.values, book.accounts.region[account]),
            "solution": _named(book.solutions.values, book.leads.solution[lead]),
            "relationship": np.where((since != NAT) & (since <= t), "existing", "new"),
            "tenure": _band(years, (1, 3), ("under 1 year", "1 to 3 years", "over 3 years")),
            "account_size": _band(
                book.accounts.employees.read(account, t), (200, 1000, 5000),
                ("under 200", "200 to 999", "1,000 to 4,999", "5,000 and more"),
            ),
        },
        dtype="category",
    )  # fmt: skip


def _named(values: tuple[str, ...], code: np.ndarray) -> np.ndarray:
    return np.array([*values, UNKNOWN], dtype=object)[code.astype(np.int64)]


def _band(value: np.ndarray, edges: tuple[float, ...], names: tuple[str, ...]) -> np.ndarray:
    place = np.where(np.isnan(value), len(names), np.searchsorted(edges, value, side="right"))
    return np.array([*names, UNKNOWN], dtype=object)[place]


def each_slice(table: pd.DataFrame, minimum: int = MINIMUM) -> Iterator[tuple[str, str, np.ndarray]]:
    """(column, value, positions of its rows) of every slice of at least `minimum` rows, the known ones."""
    for column in table.columns:
        for value, rows in sorted(table.groupby(column, observed=True).indices.items()):
            if len(rows) >= minimum and value != UNKNOWN:
                yield column, str(value), np.asarray(rows)


def metric_part(text: str) -> str:
    """A slice's value as MLflow lets it stand in the name of a metric."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. ") else "_" for c in text).strip() or "_"
