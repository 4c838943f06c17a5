"""One training: offers in; a ranker judged beside its baselines, tracked as a run, and registered as the challenger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features.asof import DAY
from features.book import Book
from features.config import Config
from features.engine import Engine
from features.matrix import Matrix
from features.snapshot import Snapshot
from models.labels import Labels
from models.product import Product, fit_product
from models.recipe import Recipe
from training.blocks import CUTS, Cut, day_of, final_cut, log_end, rolling_cuts
from training.canary import Canaries, fly, shadowed, with_canaries
from training.champion import Champion
from training.contestants import Contestant, Fitted, contestants
from training.evaluate import Predictions, evaluate
from training.evidence import Trained
from training.examples import Examples, gather
from training.feature_report import FeatureReport, report
from training.fits import side_by_side
from training.journal import write_run
from training.label_counts import LabelCounts
from training.offpolicy.choices import drawn_choices
from training.offpolicy.routing import Routed, routing
from training.pool import REPLICATES, Pool
from training.record import Record
from training.report import write as write_report
from training.results import Row, not_beaten, sentence, table
from training.tracking import Store
from training.worth import Trial, joined, pushes

log = logging.getLogger(__name__)

Tick = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """What a training made.

    version       the registered version, "1", "2", …, alias challenger; run_id: its MLflow run
    content_hash  of the product; model_dir: its files, HOME/models/<content_hash>
    table         every recipe beside the ranker, the ranker first, metric by metric
    sentence      what the run shows; beaten_by: recipes that the ranker does not beat by more than chance
    counts        how many offers each rule took, and what the rest teach; seconds: where the time went
    report        the run's report, an HTML file
    """

    version: str
    run_id: str
    content_hash: str
    model_dir: Path
    table: tuple[Row, ...]
    sentence: str
    beaten_by: tuple[str, ...]
    counts: LabelCounts
    seconds: Mapping[str, float]
    report: Path


@dataclass
class Clock:
    """Seconds by part of the work."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the block's time to a part."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begun


def train(
    snapshot: Snapshot,
    config: Config,
    home: Path,
    *,
    recipe: str | Recipe = "standard",
    seed: int = 0,
    source: str = "",
    champion: Champion | None = None,
    progress: bool = True,
    cuts: int = CUTS,
    replicates: int = REPLICATES,
) -> TrainResult:
    """Fit the recipe, its baselines and ablations at rolling cuts, log it all, refit on everything and register that.

    snapshot   the CRM; its `now` is the last cut, and what is known by then
    home       where MLflow's store and the model's files go; nothing is written elsewhere
    recipe     a preset's name or a recipe
    seed       of sampling, in fits and in the bootstrap: same data, recipe and seed, same content hash
    source     what to call the data in the run; credentials in an address are left out
    champion   the model that serves; its recipe, where it is another one, is fitted at the same cuts
    progress   show a progress bar on stderr
    Raises     NotEnoughData with numbers, before anything is logged; UsageError for an unknown recipe
    Cost       features once for all offers; then the fits, some ten recipes at each cut
    """
    chosen = (Recipe.preset(recipe) if isinstance(recipe, str) else recipe).but(seed=seed)
    clock = Clock()
    with clock.part("features"):
        book = Book.of(snapshot, config)
        engine = Engine(book, config)
        examples = gather(book, engine)
        now = log_end(examples, config, book.now)
        if now < book.now - 28 * DAY:
            log.warning(
                "The log of offers ends %.0f days before now (%s); what was open at its end is censored.",
                (book.now - now) / DAY, day_of(now),
            )  # fmt: skip
        rolling = rolling_cuts(examples, config, now, cuts)
        last = final_cut(examples, config, now)
        routed = Routed(drawn_choices(book, engine, examples, rolling, seed))
    relation = "none" if champion is None else champion.relation(chosen)
    order = contestants(chosen, champion.recipe if champion is not None and relation == "new" else None)
    with _bar(progress, (len(order) + 1) * len(rolling) + 2) as tick:
        refit = partial(_refit, chosen, last.learned_from(examples.matrix), _about(snapshot, last))
        pool, models, product = _run(order, examples, rolling, refit, routed, clock, tick)
        draw = pool.draw(seed, replicates)
        trial = Trial(models, [examples.matrix.take(cut.test.rows) for cut in rolling], pool, draw)
        with clock.part("canaries"):
            canaries = _canaries(chosen, examples, rolling, trial, engine, tick)
        tick("What each feature is worth")
        with clock.part("worth"):
            worth = _worth(order, rolling, trial, engine, canaries, chosen)
    folder = home.resolve() / "models" / product.content_hash
    product.save(folder)
    with clock.part("value"):
        routes = routing(routed, pool.board, seed, replicates)
        pool = replace(pool, worth=routes.worth)
    with clock.part("metrics"):
        measured = {name: evaluate(pool.board, said, draw) for name, said in pool.said.items()}
        trained = Trained(examples, rolling, last, now, pool, product, relation, champion, seed)
        evidence = trained.evidence(replicates)
    rows = table(order, measured)
    record = Record(
        snapshot=snapshot, config=config, recipe=chosen, seed=seed, source=source, examples=examples, cuts=rolling,
        final=last, order=order, pool=pool, draw=draw, measured=measured, rows=rows, product=product, folder=folder,
        worth=worth,
        evidence=evidence, routes=routes,
    )  # fmt: skip
    begun = perf_counter()
    run_id, version = write_run(Store(home), record, clock.seconds)
    page = write_report(Store(home), run_id)
    clock.seconds["tracking"] = perf_counter() - begun
    return TrainResult(
        version=version, run_id=run_id, content_hash=product.content_hash, model_dir=folder, table=rows,
        sentence=sentence(order, measured), beaten_by=not_beaten(order, measured), counts=record.counts,
        seconds=clock.seconds, report=page,
    )  # fmt: skip


def _run(
    order: Sequence[Contestant],
    examples: Examples,
    cuts: Sequence[Cut],
    refit: Callable[[], Product],
    routed: Routed,
    clock: Clock,
    tick: Tick,
) -> tuple[Pool, list[Product], Product]:
    """What every contestant, fitted at each cut on what was known then, says of the cut's test rows.

    What all but the ablations say of the other reps of these offers goes into `routed`.
    Returns  the pool, the ranker of each cut, and what `refit` answers: the ranker on all data
    """
    blocks = [cut.learned_from(examples.matrix) for cut in cuts]
    tests = [examples.matrix.take(cut.test.rows) for cut in cuts]
    said: dict[str, list[Predictions]] = {one.key: [] for one in order}

    def hear(one: Contestant, number: int, fitted: Fitted) -> None:
        with clock.part("metrics"):
            scores = fitted.predict(tests[number])
            said[one.key].append(Predictions(scores.score, scores.p_accept, scores.p_convert))
        if one.kind != "ablation":
            with clock.part("value"):
                pairs = routed.choices.of_cut(number)
                routed.hear(one.key, pairs, fitted.predict(routed.choices.matrix.take(pairs)))

    ranker, others = order[0], order[1:]
    models: list[Product] = []
    rankers: list[Callable[[], Fitted]] = [*(partial(ranker.fit, *block, None) for block in blocks), refit]
    first = side_by_side(rankers, len(examples))
    for words in (*(f"{ranker.title}, as of {cut.day}" for cut in cuts), f"{ranker.title}, on all data"):
        tick(words)
        with clock.part("fits"):
            fitted = next(first)
        assert isinstance(fitted, Product)  # the ranker is the one recipe whose fit is a product
        models.append(fitted)
    product = models.pop()
    for number, model in enumerate(models):
        hear(ranker, number, model)
    asked = [(number, one) for number in range(len(cuts)) for one in others]
    rest = side_by_side([partial(one.fit, *blocks[n], models[n]) for n, one in asked], len(examples))
    for number, one in asked:
        tick(f"{one.title}, as of {cuts[number].day}")
        with clock.part("fits"):
            fitted = next(rest)
        hear(one, number, fitted)
    return replace(Pool.of(examples, cuts), said={key: joined(parts) for key, parts in said.items()}), models, product


def _canaries(
    recipe: Recipe, examples: Examples, cuts: Sequence[Cut], trial: Trial, engine: Engine, tick: Tick
) -> Canaries:
    """The recipe fitted once more at each cut, with columns that can tell nothing."""

    def fit(matrix: Matrix) -> Iterator[Product]:
        known = zip(cuts, trial.models, strict=True)
        fits = [partial(fit_product, recipe, *cut.learned_from(matrix), like=model) for cut, model in known]
        done = side_by_side(fits, len(examples))
        for cut in cuts:
            tick(f"The ranker with canaries, as of {cut.day}")
            yield next(done)

    matrix = examples.matrix
    before = engine.matrix(matrix.lead_id, matrix.rep_id, matrix.as_of - DAY)
    shadows = shadowed(matrix, before, pushes(trial).mean(axis=0))
    return fly(fit, with_canaries(matrix, before, shadows, recipe.seed), cuts, trial, recipe.seed)


def _worth(
    order: Sequence[Contestant], cuts: Sequence[Cut], trial: Trial, engine: Engine, canaries: Canaries, recipe: Recipe
) -> FeatureReport:
    dropped = {
        one.key.removeprefix("without_"): trial.pool.said[one.key] for one in order if one.kind == "ablation"
    }  # fmt: skip
    days = [cut.day for cut in cuts]
    return report(trial, dropped, days, engine, canaries, recipe.drop, recipe.seed)


def _refit(recipe: Recipe, blocks: tuple[Matrix, Labels, Matrix, Labels], about: Mapping[str, Any]) -> Product:
    """The recipe as it was judged, fitted at the final cut: what will serve."""
    return fit_product(recipe, *blocks, about=about)


def _about(snapshot: Snapshot, cut: Cut) -> dict[str, Any]:
    """What the product's card says of its data."""
    return {"data_fingerprint": snapshot.fingerprint, "cut": cut.day, "missing": dict(snapshot.missing)}


@contextmanager
def _bar(shown: bool, total: int) -> Iterator[Tick]:
    """A progress bar on stderr; each call of what it yields names the next step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("training", total=total)
        done = -1

        def tick(words: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=f"{words:<52.52}")

        yield tick
        bar.update(task, completed=total)
