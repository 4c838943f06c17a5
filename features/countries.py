"""Countries as people write them, read to ISO 3166 two-letter codes."""

from __future__ import annotations

from functools import lru_cache

import pycountry


@lru_cache(maxsize=4096)
def iso_country(text: str) -> str | None:
    """The two-letter code of a country given as a code of two or three letters, or by its English name; else None."""
    name = text.strip()
    if name.upper() == "UK":  # reserved, not assigned: pycountry does not know it, CRMs are full of it
        return "GB"
    try:
        return str(pycountry.countries.lookup(name).alpha_2)
    except LookupError:
        return None
