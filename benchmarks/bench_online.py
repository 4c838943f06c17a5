"""One answer under load: `/recommend_reps` of 200 eligible reps beside the bare model and beside MLflow's server.

`python -m benchmarks.bench_online` prints the table and both ratios. Same model (300 trees of 31 leaves in all), same
200 rows, one worker and one thread each, the same client: keep-alive connections from one process, answers read whole.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.matrix import Matrix
from features.snapshot import read_snapshot
from models.product import Product
from models.recipe import Recipe, Trees
from serving.ledger import Ledger
from serving.promote import promote
from training.sample import write_sample
from training.train import train

REPS, ROWS = 300, 200
BAR_LATENCY, BAR_THROUGHPUT = 3.0, 2.5
ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def prepare(folder: Path) -> tuple[Matrix, str, Product, str]:
    """A CRM with a lead that 200 reps may take, and a released model: (its rows, lead, product, logged model)."""
    crm, home = folder / "crm", folder / "home"
    write_sample(crm, accounts=600, reps=REPS, offers=4000, seed=0, end=date(2026, 6, 28))
    document = yaml.safe_load((crm / "callsheet.yaml").read_text())
    document["reps"] = {"territory": False, "product_line": False}
    (crm / "callsheet.yaml").write_text(yaml.safe_dump(document))
    config = load_config(crm / "callsheet.yaml")
    snapshot = read_snapshot(str(crm), config=config)
    trees = Trees(rounds=100, leaves=31, min_rows=5, bins=255)
    recipe = Recipe.preset("fast").but(name="bench", accept=trees, convert=trees, ranker=trees)
    result = train(snapshot, config, home, recipe=recipe, cuts=1, replicates=50)
    ledger = Ledger.open(None, home)
    promote(home, ledger, config, version=result.version, force=True, reason="speed is measured, not quality")
    ledger.close()
    product = Product.load(result.model_dir)
    book = Book.of(snapshot, config)
    engine = Engine(book, config, product.vocabulary)
    every = np.arange(len(book.rep_ids))
    most = 0
    for lead in book.open_leads(book.now)[::-1]:
        at = np.full(len(every), lead)
        eligible = every[engine.eligibility_of(at, every, np.full(len(every), book.now)) == 0]
        most = max(most, len(eligible))
        if len(eligible) >= ROWS:
            rows = engine.matrix_of(at[: len(eligible)], eligible, np.full(len(eligible), book.now))
            logged = next((home / "artifacts").rglob("MLmodel")).parent
            return rows, str(book.lead_ids[lead]), product, str(logged)
    raise SystemExit(f"no lead of the sample has {ROWS} eligible reps; the most that one has is {most}")


@contextmanager
def server(command: list[str], port: int, probe: str, home: Path, more: dict[str, str]) -> Iterator[None]:
    """A server on loopback, from its first good answer to its end."""
    environment = os.environ | ONE | more
    log = (home / f"{port}.log").open("wb")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            if process.poll() is not None:
                said = Path(log.name).read_text(errors="replace")[-2000:]
                raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}:\n{said}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", probe)
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.2)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
        log.close()


def drive(port: int, path: str, body: bytes, connections: int, seconds: float) -> tuple[float, float]:
    """(median ms, requests a second) of a closed loop over so many keep-alive connections."""
    spent: list[float] = []
    until = time.perf_counter() + seconds

    def one() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.perf_counter() < until:
            begun = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"{path} answered {answer.status}")
            spent.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(spent) * 1e3, len(spent) / (time.perf_counter() - begun)


def bare(product: Product, rows: Matrix, times: int = 200) -> float:
    """Median ms of the boosters' own predict, in process, one thread."""
    boosters = [booster.trees for booster in product.stack.boosters.values() if booster]
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        for booster in boosters:
            booster.predict(rows.values, raw_score=True, num_threads=1, validate_features=False)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1e3


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    seconds = parser.parse_args().seconds
    table = Table(title=f"One worker, one thread; a lead with at least {ROWS} eligible reps, top 10, no reasons")
    for column in ("what", "connections", "p50 ms", "requests/s"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, lead, product, uri = prepare(folder)
        predict = bare(product, rows)
        table.add_row(f"Booster.predict of {len(rows)} rows, in process", "", f"{predict:.2f}", f"{1e3 / predict:.0f}")
        ask = json.dumps({"lead_id": lead, "k": 10, "commit": False, "reasons": False}).encode()
        split = {"columns": list(rows.columns), "data": rows.values.tolist()}
        ready = json.dumps({"dataframe_split": split}).replace("NaN", "null").encode()
        ours, theirs = free_port(), free_port()
        home = folder / "home"
        common = ["--config", str(folder / "crm" / "callsheet.yaml"), "--home", str(home)]
        callsheet = [
            sys.executable,
            "-m",
            "callsheet",
            "serve",
            "--data",
            str(folder / "crm"),
            "--port",
            str(ours),
            *common,
        ]
        mlflow = [
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            uri,
            "--env-manager",
            "local",
            "-p",
            str(theirs),
        ]
        tracking = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it starts uvicorn by name
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        measured = {}
        with server(callsheet, ours, "/readyz", home, {}):
            drive(ours, "/recommend_reps", ask, 8, 2.0)
            for connections in (1, 8):
                measured["callsheet", connections] = drive(ours, "/recommend_reps", ask, connections, seconds)
        with server([*mlflow, "-w", "1"], theirs, "/ping", home, tracking):
            drive(theirs, "/invocations", ready, 8, 2.0)
            for connections in (1, 8):
                measured["mlflow", connections] = drive(theirs, "/invocations", ready, connections, seconds)
    names = {"callsheet": "Callsheet, /recommend_reps by lead id", "mlflow": "mlflow models serve, the ready matrix"}
    for (who, connections), (p50, rate) in measured.items():
        table.add_row(names[who], str(connections), f"{p50:.1f}", f"{rate:.0f}")
    Console().print(table)
    latency = measured["callsheet", 1][0] / predict
    throughput = measured["callsheet", 8][1] / measured["mlflow", 8][1]
    print(f"p50 at 1 connection / Booster.predict: {latency:.2f} (bar: at most {BAR_LATENCY})")
    print(f"requests/s at 8 connections / mlflow models serve: {throughput:.2f} (bar: at least {BAR_THROUGHPUT})")


if __name__ == "__main__":
    main()
