"""Who the contacts are as of an instant: function and level, from the CRM where it says, else from the title."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.titles import FUNCTIONS, LEVELS, read_titles

if TYPE_CHECKING:
    from features.cast import Contacts


class People:
    """Function and level of each contact as codes into FUNCTIONS and LEVELS; -1 where they cannot be read.

    A level's code grows with its rank. What the CRM says of a contact wins over the title.
    """

    functions = FUNCTIONS
    levels = LEVELS

    def __init__(self, contacts: Contacts) -> None:
        self.contacts = contacts
        readings = read_titles(contacts.titles.values)
        # The last place answers code -1: no title.
        self._function = np.append(readings.function, -1).astype(np.int64)
        self._level = np.append(readings.level, -1).astype(np.int64)
        said = read_titles(np.full(len(contacts.function), None), contacts.function, contacts.seniority)
        self._said_function = said.function.astype(np.int64)
        self._said_level = said.level.astype(np.int64)

    def title_at(self, contact: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) code of each contact's title as of t, -1: none."""
        return self.contacts.title.read(contact, t).astype(np.int64)

    def function_at(self, contact: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) code of each contact's first function as of t."""
        said = self._said_function[contact]
        return np.where(said >= 0, said, self._function[self.title_at(contact, t)])

    def level_at(self, contact: np.ndarray, t: np.ndarray) -> np.ndarray:
        """(n,) code of each contact's level as of t."""
        said = self._said_level[contact]
        return np.where(said >= 0, said, self._level[self.title_at(contact, t)])
