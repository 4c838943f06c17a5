"""What a serving process is told means the same in every folder that a worker may start in."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.settings import Settings


@pytest.mark.parametrize("data", [None, "sqlite:///crm.db", "crm"])
def test_no_path_depends_on_the_folder_that_a_worker_starts_in(
    data: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = Settings(data, Path("callsheet.yaml"), Path("home"), "sqlite:///rel/ledger.db")
    elsewhere = Settings.of(told.environment)
    assert elsewhere.db == f"sqlite:///{tmp_path}/rel/ledger.db"
    assert elsewhere.home == tmp_path / "home"
    assert elsewhere.data in (None, f"sqlite:///{tmp_path}/crm.db", str(tmp_path / "crm"))


def test_a_server_by_its_url_stays_as_it_is() -> None:
    url = "postgresql://callsheet:secret@localhost/callsheet"
    assert Settings.of(Settings(None, Path("c"), Path("h"), url).environment).db == url
