"""Past offers in, a tracked, evaluated and gated model out."""

from __future__ import annotations

import os

# Both libraries phone home unless told not to before they are imported; this package is always imported before them.
for _switch in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "true")
# Nothing that Callsheet logs or loads is a pickle.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
