"""The released model behind an HTTP API, and the ledger that remembers which model is released."""

from __future__ import annotations

import os

# Nobody is told that Callsheet runs: these stand before a module of this room imports BentoML or MLflow.
for _switch in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "true")
