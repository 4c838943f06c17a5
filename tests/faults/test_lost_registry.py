"""MLflow's registry loses what the alias names, or is lost itself: the service and its releases do not notice."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from features.errors import CallsheetError
from serving.cache import ModelCache
from serving.ladder import chosen, climb
from serving.ledger import Ledger
from serving.ledger.releases import Releases
from serving.promote import models, promote, rollback
from tests.serving.conftest import Crm
from tests.serving.test_promote import passing, trained
from training.tracking import MODEL, Store
from training.train import TrainResult, train

__all__ = ["passing", "trained"]

pytestmark = pytest.mark.faults


@pytest.mark.usefixtures("passing")
def test_what_is_lost_from_the_registry_serves_on_and_can_be_rolled_back(
    crm: Crm, trained: tuple[Path, TrainResult], tmp_path: Path
) -> None:
    home, _ = trained
    second = train(crm.snapshot, crm.config, home, recipe="fast", cuts=1, replicates=20, progress=False)
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)) as ledger:
        for version in ("1", second.version):
            assert promote(home, ledger, crm.config, version=version).serves
        store = Store(home)
        store.client.delete_model_version(MODEL, second.version)
        assert store.by_alias("champion") is None
        releases, cache = Releases(ledger), ModelCache(home)
        standing = climb(releases, cache, crm.config)
        assert (standing.rung, standing.version, standing.reason) == ("champion", second.version, None)
        assert chosen(home, releases, crm.config)[0].version == second.version
        with pytest.raises(CallsheetError):
            promote(home, ledger, crm.config, version=second.version)
        assert releases.current() == standing.release
        assert [row["version"] for row in models(home, ledger) if row["serves"]] == [second.version]
        (home / "mlflow.db").write_bytes(b"no database")
        assert [row["version"] for row in models(home, ledger) if row["serves"]] == [second.version]
        release, unmirrored = rollback(home, ledger)
        assert release.model is not None
        assert (release.model.version, unmirrored is None) == ("1", False)
        assert climb(releases, cache, crm.config).version == "1"
