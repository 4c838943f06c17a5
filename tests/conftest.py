"""What every test run has in common: one thread per process, no telemetry, and properties that do not race a clock."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Before numpy, LightGBM or MLflow is imported: test processes run side by side and would fight for the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
for _name in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# A slow machine is no failure of a property, so no deadline; `print_blob` lets anyone repeat what was found.
settings.register_profile("callsheet", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callsheet")

#: Files that take longest, the longest first: one of them begun last would keep one process busy and the others idle.
LONG = (
    "tests/test_readme.py", "tests/test_circle.py",
    "tests/training/gate/test_bad_models.py", "tests/serving/test_sla_cli.py", "tests/serving/test_promote.py",
    "tests/training/test_train.py", "tests/serving/live/test_workers.py", "tests/faults/test_generated_requests.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; `make test` keeps this order."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONG)))


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_environment() -> Iterator[None]:
    """The command line goes by CALLSHEET_*: what one test left there would lead the next ones elsewhere."""
    before = _settings()
    yield
    assert _settings() == before


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("CALLSHEET_")}
