"""The product as an MLflow model: this file is logged with it, and run when it is loaded (no pickle)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import set_model

from features.matrix import Matrix
from models.product import Product


class ProductModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Feature rows in; score, p_accept and p_convert out (NaN where a head is not estimable)."""

    def load_context(self, context: Any) -> None:
        """Read the product's text and JSON files."""
        self.product = Product.load(Path(context.artifacts["product"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score n rows of features, float32 in catalogue order, categories as codes of the product's vocabulary."""
        n = len(model_input)
        matrix = Matrix(
            values=np.ascontiguousarray(model_input.to_numpy(np.float32)),
            columns=tuple(model_input.columns),
            lead_id=np.full(n, "", object),
            rep_id=np.full(n, "", object),
            as_of=np.zeros(n, np.int64),
            vocabulary=self.product.vocabulary,
        )
        said = self.product.predict(matrix)
        return pd.DataFrame({"score": said.score, "p_accept": said.p_accept, "p_convert": said.p_convert})


set_model(ProductModel())
