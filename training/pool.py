"""The test rows of all cuts put together, with what every recipe said of them: what metrics and the gate judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.blocks import Cut
from training.bootstrap import Draw
from training.evaluate import Board, Predictions
from training.examples import Examples

ARTIFACT = "test/predictions.parquet"
REPLICATES = 1000
_PARTS = ("score", "p_accept", "p_convert")


@dataclass(frozen=True)
class Pool:
    """n test rows; they compete within their own cut only, for each cut had a model of its own.

    offer_id  (n,) object; cut (n,) int64: number of the row's cut, the oldest is 0
    account   (n,) int64, the cluster of the bootstrap
    slices    n rows, as of Examples
    said      recipe -> what it said of the rows, fitted at the row's cut
    worth     recipe -> (n,) float64: what the row adds to the doubly robust value, in conversions an offer, of routing
              by the recipe (training.offpolicy.offers); NaN where it was not estimated: the row was not drawn, or the
              log has no support for what the recipe would have done
    """

    offer_id: np.ndarray
    cut: np.ndarray
    account: np.ndarray
    board: Board
    slices: pd.DataFrame
    said: Mapping[str, Predictions] = field(default_factory=dict)
    worth: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, examples: Examples, cuts: Sequence[Cut]) -> Pool:
        """Put the cuts' test blocks one after the other."""
        rows = np.concatenate([cut.test.rows for cut in cuts])
        number = np.repeat(np.arange(len(cuts)), [len(cut.test) for cut in cuts])
        labels = [cut.test.labels for cut in cuts]
        group = np.concatenate([block.group for block in labels])
        offer_id = examples.offer_id[rows]
        board = Board(
            group=np.unique(np.column_stack([number, group]), axis=0, return_inverse=True)[1].ravel(),
            grade=np.concatenate([block.grade for block in labels]).astype(np.int64),
            accepted=np.concatenate([block.accepted for block in labels]).astype(np.float64),
            converted=np.concatenate([block.converted for block in labels]).astype(np.float64),
            tie=tie_breaks(offer_id),
        )
        return cls(offer_id, number, examples.account[rows], board, examples.slices.iloc[rows].reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.offer_id)

    def take(self, rows: np.ndarray) -> Pool:
        """The pool of some rows (positions): they compete among themselves."""
        return Pool(
            self.offer_id[rows], self.cut[rows], self.account[rows], self.board.take(rows),
            self.slices.iloc[rows].reset_index(drop=True), {key: said.take(rows) for key, said in self.said.items()},
            {key: worth[rows] for key, worth in self.worth.items()},
        )  # fmt: skip

    def draw(self, seed: int = 0, replicates: int = REPLICATES) -> Draw:
        """Resamples of the accounts; the same seed for every recipe, so that differences are paired."""
        return Draw.of(self.account, replicates, seed)

    def frame(self) -> pd.DataFrame:
        """The pool as one table, ids of offers and numbers only."""
        board = self.board
        columns: dict[str, object] = {
            "offer_id": self.offer_id.astype(str), "cut": self.cut, "account": self.account, "group": board.group,
            "grade": board.grade, "accepted": board.accepted, "converted": board.converted,
        }  # fmt: skip
        columns |= {f"slice.{name}": self.slices[name].astype(str) for name in self.slices}
        for recipe, said in self.said.items():
            columns |= {f"{recipe}.{part}": getattr(said, part) for part in _PARTS}
        columns |= {f"{recipe}.worth": worth for recipe, worth in self.worth.items()}
        return pd.DataFrame(columns)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Pool:
        """The pool that `frame` wrote."""
        offer_id = frame["offer_id"].to_numpy(dtype=object)
        board = Board(
            group=frame["group"].to_numpy(), grade=frame["grade"].to_numpy(), accepted=frame["accepted"].to_numpy(),
            converted=frame["converted"].to_numpy(), tie=tie_breaks(offer_id),
        )  # fmt: skip
        names = [str(column) for column in frame.columns]
        slices = {c.removeprefix("slice."): frame[c] for c in names if c.startswith("slice.")}
        recipes = [c.removesuffix(".score") for c in names if c.endswith(".score")]
        said = {r: Predictions(*(frame[f"{r}.{part}"].to_numpy(np.float64) for part in _PARTS)) for r in recipes}
        worth = {c.removesuffix(".worth"): frame[c].to_numpy(np.float64) for c in names if c.endswith(".worth")}
        account = frame["account"].to_numpy()
        table = pd.DataFrame(slices, dtype="category")
        return cls(offer_id, frame["cut"].to_numpy(), account, board, table, said, worth)


def tie_breaks(offer_id: np.ndarray) -> np.ndarray:
    """(n,) uint64 that depends on the offer's id only, so that neither rows' order nor time settles a tie."""
    return pd.util.hash_array(offer_id.astype(object), categorize=False)
