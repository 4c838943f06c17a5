"""Makes a trained model the challenger beside what serves, and ends its trial: what the command line asks for."""

from __future__ import annotations

from pathlib import Path

from features.config import Config
from features.errors import Refused, UsageError
from serving.cache import ModelCache
from serving.ladder import usable
from serving.ledger import Ledger
from serving.ledger.challengers import Challenger, Challengers
from serving.ledger.releases import Released, Releases
from serving.ledger.shadows import Watched, watched


def challenge(
    home: Path, ledger: Ledger, config: Config, *, version: str | None = None, reason: str | None = None,
    seen: int | None = None,
) -> Challenger:  # fmt: skip
    """Make a registered model the challenger, in place of another; it needs not have passed the gate.

    version  None: the one that was trained last
    seen     the revision of the challengers that the decision is based on; None: the one of this moment
    Raises   UsageError; Refused when it serves already; ModelError when it cannot be loaded, was made for something
             else, or is slow; Conflict when another was named in between
    """
    from training.tracking import Store

    challengers, registry = Challengers(ledger), Store(home)
    now, champion = challengers.current(), Releases(ledger).current()
    found = registry.challenger() if version is None else registry.version(version)
    if found is None:
        raise UsageError("There is no trained model to try; run `callsheet train` first.", field="model")
    model = Released(found.version, found.content_hash, found.feature_version, found.market_fingerprint)
    if champion is not None and champion.model is not None and champion.model.content_hash == model.content_hash:
        raise Refused(f"Model {model.version} serves already, so there is nothing to try it beside.")
    cache = ModelCache(home)
    cache.fetch(model.content_hash, registry.product_folder(found.version))
    usable(model, cache.load, config)
    based_on = seen if seen is not None else (now.revision if now else 0)
    return challengers.name(model, seen=based_on, reason=reason or "to be tried beside what serves")


def dismiss(ledger: Ledger, *, reason: str = "ended by hand") -> tuple[Challenger, Released]:
    """End the challenger's trial. Returns the new row, and the model that was tried.

    Raises Refused when there is no challenger, Conflict when another was named in between
    """
    challengers = Challengers(ledger)
    now = challengers.current()
    if now is None or now.model is None:
        raise Refused("There is no challenger whose trial could be ended.")
    return challengers.end(seen=now.revision, reason=reason), now.model


def settle(ledger: Ledger, served: Released) -> None:
    """End the trial of a model that serves from now on: it has nothing to be tried beside."""
    challengers = Challengers(ledger)
    now = challengers.current()
    if now is not None and now.model is not None and now.model.content_hash == served.content_hash:
        challengers.end(seen=now.revision, reason=f"model {served.version} was promoted")


def looked_on(ledger: Ledger) -> tuple[Released, Watched] | None:
    """The challenger and all that it has looked on at; None: there is none."""
    now = Challengers(ledger).current()
    if now is None or now.model is None:
        return None
    with ledger.reading() as connection:
        return now.model, watched(connection, now.model.content_hash)
