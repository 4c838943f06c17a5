"""Which model may answer: the champion, else the last good one, else none, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from features.catalogue import FEATURE_VERSION
from features.config import Config
from features.errors import CallsheetError, ModelError
from models.product import Product
from serving.cache import ModelCache
from serving.ledger import LedgerError
from serving.ledger.releases import Release, Released, Releases

log = logging.getLogger(__name__)

NOT_ENOUGH_DATA = "not enough data: no model has earned its place yet"

Rung = Literal["champion", "last_good", "challenger", "owner_territory", "hash"]


@dataclass(frozen=True)
class Standing:
    """What answers; never changed, only replaced as a whole.

    product  None: the rules answer
    rung     of a model's answer; rules name their own
    reason   why it is not the champion; None when it is
    release  the release that counts now, whether or not its model could be loaded
    """

    product: Product | None
    rung: Rung
    version: str | None
    reason: str | None
    release: Release | None = None


RULES = Standing(None, "owner_territory", None, NOT_ENOUGH_DATA)


def climb(releases: Releases, cache: ModelCache, config: Config) -> Standing:
    """Load the champion, or the best rung that can be had. Never raises for a model: the rules are always there."""
    try:
        champion, last_good = releases.current(), releases.last_good()
    except LedgerError as error:
        log.warning("The ledger cannot be read, so the rules serve: %s", error)
        return replace(RULES, reason="the ledger cannot be read, so no release is known")
    if champion is None:
        return RULES
    if champion.model is None:
        return replace(RULES, reason=f"rolled back to the rules: {champion.reason}", release=champion)
    try:
        product = usable(champion.model, cache.load, config)
        return Standing(product, "champion", champion.model.version, None, champion)
    except CallsheetError as error:
        reason = f"model {champion.model.version} cannot serve: {error}"
        log.error("%s", reason)
    if last_good is not None and last_good.model is not None:
        try:
            product = usable(last_good.model, cache.load, config)
            return Standing(product, "last_good", last_good.model.version, reason, champion)
        except CallsheetError as error:
            log.error("Model %s cannot serve either: %s", last_good.model.version, error)
    return replace(RULES, reason=reason, release=champion)


def usable(model: Released, load: Callable[[str], Product], config: Config) -> Product:
    """Load a model if it may answer here. Raises ModelError when it was made for something else, or is damaged."""
    if model.feature_version != FEATURE_VERSION:
        raise ModelError("it was made for other features than this version computes")
    if model.market_fingerprint != config.market_fingerprint:
        raise ModelError("the served market has changed since it was judged; run `callsheet train --promote`")
    product = load(model.content_hash)
    if not product.estimable:
        raise ModelError("it cannot tell probabilities: not enough data")
    return product


def chosen(home: Path, releases: Releases, config: Config, version: str | None = None) -> tuple[Standing, str | None]:
    """What batch scoring uses: a version that is asked for, else the champion, else the challenger.

    Returns  the standing, and what a person should be told about the choice, if anything
    Raises   UsageError when the version does not exist, ModelError when it cannot be used
    """
    standing = climb(releases, ModelCache(home), config)
    if version is None and standing.product is not None:
        return standing, standing.reason
    from training.tracking import Store  # the registry is asked only here, never by the service

    registry = Store(home)
    found = registry.challenger() if version is None else registry.version(version)
    if found is None:
        return standing, f"There is no model, so there are no scores: {standing.reason}"
    if standing.version == found.version:
        return standing, standing.reason
    cache = ModelCache(home)
    cache.fetch(found.content_hash, registry.product_folder(found.version))
    released = Released(found.version, found.content_hash, found.feature_version, found.market_fingerprint)
    # Asked for by name it need not have been judged for this market; scoring is no routing.
    product = usable(replace(released, market_fingerprint=config.market_fingerprint), cache.load, config)
    told = f"Model {found.version} is not released; it is the {'one asked for' if version else 'challenger'}."
    return Standing(product, "challenger", found.version, None, standing.release), told
