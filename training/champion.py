"""The champion: the model that serves while a challenger is trained, and how the two recipes stand to each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from features.errors import ModelError, UsageError
from features.matrix import Matrix
from models import store
from models.product import Product
from models.recipe import Recipe

#: none: no model serves; same, new: the challenger's recipe against the champion's; unreadable: its files are not
#: here, or its recipe is none of this version's; lost: whole files that this version cannot load, so nor can it serve.
Relation = Literal["none", "same", "new", "unreadable", "lost"]


@dataclass(frozen=True)
class Champion:
    """What a challenger is to be compared with.

    version, content_hash   as the release row has them
    product                 None: its files cannot be read here
    recipe                  None: it cannot be read here
    gap                     what is wrong with either, in words
    lost                    its files are whole, and this version cannot load them
    """

    version: str
    content_hash: str
    product: Product | None
    recipe: Recipe | None
    gap: str = ""
    lost: bool = False

    @classmethod
    def read(cls, version: str, content_hash: str, folder: Path) -> Champion:
        """The champion of a folder of files. Never raises for the model: what is wrong with it is said in `gap`."""
        try:
            files = store.read(folder, expected=content_hash)
        except ModelError as error:
            return cls(version, content_hash, None, None, str(error))
        try:
            product = Product.of_files(files)
        except ModelError as error:
            return cls(version, content_hash, None, None, str(error), lost=True)
        try:
            recipe = Recipe.of_json(json.dumps(product.card["recipe"]))
        except UsageError as error:
            return cls(version, content_hash, product, None, str(error))
        return cls(version, content_hash, product, recipe)

    def relation(self, challenger: Recipe) -> Relation:
        """How a challenger's recipe stands to this one's. Another seed is an accident of a recipe, not another one."""
        if self.lost:
            return "lost"
        if self.recipe is None:
            return "unreadable"
        alike = self.recipe.but(seed=0).fingerprint == challenger.but(seed=0).fingerprint
        return "same" if alike else "new"

    def reads(self, matrix: Matrix) -> bool:
        """Whether it was made for the features of a matrix."""
        return self.product is not None and self.product.contract.columns == matrix.columns
