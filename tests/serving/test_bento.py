"""The built Bento: made without a network, it starts from its own copy of the code and answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from serving.routes import ROUTES
from tests.serving.conftest import Crm, free_port, make_home
from tests.serving.databases import BOTH

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("where", BOTH, indirect=True)
def test_the_built_bento_serves(crm: Crm, url: str, tmp_path: Path) -> None:
    store = tmp_path / "bentos"
    environment = os.environ | {"BENTOML_HOME": str(store), "OMP_NUM_THREADS": "1"}
    bentoml = str(Path(sys.executable).with_name("bentoml"))
    subprocess.run([bentoml, "build", str(ROOT)], env=environment, check=True, capture_output=True, timeout=120)
    (made,) = [p for p in (store / "bentos" / "callsheet").iterdir() if p.is_dir()]
    packed = {p.parts[0] for p in (q.relative_to(made / "src") for q in (made / "src").rglob("*.py"))}
    assert packed == {"features", "models", "serving"}
    asked = sorted(route.path.strip("/") for route in ROUTES.values() if route.method == "POST")
    assert [a["name"] for a in yaml.safe_load((made / "bento.yaml").read_text())["schema"]["routes"]] == asked

    port = free_port()
    home = make_home(crm, tmp_path / "home", url)
    told = {
        "CALLSHEET_DATA": str(crm.folder), "CALLSHEET_CONFIG": str(crm.config_path), "CALLSHEET_HOME": str(home),
        "CALLSHEET_DB": url,
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [bentoml, "serve", f"callsheet:{made.name}", "--port", str(port)],
            cwd=tmp_path, env=environment | told, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        answer = _ready(f"http://127.0.0.1:{port}", process)
        assert answer["model_version"] == "2"
    except AssertionError:
        raise AssertionError((tmp_path / "log").read_text()[-3000:]) from None
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _ready(url: str, process: subprocess.Popen[bytes]) -> dict[str, object]:
    for _ in range(1200):
        assert process.poll() is None
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                read: dict[str, object] = httpx.get(f"{url}/model").json()
                return read
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError
