"""What every test run has in common: one thread per process, no telemetry, and properties that do not race a clock."""

from __future__ import annotations

import os

# Before numpy, LightGBM or MLflow is imported: test processes run side by side and would fight for the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
for _name in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")

from hypothesis import HealthCheck, settings  # noqa: E402

# A slow machine is no failure of a property, so no deadline; `print_blob` lets anyone repeat what was found.
settings.register_profile("callsheet", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callsheet")
