"""Which model answers after a release: the new one once it has stood its trial, else the one that answers already."""

from __future__ import annotations

import logging
from dataclasses import replace

from features.config import Config
from features.errors import CallsheetError
from models.product import Product
from serving.cache import ModelCache
from serving.ladder import Standing, climb, usable
from serving.ledger.releases import Releases

log = logging.getLogger(__name__)


def swapped(standing: Standing, releases: Releases, cache: ModelCache, config: Config) -> Standing:
    """What answers under the release that counts now; the model is loaded and tried, which takes seconds.

    A model that is damaged, or made for something else, is refused: what answers now goes on, and says why.
    A release of the very model that answers loads nothing. One by which workers crash answers no more. Raises
    LedgerError.
    """
    release = releases.current()
    held = standing.product
    if release is None or release.model is None or held is None or crashing(standing, cache):
        return climb(releases, cache, config)

    def load(content_hash: str) -> Product:
        return held if held.content_hash == content_hash else cache.load(content_hash)

    try:
        product = usable(release.model, load, config)
        return Standing(product, "champion", release.model.version, None, release)
    except CallsheetError as error:
        reason = f"model {release.model.version} cannot serve: {error}"
        log.error("%s", reason)
    return replace(standing, rung="last_good", reason=reason, release=release)


def crashing(standing: Standing, cache: ModelCache) -> bool:
    """Whether workers crash by what answers, so that it is held back."""
    return standing.product is not None and cache.crashes.held(standing.product.content_hash) is not None


def settled(standing: Standing) -> bool:
    """Whether what answers is what the release names; else it is worth trying again."""
    release = standing.release
    if release is None or release.model is None:
        return True
    return standing.product is not None and standing.product.content_hash == release.model.content_hash
