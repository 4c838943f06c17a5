"""What the serving tests share: a small CRM, two models fitted on it, and the service as a process of its own."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import pytest

from features.book import Book
from features.catalogue import FEATURE_VERSION
from features.config import Config, load_config
from features.engine import Engine
from features.snapshot import Snapshot, read_snapshot
from models.product import Product, fit_product
from models.recipe import Recipe
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.releases import Released, Releases
from serving.recommend import Recommender
from tests.serving import databases
from tests.serving.databases import Templates, ledger, nothing, postgres, site, stocked, templates, url, where
from training.blocks import final_cut
from training.examples import gather
from training.sample import write_sample

#: Fixtures of all serving tests.
__all__ = ["ledger", "nothing", "postgres", "site", "stocked", "templates", "url", "where"]


@dataclass(frozen=True)
class Crm:
    """A small CRM and what is made of it once."""

    folder: Path
    snapshot: Snapshot
    config: Config
    book: Book
    products: tuple[Product, Product]

    @property
    def config_path(self) -> Path:
        return self.folder / "callsheet.yaml"

    def released(self, place: int) -> Released:
        """What a release row says of one of the two models."""
        return Released(
            str(place + 1), self.products[place].content_hash, FEATURE_VERSION, self.config.market_fingerprint
        )


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of the test processes makes for all of them, to be read only."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_name(f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.fstat(lock.fileno()).st_size:
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            lock.write("made")
    return folder


@pytest.fixture(scope="session")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Crm:
    folder = made_once(tmp_path_factory, "serving", make_crm)
    config = load_config(folder / "crm" / "callsheet.yaml")
    snapshot = read_snapshot(str(folder / "crm"), config=config)
    first, second = (Product.load(folder / name) for name in ("first", "second"))
    return Crm(folder / "crm", snapshot, config, Book.of(snapshot, config), (first, second))


def make_crm(folder: Path) -> None:
    """The sample, and two models fitted on it."""
    write_sample(folder / "crm", accounts=100, reps=14, offers=900, seed=7, end=date(2026, 3, 1))
    config = load_config(folder / "crm" / "callsheet.yaml")
    book = Book.of(read_snapshot(str(folder / "crm"), config=config), config)
    examples = gather(book, Engine(book, config))
    cut = final_cut(examples, config, book.now)
    blocks = cut.learned_from(examples.matrix)
    # Rounds as stated, so that there are files of trees whatever later offers make of them.
    fast = Recipe.preset("fast")
    stated = {
        name: getattr(fast, name).model_copy(update={"choose": False}) for name in ("accept", "convert", "ranker")
    }
    recipe = fast.but(**stated)
    fit_product(recipe, *blocks).save(folder / "first")
    fit_product(recipe.but(name="second"), *blocks).save(folder / "second")


@pytest.fixture
def home(crm: Crm, tmp_path: Path) -> Path:
    """A home whose ledger has released both models, the second last; MLflow was never here."""
    return make_home(crm, tmp_path / "home")


def make_home(crm: Crm, home: Path, url: str | None = None) -> Path:
    """A home, and its ledger at `url`, by default in it."""
    ledger = Ledger.open(url, home)
    for place, product in enumerate(crm.products):
        product.save(home / "models" / product.content_hash)
        Releases(ledger).promote(crm.released(place), seen=place, reason="for the tests")
    ledger.close()
    return home


@pytest.fixture(scope="session")
def recommender(crm: Crm) -> Recommender:
    """The champion's recommender, without HTTP."""
    return Recommender(crm.book, crm.config, Standing(crm.products[1], "champion", "2", None))


@dataclass(frozen=True)
class Service:
    """The running service: its address and its supervisor's process."""

    url: str
    port: int
    home: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session", params=databases.BOTH)
def service(
    request: pytest.FixtureRequest, crm: Crm, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """On a snapshot, so that its ledger holds releases and nothing else."""
    with databases.empty_site(request, templates, tmp_path_factory) as site:
        home = make_home(crm, site.home, site.url)
        with running(crm.folder, crm.config_path, home, "--db", site.url) as made:
            yield made


#: What every process of a service imports first.
WATCH = Path(__file__).resolve().parent / "watch"


def forbidden(watched: str) -> list[str]:
    """What the processes of a service did, of all that none may do."""
    return [line for line in watched.splitlines() if line.split(" ")[1] != "watched"]


def free_port() -> int:
    """A port below those that the system gives to whoever asks for any, so that nobody takes it before the service."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class running:
    """`callsheet serve` on a free port of loopback, from a folder that holds nothing; `ledger`: not on a snapshot.

    also: variables besides, such as CALLSHEET_ALSO: a module that each of its processes imports first. What it runs is
    watched: whatever a test asks of it, a process that unpickles, calls another machine or asks the registry fails it.
    """

    def __init__(
        self, data: Path, config: Path, home: Path, *options: str, ledger: bool = False,
        also: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.port = free_port()
        self.also = also or {}
        self.home, self.log, self.watched = home, home / "serve.log", home.with_name(f"{home.name}.watched")
        self.command = [
            sys.executable, "-m", "callsheet", "serve", *(() if ledger else ("--data", str(data))),
            "--config", str(config), "--home", str(home), "--port", str(self.port), *options,
        ]  # fmt: skip

    def __enter__(self) -> Service:
        elsewhere = self.home / "elsewhere"
        elsewhere.mkdir()
        root = str(Path(__file__).resolve().parents[2])
        # Whoever asks the registry is let in and waits for ever.
        self.registry = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{self.registry.getsockname()[1]}"
        black_hole = {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": f"{WATCH}{os.pathsep}{root}"}
        environment = os.environ | black_hole | {"CALLSHEET_WATCH": str(self.watched)} | self.also
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, cwd=elsewhere, env=environment, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{self.port}"
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    return Service(url, self.port, self.home, self.process)
            except httpx.TransportError:
                time.sleep(0.1)
        self.stop()
        pytest.fail(f"The service did not start:\n{self.log.read_text()[-4000:]}")

    def __exit__(self, *_: object) -> None:
        self.stop()
        watched = self.watched.read_text()
        assert "_bentoml_impl.worker.service" in watched
        assert forbidden(watched) == []
        self.registry.setblocking(False)
        with self.registry, pytest.raises(BlockingIOError):  # nobody waits to be let in
            self.registry.accept()

    def stop(self) -> None:
        """Tell it to go, and make it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.home / "bentoml", ignore_errors=True)
