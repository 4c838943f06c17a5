"""Same facts and seed, same model to the last bit: whatever the process, its threads and the order of rows."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from training.sample import write_sample

ROOT = Path(__file__).parents[2]
#: Read a CRM and learn from all of it, as `callsheet train` does at its end; print the product's hash.
LEARN = """
import sys
from pathlib import Path

from features.book import Book
from features.config import load_config
from features.engine import Engine
from features.snapshot import read_snapshot
from models.product import fit_product
from models.recipe import Recipe
from training.blocks import final_cut, log_end
from training.examples import gather

folder, threads = sys.argv[1], int(sys.argv[2])
config = load_config(Path(folder, "callsheet.yaml"))
snapshot = read_snapshot(folder, config=config)
book = Book.of(snapshot, config)
examples = gather(book, Engine(book, config))
cut = final_cut(examples, config, log_end(examples, config, book.now))
trees = {"rounds": 8}
recipe = Recipe.preset("fast").but(accept=trees, convert=trees, ranker=trees, threads=threads, seed=3)
product = fit_product(recipe, *cut.learned_from(examples.matrix), about={"data": snapshot.fingerprint})
print(len(cut.train), product.card["rounds"]["accept"], product.content_hash)
"""


def learned(folder: Path, threads: int, hash_seed: int) -> list[str]:
    """What a process of its own learns, with so many threads for LightGBM, BLAS and OpenMP."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, "-c", LEARN, str(folder), str(threads)]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def shuffled(folder: Path, to: Path) -> None:
    """The same tables with their rows and columns in another order."""
    to.mkdir()
    for path in folder.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file))
        rng = np.random.default_rng(len(rows))
        columns, order = rng.permutation(len(head)), rng.permutation(len(rows))
        with (to / path.name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[row[c] for c in columns] for row in (head, *(rows[i] for i in order))])
    (to / "callsheet.yaml").write_text((folder / "callsheet.yaml").read_text(encoding="utf-8"), encoding="utf-8")


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same") / "crm"
    write_sample(folder, accounts=600, reps=28, offers=4500, seed=5, end=date(2026, 6, 30), world="rough")
    return folder


def test_threads_hash_seeds_and_the_order_of_rows_and_columns_change_no_bit(crm: Path, tmp_path: Path) -> None:
    shuffled(crm, tmp_path / "crm")
    rows, rounds, first = learned(crm, threads=1, hash_seed=1)
    assert int(rows) > 3500
    assert int(rounds) == 8
    assert learned(tmp_path / "crm", threads=2, hash_seed=77) == [rows, rounds, first]
