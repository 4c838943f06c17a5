"""What a run leaves for the gate besides its test predictions: the artefact at work, its features, the champion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from features.asof import DAY
from features.catalogue import BY_NAME
from features.errors import UsageError
from models.product import Product
from training.blocks import Cut
from training.champion import Champion, Relation
from training.contestants import CHAMPION, RANKER
from training.examples import Examples
from training.offpolicy.routing import ARTIFACT as VALUE
from training.pool import Pool
from training.since import answered, of_product, unseen_from
from training.telling import telling
from training.tracking import Run

FOLDER = "test"
#: Newest test rows, in whole groups, on which the very artefact is tried.
TRIED = 4000
#: The newest offers, in which today's data is seen: those of so many days, and at least so many.
LATEST_DAYS, LATEST_OFFERS = 28, 100
_SAID = ("score", "p_accept", "p_convert")


@dataclass(frozen=True)
class Evidence:
    """What the gate reads of a run.

    champion  version, content_hash, relation (training.champion.Relation), gap of what served when the run trained
    tried     newest test rows: offer_id, the artefact's score, p_accept, p_convert, then every feature
    known     a row for each feature that the model reads: feature, family, share known in `train`, in the `test` rows
              and in the `latest` offers, and how many rows these are (…_rows)
    telling   training.telling's rows, of the test rows
    since     offers that the champion knew nothing of, with what both artefacts say: `held_out` (the ranker is the
              recipe at the row's cut, which had not seen the row either) and `answered` (the ranker is the artefact
              itself, which has learned from these answers; the grade is only whether it was accepted)
    no_value  recipe -> why the log cannot tell what routing by it is worth; written with the values themselves
    """

    champion: Mapping[str, str]
    tried: pd.DataFrame
    known: pd.DataFrame
    telling: pd.DataFrame
    since: Mapping[str, Pool] = field(default_factory=dict)
    no_value: Mapping[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> Relation:
        """How the run's recipe stands to that of the champion which it was told of."""
        return self.champion["relation"]  # type: ignore[return-value]

    def write(self, run: Run) -> None:
        """Leave it in the run."""
        run.text(f"{FOLDER}/champion.json", json.dumps(dict(self.champion), indent=1))
        run.frame(f"{FOLDER}/tried.parquet", self.tried)
        run.text(f"{FOLDER}/known.csv", self.known.to_csv(index=False))
        run.text(f"{FOLDER}/telling.csv", self.telling.to_csv(index=False))
        for name, pool in self.since.items():
            run.frame(f"{FOLDER}/since_champion_{name}.parquet", pool.frame())

    @classmethod
    def read(cls, run: Run) -> Evidence:
        """What `write` left. Raises UsageError when the run is of a version that left none."""
        since = {}
        for name in ("held_out", "answered"):
            try:
                since[name] = Pool.of_frame(pd.read_parquet(run.read(f"{FOLDER}/since_champion_{name}.parquet")))
            except UsageError:  # the champion was judged on its recipe, or there are no such offers
                continue
        return cls(
            champion=json.loads(run.read(f"{FOLDER}/champion.json").read_text()),
            tried=pd.read_parquet(run.read(f"{FOLDER}/tried.parquet")),
            known=pd.read_csv(run.read(f"{FOLDER}/known.csv")),
            telling=pd.read_csv(run.read(f"{FOLDER}/telling.csv")),
            since=since,
            no_value=_refusals(json.loads(run.read(VALUE).read_text())),
        )

    def renewed(self, examples: Examples, now: int) -> Evidence:
        """The same, with the newest offers of today's data in place of those that the run saw; now: the log's end."""
        columns, rows = examples.matrix.columns, newest(examples, now)
        told = (~np.isnan(examples.matrix.values[rows])).mean(axis=0)
        share = dict(zip(columns, told.tolist(), strict=True))
        latest = self.known["feature"].map(share).fillna(0.0)  # what this version computes no more is not told
        return replace(self, known=self.known.assign(latest=latest, latest_rows=len(rows)))


def newest(examples: Examples, now: int) -> np.ndarray:
    """(k,) positions of the newest offers, in which today's data is seen; now: the log's end."""
    recent = int((examples.offered >= now - LATEST_DAYS * DAY).sum())
    return np.argsort(-examples.offered, kind="stable")[: max(recent, LATEST_OFFERS)]


def _refusals(value: Mapping[str, Any]) -> dict[str, str]:
    """Recipe -> why its conversions were not estimated, of what training.offpolicy.routing wrote down."""
    told = {recipe: rewards["converted"]["refused"] for recipe, rewards in value["recipes"].items()}
    return {recipe: why for recipe, why in told.items() if why}


@dataclass(frozen=True)
class Trained:
    """What a training knows at its end: `now` is the end of the log, `champion` what it was told that serves."""

    examples: Examples
    cuts: Sequence[Cut]
    final: Cut
    now: int
    pool: Pool
    product: Product
    relation: Relation
    champion: Champion | None
    seed: int = 0

    @cached_property
    def rows(self) -> np.ndarray:
        """(n,) positions of the pool's rows among the examples."""
        return np.concatenate([cut.test.rows for cut in self.cuts])

    def evidence(self, replicates: int) -> Evidence:
        """Everything that the gate asks of the data, which it will not have at hand."""
        serving = self.champion
        return Evidence(
            champion={
                "relation": self.relation, "version": serving.version if serving else "",
                "content_hash": serving.content_hash if serving else "", "gap": serving.gap if serving else "",
            },
            tried=self._tried(), known=self._known(),
            telling=telling(
                self.examples.matrix.take(self.rows), self.pool.account, self._outcomes(), replicates, self.seed
            ),
            since=self._since(),
        )  # fmt: skip

    def _outcomes(self) -> dict[str, np.ndarray]:
        board = self.pool.board
        return {"accepted": board.accepted, "converted": np.where(board.accepted == 1, board.converted, np.nan)}

    def _tried(self) -> pd.DataFrame:
        number = self.pool.board.group
        last = np.flatnonzero(self.pool.cut == self.pool.cut.max())
        newest = last[np.argsort(-self.examples.offered[self.rows[last]], kind="stable")][:TRIED]
        kept = last[np.isin(number[last], np.unique(number[newest]))]
        matrix = self.examples.matrix.take(self.rows[kept])
        said = self.product.predict(matrix)
        columns: dict[str, object] = {"offer_id": self.pool.offer_id[kept].astype(str)}
        columns |= {part: getattr(said, part) for part in _SAID}
        return pd.DataFrame(columns | {name: matrix.column(name) for name in matrix.columns})

    def _known(self) -> pd.DataFrame:
        examples = self.examples
        blocks = {"train": self.final.train.rows, "test": self.rows, "latest": newest(examples, self.now)}
        columns, dropped = examples.matrix.columns, set(self.product.card["recipe"]["drop"])
        table = pd.DataFrame({"feature": columns, "family": [BY_NAME[c].family for c in columns]})
        for name, rows in blocks.items():
            table[name] = (~np.isnan(examples.matrix.values[rows])).mean(axis=0)
            table[f"{name}_rows"] = len(rows)
        return table[~table["family"].isin(dropped)].reset_index(drop=True)

    def _since(self) -> dict[str, Pool]:
        champion = self.champion
        product = champion.product if champion is not None and champion.reads(self.examples.matrix) else None
        if self.relation != "same" or product is None:
            return {}
        theirs, since = of_product(product), unseen_from(product)
        held = np.flatnonzero(self.examples.offered[self.rows] >= since)
        pool = self.pool.take(held)
        if held.size:
            said = {RANKER: pool.said[RANKER], CHAMPION: theirs(self.examples.matrix.take(self.rows[held]))}
            pool = replace(pool, said=said)
        found = {
            "held_out": pool,
            "answered": answered(
                self.examples, self.now, since, {RANKER: of_product(self.product), CHAMPION: theirs}
            ),
        }  # fmt: skip
        return {name: part for name, part in found.items() if len(part)}
