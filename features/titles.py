"""What a free-text title says: the functions and the level of a contact, read by the vocabulary in titles.yaml."""

from __future__ import annotations

from typing import Final

#: The closed set of functions, as callsheet.yaml and contacts.function name them.
FUNCTIONS: Final = (
    "General Management", "Finance", "Risk & Compliance", "Legal", "Procurement", "IT", "Data", "Engineering",
    "Product", "Operations", "Marketing", "Sales", "Customer Service", "HR", "Administration",
)  # fmt: skip
#: The closed, ordered set of levels, lowest first: a level's number grows with its rank.
LEVELS: Final = ("staff", "senior", "manager", "director", "vp", "c_level")
