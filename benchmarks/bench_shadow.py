"""What a challenger that looks on costs: processor time a committed decision with it and without, in one process.

`python benchmarks/bench_shadow.py` on an idle machine, about a minute: a sample CRM with 200 reps in a SQLite ledger.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from uuid import uuid4

from features.book import Book
from features.catalogue import FEATURE_VERSION
from features.config import load_config
from features.config_policy import Policy
from features.engine import Engine
from features.snapshot import read_snapshot
from models.product import fit_product
from models.recipe import Recipe
from serving.actor import LOCAL
from serving.decide import Decider
from serving.ladder import Standing
from serving.ledger import Ledger
from serving.ledger.challengers import Challenger
from serving.ledger.idempotency import Once
from serving.ledger.load import load
from serving.ledger.releases import Released
from serving.recommend import Recommender
from serving.shadow import Shadow
from serving.trial import Contender
from training.blocks import final_cut
from training.examples import gather
from training.sample import write_sample

#: Stretches of decisions, without and with it in turn; seconds between two decisions.
STRETCHES, PAUSE = 10, 0.02


def ready(folder: Path) -> tuple[Ledger, Recommender]:
    """A ledger with a sample in it, and a champion with a challenger beside it: two models of the same size."""
    write_sample(folder / "crm", accounts=300, reps=200, offers=1500, seed=3, end=date.today())
    config = load_config(folder / "crm" / "callsheet.yaml")
    snapshot = read_snapshot(str(folder / "crm"), config=config)
    ledger = Ledger.open(None, folder)
    load(ledger, snapshot, config=config)
    book = Book.of(snapshot, config)
    examples = gather(book, Engine(book, config))
    blocks = final_cut(examples, config, book.now).learned_from(examples.matrix)
    champion, other = (fit_product(Recipe.preset("fast").but(name=name), *blocks) for name in ("one", "other"))
    model = Released("2", other.content_hash, FEATURE_VERSION, config.market_fingerprint)
    contender = Contender(Challenger(1, model, datetime.now(UTC), "for the benchmark"), model, other)
    made = Recommender(book, config, Standing(champion, "champion", "1", None), contender=contender)
    for one in filter(None, (made, made.beside)):
        one.warm()
    return ledger, made


def main() -> None:
    """Print processor time a decision, and how long its caller waited."""
    with tempfile.TemporaryDirectory() as name:
        ledger, recommender = ready(Path(name))
        leads = [str(recommender.book.lead_ids[code]) for code in recommender.open_leads]
        free = [lead for lead in leads if len(recommender.rank_reps(lead).best) > 1]
        shadow = Shadow(ledger, Policy(shadow=True)).start()
        waited: dict[bool, list[float]] = {False: [], True: []}
        spent = dict.fromkeys(waited, 0.0)
        for stretch in range(STRETCHES):
            on = bool(stretch % 2)
            decider = Decider(ledger, recommender.config, lambda: recommender, shadow=shadow if on else None)
            before = time.process_time()
            for lead in free[stretch::STRETCHES]:
                begun = time.perf_counter()
                decider.reps(lead, None, 3, actor=LOCAL, once=Once.of(LOCAL.name, "bench", uuid4().hex, {}))
                waited[on].append(1000 * (time.perf_counter() - begun))
                time.sleep(PAUSE)
            time.sleep(2)  # what it still looks on at
            spent[on] += time.process_time() - before
        candidates = sum(len(recommender.rank_reps(lead).best) for lead in free) / len(free)
        print(f"{len(free)} decisions, {candidates:.0f} candidates each")
        for on, times in waited.items():
            said = "with a challenger that looks on" if on else "without"
            print(f"{said:32} {1000 * spent[on] / len(times):6.1f} ms of a core, p50 {median(times):6.1f} ms")


if __name__ == "__main__":
    main()
