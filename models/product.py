"""The product: linear starts, boosters and heads as one model, its predictions and what they are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.catalogue import FEATURE_VERSION
from features.errors import NotEnoughData
from features.matrix import Matrix, Vocabulary
from models import store
from models.boosters import Booster
from models.golden import Golden
from models.heads import Head, fit_head, teachable
from models.labels import Labels
from models.lightgbm_alone import lgb
from models.linear import LinearStart
from models.recipe import Behaviour, Recipe
from models.scores import EXTREME, Contract, Scores, log_sigmoid, sigmoid
from models.stack import OUTCOMES, Raw, Stack
from models.sweep import family_share
from models.teach import RANKER, Rehearsal, rehearse, teach

__all__ = ["Contributions", "Product", "Scores", "behaviour_share", "fit_product"]

FORMAT = 3
#: Times that a product whose behaviour moves too much is fitted again with behaviour held harder.
HOLDS = 3
#: Log loss, in nats, that chance gains for one more slope at most in 95 of 100 cases: half a chi-squared's quantile.
CHANCE = 1.92
_GOLDEN = "golden.json"
_FILES = {"accept": "accept.txt", "convert": "convert.txt", "ranker": "ranker.txt"}


class Contributions(NamedTuple):
    """values (n, f) float64: what each feature adds to a pair's score; base: the score of an average pair."""

    values: np.ndarray
    base: float


@dataclass(frozen=True)
class Product:
    """A fitted product.

    contract   the matrix that it reads
    stack      starts and boosters
    heads      p_accept of the accept score; p(convert | accept) of the convert score and the ranker's trees
    card       JSON values: feature version, columns, vocabulary, recipe, heads' state, rows, rounds, typical values
    golden     pairs and what it says of them; None: an ablation, which is never saved
    """

    contract: Contract
    stack: Stack
    heads: Mapping[str, Head]
    card: Mapping[str, Any]
    golden: Golden | None = None

    @property
    def name(self) -> str:
        """What runs and listings call it."""
        return "product"

    @property
    def vocabulary(self) -> Vocabulary:
        """The categories' values by code, for the engine that makes this model's matrices."""
        return self.contract.vocabulary

    @property
    def estimable(self) -> bool:
        """Whether it tells probabilities of conversion, and so an expected value."""
        return all(self.heads[outcome].estimable for outcome in OUTCOMES)

    def predict(self, matrix: Matrix) -> Scores:
        """Score n pairs; a pair's bits depend neither on its batch nor on threads.

        Raises ModelError when the columns or categories are not the model's, InputError for an infinite value.
        Cost   the boosters' own predict and about 0.3 ms for 200 pairs.
        """
        raw = self.stack.raw(self.contract.check(matrix))
        accept, convert = self._logits(raw)
        p_accept = sigmoid(accept) if self.heads["accept"].estimable else np.full(len(accept), np.nan)
        if not self.estimable:
            return Scores(raw.start + raw.ranker, p_accept, np.full(len(accept), np.nan))
        log_p = _log_probability(accept) + _log_probability(convert)
        return Scores(_log_odds(log_p), p_accept, p_accept * sigmoid(convert))

    def _logits(self, raw: Raw) -> tuple[np.ndarray, np.ndarray]:
        accept, convert = self.heads["accept"], self.heads["convert"]
        none = np.full(len(raw.accept), np.nan)
        return (
            accept.logit(raw.accept) if accept.estimable else none,
            convert.logit(raw.convert, raw.ranker) if convert.estimable else none,
        )

    def contributions(self, matrix: Matrix) -> Contributions:
        """What each feature adds to each pair's score; `values.sum(axis=1) + base` is the score within 1e-9.

        The parts of the logits are exact; where the score bends (a product of two probabilities), each logit's parts
        are scaled alike by the secant from the average pair. Dear: ask for the rows that are shown, only.
        """
        values = self.contract.check(matrix)
        accept, accept_base = self.stack.start_parts("accept", values)
        convert, convert_base = self.stack.start_parts("convert", values)
        ranker, ranker_base = self.stack.tree_parts("ranker", values)
        if not self.estimable:
            first, first_base = _bent(log_sigmoid, accept, accept_base)
            second, second_base = _bent(log_sigmoid, convert, convert_base)
            return Contributions(first + second + ranker, first_base + second_base + ranker_base)
        accept_trees, accept_tree_base = self.stack.tree_parts("accept", values)
        convert_trees, convert_tree_base = self.stack.tree_parts("convert", values)
        head, slope = self.heads["accept"], self.heads["accept"].slopes[0]
        first, first_base = _bent(
            _log_probability, slope * (accept + accept_trees), head.intercept + slope * (accept_base + accept_tree_base)
        )
        head = self.heads["convert"]
        slope, ranked = head.slopes
        second, second_base = _bent(
            _log_probability,
            slope * (convert + convert_trees) + ranked * ranker,
            head.intercept + slope * (convert_base + convert_tree_base) + ranked * ranker_base,
        )
        return Contributions(*_bent(_log_odds, first + second, first_base + second_base))

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The whole product as named files, text and JSON; the same bytes whatever the threads of the fit."""
        model = {
            "card": dict(self.card),
            "linear": self.stack.linear.as_json() if self.stack.linear else None,
            "rates": dict(self.stack.rates),
            "heads": {name: head.as_json() for name, head in self.heads.items()},
        }
        files = {"product.json": json.dumps(model, sort_keys=True, indent=1, allow_nan=False).encode()}
        for name, booster in self.stack.boosters.items():
            if booster is not None:
                files[_FILES[name]] = booster.text.encode()
        return files | ({_GOLDEN: self.golden.as_json()} if self.golden else {})

    @cached_property
    def content_hash(self) -> str:
        """sha256, hex, over all of the product's files."""
        return store.content_hash(self.files)

    def save(self, folder: Path) -> None:
        """Write the files and their manifest into a folder, which is made and may hold nothing else."""
        store.write(self.files, folder)

    @classmethod
    def load(cls, folder: Path, *, expected: str | None = None) -> Product:
        """Load what `save` wrote, after every byte was checked; its golden pairs have the scores that they had.

        expected   the content hash that it must have, as the ledger names it
        Raises     ModelError for anything damaged, missing, added, foreign, of another format, or that scores otherwise
        """
        product = cls.of_files(store.read(folder, expected=expected))
        with store.understood():
            assert product.golden is not None
            product.golden.check(product.contract, product.predict)
        return product

    @classmethod
    def of_files(cls, files: Mapping[str, bytes]) -> Product:
        """The product of files that were verified. Raises ModelError when they are no product of this format."""
        with store.understood():
            model = json.loads(files["product.json"])
            card = model["card"]
            store.expect_format(card["format"], FORMAT)
            vocabulary = Vocabulary({name: tuple(values) for name, values in card["vocabulary"].items()})
            boosters = {
                name: Booster.of_text(files[file].decode()) if file in files else None for name, file in _FILES.items()
            }
            linear = LinearStart.of_json(model["linear"]) if model["linear"] else None
            heads = {name: Head.of_json(content) for name, content in model["heads"].items()}
            return cls(
                Contract(tuple(card["columns"]), vocabulary), Stack(linear, model["rates"], boosters), heads, card,
                Golden.of_json(files[_GOLDEN]),
            )  # fmt: skip


def fit_product(
    recipe: Recipe,
    train: Matrix,
    labels: Labels,
    calibrate: Matrix,
    calibrate_labels: Labels,
    *,
    about: Mapping[str, Any] | None = None,
    like: Product | None = None,
) -> Product:
    """Fit starts and boosters on both blocks, and the heads on what stacks that knew less said of later rows.

    about    JSON values that the card repeats under `about`: the data's fingerprint, the cut, how columns are read
    like     a product of the same rows, whose rounds and heads are taken over instead of rehearsed: what an ablation
             needs, for a third of the cost
    Returns  the product; rows in any order give the same one
    Raises   NotEnoughData when nothing at all can be learned; ModelError when the two matrices differ in columns
    """
    contract = Contract(train.columns, train.vocabulary)
    contract.check(train)
    contract.check(calibrate)
    train, labels = canonical(train.joined(calibrate), labels.joined(calibrate_labels))
    if like is not None:
        return Product(contract, teach(recipe, train, labels, like.card["rounds"]), like.heads, {})
    held = recipe
    for attempt in range(HOLDS + 1):
        seen = rehearse(held, train, labels)
        if all(seen.gaps.values()) and not (seen.rounds[RANKER] and len(labels.rank_rows())):
            raise NotEnoughData(f"There is nothing to learn: {seen.gaps['accept']}, and {seen.gaps['convert']}.")
        heads, gain = _heads(recipe, seen, labels)
        rounds = dict(seen.rounds)
        if heads["convert"].estimable and not heads["convert"].slopes[1]:
            rounds[RANKER] = 0
        product = Product(contract, teach(held, train, labels, rounds), heads, {})
        share = behaviour_share(product, train)
        # An ablation without fit has nothing that behaviour could be held against.
        if share <= recipe.behaviour.share or attempt == HOLDS or "fit" in recipe.drop:
            break
        held = held.but(behaviour=_harder(held.behaviour))
    learned = {
        "rounds": {name: booster.rounds if booster else 0 for name, booster in product.stack.boosters.items()},
        "late_loss": {name: [round(loss, 6) for loss in curve] for name, curve in seen.curves.items()},
        "ranker_gain": gain,
        "behaviour": {"share": share if np.isfinite(share) else None, "held": held.behaviour.model_dump()},
    }
    card = _card(recipe, heads, train, labels, seen) | learned | {"about": dict(about or {})}
    golden = Golden.of(train, product.predict)
    return replace(product, card=json.loads(json.dumps(card, allow_nan=False)), golden=golden)


def canonical(matrix: Matrix, labels: Labels) -> tuple[Matrix, Labels]:
    """Rows by as_of, lead, rep: LightGBM's trees and every sum depend on the order of rows, so there is one."""
    order = np.lexsort((matrix.rep_id.astype(str), matrix.lead_id.astype(str), matrix.as_of))
    return matrix.take(order), labels.take(order)


def behaviour_share(product: Product, matrix: Matrix) -> float:
    """How far a sweep of all behaviour features moves a pair's score, as a share of what the same sweep of fit moves.

    Each feature of a family goes from the 5th to the 95th percentile of `matrix`, in the direction in which it helps
    this model; the mean over pairs. inf when fit moves nothing and behaviour does.
    """
    return family_share(lambda m: product.predict(m).score, matrix, "behaviour", "fit")


def _harder(behaviour: Behaviour) -> Behaviour:
    return Behaviour(share=behaviour.share, gain=behaviour.gain * 0.5, spread=behaviour.spread * 0.5)


def _heads(recipe: Recipe, seen: Rehearsal, labels: Labels) -> tuple[dict[str, Head], float | None]:
    """The heads, fitted on what the rehearsal said of rows that it had not seen, and what the ranker added there.

    The ranker's trees stay in p(convert | accept) only where they earn it: by log loss, and by more than chance.
    """
    heads: dict[str, Head] = {}
    gain = None
    for outcome, target, weight in (
        ("accept", labels.accepted, labels.weight),
        ("convert", labels.converted, labels.convert_weight),
    ):
        gap = seen.gaps[outcome]  # type: ignore[index]
        said = seen.said.get(outcome)  # type: ignore[call-overload]
        if gap is None:
            gap = teachable(target[said.rows], recipe.heads.calibrate, f"{outcome} of later offers")
        if gap is not None:
            heads[outcome] = Head(False, gap)
            continue
        happened, counts = target[said.rows], weight[said.rows]
        heads[outcome] = fit_head(said.scores, happened, counts, prior=recipe.heads.prior)
        if outcome == "convert":
            plain = fit_head(said.scores[:, :1], happened, counts, prior=recipe.heads.prior)
            plain = replace(plain, slopes=(*plain.slopes, 0.0))
            gain = plain.loss(said.scores, happened, counts) - heads[outcome].loss(said.scores, happened, counts)
            if recipe.ranker.choose and gain < CHANCE:
                heads[outcome] = plain
    return heads, gain


def _card(recipe: Recipe, heads: Mapping[str, Head], train: Matrix, labels: Labels, seen: Rehearsal) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "feature_version": FEATURE_VERSION,
        "lightgbm": lgb.__version__,
        "columns": list(train.columns),
        "vocabulary": {name: list(values) for name, values in train.vocabulary.values.items()},
        "recipe": json.loads(recipe.json_text),
        "recipe_fingerprint": recipe.fingerprint,
        "heads": {name: head.as_json() for name, head in heads.items()},
        "rows": {"train": _counts(labels), "calibrate": {name: len(said.rows) for name, said in seen.said.items()}},
        "typical": _typical(train),
    }


def _counts(labels: Labels) -> dict[str, int]:
    accept, convert = labels.accept_rows(), labels.convert_rows()
    return {
        "rows": len(labels),
        "accept": len(accept),
        "accepted": int(np.sum(labels.accepted[accept] == 1)),
        "convert": len(convert),
        "converted": int(np.sum(labels.converted[convert] == 1)),
        "ranked": len(labels.rank_rows()),
    }


def _typical(train: Matrix) -> dict[str, float]:
    """Median of each column that is ever known: what a reason's claim of much or little compares with."""
    typical = {}
    for i, name in enumerate(train.columns):
        known = train.values[:, i][~np.isnan(train.values[:, i])]
        if len(known):
            typical[name] = float(np.median(known))
    return typical


def _log_probability(logit: np.ndarray) -> np.ndarray:
    return log_sigmoid(np.clip(logit, -EXTREME, EXTREME))


def _log_odds(log_p: np.ndarray) -> np.ndarray:
    """logit(p) of log(p) < 0: log p - log(1 - p)."""
    return np.asarray(log_p - np.log(-np.expm1(log_p)))


def _bent(bend: Callable[[np.ndarray], np.ndarray], parts: np.ndarray, base: float) -> tuple[np.ndarray, float]:
    """Parts of bend(x) from parts of x: (n, f) parts and base in, the same out, summing to bend of the sum."""
    x0 = np.full(len(parts), base)
    x = parts.sum(axis=1) + base
    step = x - x0
    small = np.abs(step) < 1e-9
    tangent = (bend(x0 + 1e-5) - bend(x0 - 1e-5)) / 2e-5
    slope = np.where(small, tangent, (bend(x) - bend(x0)) / np.where(small, 1.0, step))
    return parts * slope[:, None], float(bend(np.array([base]))[0])
