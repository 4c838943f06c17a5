"""The tables of a run: every metric of every recipe, and of ranker and rules on each slice; labels by rule."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from training.contestants import RANKER, RULES
from training.evaluate import Measured
from training.gate import PRIMARY
from training.label_counts import Line
from training.record import Record

#: Metrics that are shown of each slice of the test rows.
SLICED = (PRIMARY, "accept_at_3", "convert_at_3", "log_loss_convert")


def tables(record: Record) -> Mapping[str, pd.DataFrame]:
    """Table by name.

    recipes, slices, reliability   metrics of every recipe, of ranker and rules on each slice, and curves
    labels, blocks                 what each rule of labelling took, and what is known of the rest
    value                          what routing by each recipe is worth
    """
    return {
        "recipes": _recipes(record), "slices": _slices(record), "reliability": record.reliability.frame(),
        "labels": pd.DataFrame(record.counts.lines(), columns=list(Line._fields)),
        "blocks": pd.DataFrame(record.counts.blocks).T.rename_axis("block").reset_index(),
        "value": record.routes.frame({one.key: one.title for one in record.order}),
    }  # fmt: skip


def _recipes(record: Record) -> pd.DataFrame:
    """A row for each recipe and metric; lead is the ranker's over the recipe, paired."""
    ours, rows = record.measured[RANKER], []
    for one in record.order:
        theirs = record.measured[one.key]
        for metric in theirs.value:
            row = {"recipe": one.title, "kind": one.kind, "metric": metric} | _ends(theirs, metric)
            if one.key != RANKER and metric in ours.samples and metric in theirs.samples:
                lead = ours.less(theirs, metric)
                row |= {"lead": lead.value, "lead_low": lead.low, "lead_high": lead.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _slices(record: Record) -> pd.DataFrame:
    """A row for each slice, recipe (the ranker, the rules) and metric."""
    titles = {one.key: one.title for one in record.order}
    rows = []
    for (column, value), part in record.parts.items():
        for key, seen in ((RANKER, part.ours), (RULES, part.rules)):
            for metric in SLICED:
                if metric in seen.value:
                    where = {"slice": column, "part": value, "offers": part.offers, "recipe": titles[key]}
                    rows.append(where | {"metric": metric} | _ends(seen, metric))
    return pd.DataFrame(rows)


def _ends(measured: Measured, metric: str) -> dict[str, object]:
    seen = measured.interval(metric)
    return {"value": seen.value, "low": seen.low, "high": seen.high}
