"""Whether the very files that will serve are whole, and made for these features."""

from __future__ import annotations

from features.catalogue import FEATURE_VERSION
from features.errors import CallsheetError
from models.product import Product
from training.gate.case import Case, Check


def artefact_whole(case: Case) -> Check:
    """The files that will serve are those that were tested, and this code's features are theirs."""
    try:
        found = Product.load(case.folder).content_hash
    except CallsheetError as error:
        return Check("artefact_whole", False, {}, f"The model's files cannot be loaded: {error}")
    if found != case.version.content_hash:
        return Check("artefact_whole", False, {}, "The model's files are not those that the run registered.")
    if case.version.feature_version != FEATURE_VERSION:
        return Check("artefact_whole", False, {}, "The model was made for other features than this version computes.")
    return Check("artefact_whole", True, {}, "The model's files are whole, and made for these features.")
