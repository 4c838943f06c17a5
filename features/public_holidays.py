"""Whose public holidays a rep keeps: those of a country, or of a part of it (ISO 3166-2), by the library `holidays`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache

import holidays

from features.countries import iso_country


def holiday_place(text: str) -> str:
    """A country (DE) or a part of one (DE-BY) whose holidays are known; ValueError says what is allowed."""
    country, dash, part = text.strip().partition("-")
    country = country.upper()
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ValueError(
            f"{text!r} is not a country, or a part of one, whose public holidays are known; write ISO 3166 codes such "
            "as DE, DE-BY or US-NY"
        )
    parts = {name.casefold(): name for name in known[country]}
    if dash and part.casefold() not in parts:
        listed = ", ".join(f"{country}-{name}" for name in known[country]) or "no part of it keeps others"
        raise ValueError(f"{text!r} is not a part of {country} that is known. Allowed: {country}; {listed}")
    return f"{country}-{parts[part.casefold()]}" if dash else country


def place_of(regions: Iterable[str], country: str | None, places: Mapping[str, str]) -> str | None:
    """Whose holidays a rep keeps: of his first region that `places` names and that lies in his country, else its own.

    places  region, in any case -> country or part of one, as `holiday_place` gives it
    """
    home = iso_country(country) if country else None
    named = {region.strip().casefold(): place for region, place in places.items()}
    for region in regions:
        place = named.get(region.strip().casefold())
        if place is not None and home in (None, place.partition("-")[0]):
            return place
    return home


@lru_cache(maxsize=256)
def days_off(place: str | None, first: int, last: int) -> frozenset[date]:
    """The public holidays of a country or a part of one in the years first to last; none where it is not known."""
    if not place:
        return frozenset()
    country, _, part = place.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=part or None, years=range(first, last + 1)))
    except NotImplementedError:  # the library does not know the country: its working days are the week's
        return frozenset()
