"""What can be said of the cast: functions and levels, sectors, and what became of the past offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from features.cast import Cast, split
from features.entities import Tables
from features.industry import Sectors
from features.outcomes import Outcomes, read_outcomes
from features.people import People
from features.public_holidays import place_of
from features.sla import Deadlines, read_deadlines

if TYPE_CHECKING:
    from features.config import Config


class Known(Cast):
    """The cast under a configuration, as known by an instant: what the event logs are made from.

    present  tables that the source has, and their columns as "table.column"
    now      the snapshot's latest known fact, int64 microseconds UTC
    """

    def __init__(
        self, tables: Tables, config: Config, now: int, columns: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        super().__init__(tables, config.history.assume_constant)
        self.config, self.now = config, now
        told = columns if columns is not None else {name: tuple(table.columns) for name, table in tables.items()}
        self.columns = {name: frozenset(told.get(name, ())) for name in tables}
        self.present = frozenset(tables) | {f"{name}.{column}" for name in tables for column in self.columns[name]}

    @cached_property
    def lead_account(self) -> np.ndarray:
        """(l,) account code of each lead as of now."""
        every = np.arange(len(self.lead_index))
        return self.account_of(every, np.full(len(every), self.now))

    @cached_property
    def outcomes(self) -> Outcomes:
        """What became of the past offers."""
        indices = self.lead_index, self.rep_index
        return read_outcomes(self.tables, self.config, *indices, self.lead_account, self.deadlines.at)

    @cached_property
    def deadlines(self) -> Deadlines:
        """By when the offers must be, or had to be, answered."""
        return read_deadlines(self)

    def holidays_of(self, regions: int, country: int) -> str | None:
        """Whose public holidays a rep keeps, by the codes of his regions in `lists` and of his country; -1: none."""
        lists, countries = self.lists.values, self.countries.values
        home = countries[country] if country >= 0 else None
        return place_of(split(lists[regions]) if regions >= 0 else (), home, self.config.hours.holidays)

    @cached_property
    def people(self) -> People:
        """Functions and levels of the contacts."""
        return People(self.contacts)

    @cached_property
    def sectors(self) -> Sectors:
        """Sectors of the accounts."""
        return Sectors(self.accounts.naics, self.accounts.sic)
