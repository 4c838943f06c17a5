"""Challengers of the tests: a model of the opposite opinion, and one that fails whenever it is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from features.catalogue import FEATURE_VERSION
from features.matrix import Vocabulary
from models.golden import Golden
from models.product import Product
from serving.ledger.challengers import Challenger
from serving.ledger.releases import Released
from serving.trial import Contender
from tests.serving.conftest import Crm


def contrary(product: Product) -> Product:
    """The same model with its heads turned round: what it ranked first comes last."""
    heads = {name: replace(h, slopes=tuple(-s for s in h.slopes)) for name, h in product.heads.items()}
    return golden(replace(product, heads=heads))


def recoded(product: Product) -> Product:
    """A model whose categories have other codes: the same trees, which so read other reps and regions in them."""
    values = {name: tuple(reversed(words)) for name, words in product.vocabulary.values.items()}
    return golden(replace(product, contract=replace(product.contract, vocabulary=Vocabulary(values))))


def golden(product: Product) -> Product:
    """It as if it had been made so: with the golden scores that it gives now."""
    assert product.golden is not None
    return replace(product, golden=Golden.of(product.golden.pairs(product.contract), product.predict))


def failing(product: Product) -> Product:
    """A model that loads and cannot answer: its heads take another number of scores."""
    heads = {name: replace(h, slopes=(*h.slopes, 1.0)) for name, h in product.heads.items()}
    return replace(product, heads=heads)


def released(crm: Crm, product: Product, version: str = "9") -> Released:
    """What a row says of it."""
    return Released(version, product.content_hash, FEATURE_VERSION, crm.config.market_fingerprint)


def contender(crm: Crm, product: Product, version: str = "9") -> Contender:
    """It as a worker has it."""
    model = released(crm, product, version)
    return Contender(Challenger(1, model, datetime(2026, 3, 1, tzinfo=UTC), "for the tests"), model, product)
