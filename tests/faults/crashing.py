"""Imported by each process of a service under test: in a worker one model crashes in native code, at a file's sign."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from features.matrix import Matrix
from models.product import Product
from models.scores import Scores

MODEL, FILE = "CALLSHEET_CRASHING_MODEL", "CALLSHEET_CRASHING_FILE"

if "_bentoml_impl.worker.service" in sys.orig_argv:
    _sound, _file = Product.predict, Path(os.environ[FILE])

    def _predict(self: Product, matrix: Matrix) -> Scores:
        if _file.exists() and self.content_hash == os.environ[MODEL]:
            ctypes.string_at(0)
        return _sound(self, matrix)

    Product.predict = _predict  # type: ignore[method-assign]
