"""The sections of a run's report, each a question that an analyst or marketing ops would ask, and its answer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from features.canary import KINDS
from features.counted import counted
from training.gate import PRIMARY
from training.gate.probabilities import CALIBRATION_MARGIN
from training.paper import Safe, between, folded, mark, paragraph, picture, table, tiles
from training.report.kept import Kept
from training.results import HEADLINES
from training.slices import TITLES

#: What a number means, for those who do not measure rankings for a living.
GLOSSARY = {
    "group": "offers that competed: of one market, region and week. Each recipe puts a group's offers in order.",
    "NDCG at 5": "how well the first five of each order hold the offers that were accepted, converted or won; 1 is the "
    "best order there could be.",
    "accepted, converted of the first 3": "the share of the three offers that a recipe puts first that were accepted, "
    "or became a forecast opportunity, mean over groups.",
    "log loss": "how far probabilities were from what happened; less is better. It feels a difference sooner than an "
    "order does.",
    "95 % interval": "where the number would lie in 95 of 100 logs like this one; whole accounts are drawn, for an "
    "account's offers share their fortune. Leads are paired, so two intervals that overlap may still differ.",
    "push": "how far a feature moves a score, up or down, on average over the test offers.",
}


def opening(kept: Kept, status: str) -> str:
    """What was trained on what, what it shows, and the numbers that are read first."""
    params = kept.params
    source = params.get("data.source") or "data that was not named"
    lines = [
        paragraph(
            f"Trained on {kept.trained:%d %B %Y, %H:%M} UTC from {source}, facts to {params['data.until']}; tested on "
            f"{counted(int(kept.metrics['test/offers']), 'offer')} made after {_days(params['cuts'])}, which the "
            "tested models had not seen.", quiet=True,
        ),
        paragraph(status, quiet=True) if status else "",
        f'<div class="card said {_tone(kept)[0]}"><b class="word">{_tone(kept)[1]}</b>{_reason(kept)}'
        f"{paragraph(kept.said)}{paragraph(_canary_text(kept))}</div>",
        tiles(_first(kept)),
    ]  # fmt: skip
    return "".join(lines)


def _tone(kept: Kept) -> tuple[str, str]:
    if kept.gate is None:
        return "wait", "Not judged yet"
    return ("good", "The gate let it pass") if kept.gate["passed"] else ("bad", "The gate refused it")


def _reason(kept: Kept) -> str:
    return paragraph(kept.gate["reason"]) if kept.gate else ""


def _canary_text(kept: Kept) -> str:
    canaries = kept.features["canaries"]
    return "" if canaries is None else canaries["text"]


def _days(cuts: str) -> str:
    days = cuts.split(", ")
    return days[0] if len(days) == 1 else f"{', '.join(days[:-1])} and {days[-1]}"


def _first(kept: Kept) -> dict[str, tuple[str, str]]:
    seen = kept.tables["recipes"].set_index(["recipe", "metric"])
    ours, rules = (kept.tables["recipes"].query("kind == @kind").recipe.iloc[0] for kind in ("ranker", "rules"))
    found = {}
    for metric in (PRIMARY, "accept_at_3", "convert_at_3"):
        if (ours, metric) in seen.index:
            form = ".3f" if metric == PRIMARY else ".1%"
            beside = f"the rules: {seen.value[rules, metric]:{form}}" if (rules, metric) in seen.index else ""
            found[HEADLINES[metric]] = f"{seen.value[ours, metric]:{form}}", beside
    share = kept.metrics.get("threshold/accept_one_in_three/share")
    if share is not None:
        at = {
            end: kept.metrics[f"threshold/accept_one_in_three/{end}"] for end in ("low", "high", "forecast", "offers")
        }
        found["Accepted of offers at one in three or more"] = (
            f"{share:.0%}",
            f"{at['low']:.0%} to {at['high']:.0%}; forecast {at['forecast']:.0%}: "
            f"{'kept' if at['low'] <= at['forecast'] <= at['high'] else 'NOT KEPT'}; "
            f"{counted(round(at['offers']), 'offer')}",
        )  # fmt: skip
    return found


def verdict(kept: Kept) -> str:
    """Whether it may serve, and why."""
    if kept.gate is None:
        return paragraph(
            f"`callsheet promote --model {kept.version}` has the gate judge it; nothing serves before that."
        )
    rows = [
        (mark(check["passed"], tried=check.get("tried", True)), check["name"].replace("_", " "), check["text"])
        for check in kept.gate["checks"]
    ]
    return table(("", "check", "what it saw"), rows)


def recipes(kept: Kept) -> str:
    """Every recipe on the same offers, with intervals, and the ranker's lead over each."""
    rows, frame = [], kept.tables["recipes"]
    shown = [name for name in HEADLINES if name != "convert_lift_at_3"]
    for title, part in frame[frame.kind != "ablation"].groupby("recipe", sort=False):
        by: dict[str, dict[str, Any]] = {row["metric"]: row for row in _records(part)}
        cells = [between(_ends(by[m], "value", "low", "high")) if m in by else Safe("–") for m in shown]
        lead = between(_ends(by[PRIMARY], "lead", "lead_low", "lead_high"), 3, True) if PRIMARY in by else Safe("–")
        rows.append((title, *cells, lead))
    head = ("recipe", *(HEADLINES[m] for m in shown), f"ranker's lead, {HEADLINES[PRIMARY]}")
    return (
        paragraph("Each was fitted at the same dates on the same offers and put the same later offers in order. A lead "
                  "whose interval lies above 0 is more than chance.")
        + table(head, rows, range(1, len(head)), ours=0)
        + _plots(kept, ("baselines_compared", "cumulative_gain"))
    )  # fmt: skip


def value(kept: Kept) -> str:
    """What would have come of giving every lead to each recipe's first rep, estimated from the past's choices."""
    frame, rows = kept.tables["value"], []
    for title, part in frame.groupby("recipe", sort=False):
        by = {(row["reward"], row["estimator"]): row for row in _records(part)}
        first = next(iter(by.values()))
        if isinstance(first["refused"], str):
            rows.append((title, *[Safe("–")] * 4, first["refused"]))
            continue
        told = [by.get(key) for key in (("accepted", "dr"), ("converted", "dr"), ("converted", "gain"))]
        cells = [between(_ends(row, "value", "low", "high"), 3, row is told[2]) if row else Safe("–") for row in told]
        rows.append((title, *cells, f"{first['effective_sample_size']:,.0f}", f"{first['overlap']:.0%} of its choices"))
    head = (
        "recipe",
        "accepted of an offer",
        "converted of an offer",
        "more than the past",
        "worth so many offers",
        "the log supports",
    )
    past = frame[frame.estimator == "logged"].drop_duplicates("reward").set_index("reward").value
    said = (
        "Had every lead of the test offers gone to the recipe's first rep: estimated, doubly robust, from the offers "
        "where the past chose the same rep, weighted by how likely it was to. "
    )
    if len(past) == 2:
        said += f"What the past got: {past['accepted']:.1%} accepted, {past['converted']:.1%} converted."
    return paragraph(said) + table(head, rows, range(1, 5), ours=0)


def probabilities(kept: Kept) -> str:
    """Whether p_accept and p_convert mean what they say."""
    rows: list[tuple[object, ...]] = []
    for head, words in (("accept", "p_accept"), ("convert", "p_convert")):
        error, chance = (kept.metrics.get(f"calibration_error_{head}{end}") for end in ("", "_by_chance"))
        if error is None:
            why = kept.card["heads"].get(head, {}).get("reason") or "too little to learn it from"
            rows.append((words, Safe("–"), Safe("–"), f"cannot be told: {why}"))
        else:
            allowed = CALIBRATION_MARGIN[head]
            rows.append(
                (words, f"{error:.3f}", "–" if chance is None else f"{chance:.3f}", _within(error, chance, allowed))
            )
    return (
        table(("probability", "mean error by tenth", "chance alone, up to", ""), rows, (1, 2))
        + _plots(kept, ("calibration", "threshold"))
        + _plots(kept, ("calibration_accept_by_slice", "calibration_convert_by_slice"))
    )


def _within(error: float, chance: float | None, allowed: float) -> Safe:
    if chance is None:
        return Safe("")
    if error <= chance:
        return Safe('<b class="ok">within chance</b>')
    if error <= chance + allowed:
        return Safe(f'<b class="look">beyond chance, within the {allowed:.3f} that the gate allows</b>')
    return Safe('<b class="no">beyond chance</b>')


def slices(kept: Kept) -> str:
    """Where it is good, where not."""
    frame = kept.tables["slices"]
    if frame.empty:
        return paragraph("No slice has enough test offers.")
    frame = frame[frame.metric == PRIMARY]
    rows = []
    for (column, value), part in frame.groupby(["slice", "part"], sort=False):
        seen = [between(_ends(row, "value", "low", "high")) for row in _records(part)]
        ahead = part.value.iloc[0] - part.value.iloc[-1]
        rows.append((TITLES[str(column)], value, f"{part.offers.iloc[0]:,}", *seen, f"{ahead:+.3f}"))
    head = ("", "slice", "offers", *frame.recipe.unique(), "ahead by")
    return _plots(kept, ("metric_by_slice",)) + folded("The same as a table", table(head, rows, range(2, 6)))


def families(kept: Kept) -> str:
    """What each family of features is worth."""
    rows = []
    for row in kept.features["families"]:
        cells = [
            _lost(row[way], measure) for measure in (PRIMARY, "log_loss_convert") for way in ("dropped", "permuted")
        ]
        rows.append((row["name"], row["features"], *cells, f"{np.mean(row['shares']):.0%}", f"{row['cost_ms']:.1f}"))
    head = (
        "family", "features", f"{HEADLINES[PRIMARY]}: fitted without", "its values mixed up",
        "log loss of p_convert: fitted without", "its values mixed up", "share of pushes", "ms for 1,000 pairs",
    )  # fmt: skip
    said = (
        "What is lost without a family: above 0 it helps, and where the whole interval lies above 0 by more than "
        "chance. Fitted without it, other families can stand in; with its values mixed up among the test offers they "
        "cannot, as the model was fitted to them. Cost: of computing it for 1,000 pairs on the training machine."
    )
    unused = kept.features["unused"]
    left = paragraph(f"The recipe leaves out {', '.join(unused)}.") if unused else ""
    return paragraph(said) + left + table(head, rows, range(1, len(head))) + _plots(kept, ("families_worth",))


def features(kept: Kept) -> str:
    """What the model looks at, what each feature costs, and whether it stays so."""
    agreement = kept.features["agreement"]
    steady = (
        f"Between cuts the features' ranks agree by {agreement:.2f} (mean rank correlation; 1: the same order). "
        if agreement is not None else ""
    )  # fmt: skip
    rows = []
    for row in kept.features["features"]:
        shift = row["shift"]
        rows.append((
            row["name"], row["family"], f"{np.mean(row['shares']):.1%}",
            " ".join(f"{share:.1%}" for share in row["shares"]), _lost(row["permuted"], PRIMARY),
            f"{row['known']:.0%}", "–" if shift is None else f"{shift:.2f}", f"{row['cost_ms']:.2f}", row["means"],
        ))  # fmt: skip
    head = ("feature", "family", "share of pushes", "at each cut", f"{HEADLINES[PRIMARY]} lost, mixed up", "known",
            "shift (PSI)", "ms for 1,000 pairs", "tells")  # fmt: skip
    said = (
        f"{steady}Shift: how far a feature's distribution moved from the oldest test block to the newest (PSI; counts "
        "that only grow move by themselves). A family's features of one level are computed together: each bears an "
        "equal part of that cost."
    )
    return (
        paragraph(said) + _plots(kept, ("importance", "contributions"))
        + folded(f"All {len(rows)} features", table(head, rows, (2, 3, 4, 5, 6, 7)))
    )  # fmt: skip


def canaries(kept: Kept) -> str:
    """What the recipe makes of columns that tell nothing."""
    seen: Mapping[str, Any] | None = kept.features["canaries"]
    if seen is None:
        return paragraph("None were flown.")
    rows = [
        (KINDS.get(name, name), ", ".join(kind["columns"]), f"{kind['share']:.1%}",
         f"{kind['place']} of {seen['columns']}", _lost(kind["permuted"], PRIMARY))
        for name, kind in seen["kinds"].items()
    ]  # fmt: skip
    head = ("canary", "columns", "share of pushes each", "place", f"{HEADLINES[PRIMARY]} lost, mixed up")
    added = between(seen["added"]["lost"].get(PRIMARY, ()), 3, True)
    return (
        paragraph(
            "The recipe was fitted once more with columns that can tell nothing. If one ranks, or the ranking gets "
            "better with them by more than chance, something leaks, or the recipe learns from chance."
        )
        + f"<p><b>{'A canary sings: ' + ' and '.join(seen['singing']) if seen['singing'] else 'No canary ranks'}.</b> "
        f"{HEADLINES[PRIMARY]} with canaries, less without: {added}.</p>"
        + table(head, rows, (2, 3, 4))
    )  # fmt: skip


def labels(kept: Kept) -> str:
    """How many offers each rule took, and what the rest teach."""
    log = [(row.rule, f"{row.offers:,}", row.meaning or "") for row in kept.tables["labels"].itertuples()]
    blocks = kept.tables["blocks"]
    rows = [(row[0], *(f"{int(n):,}" for n in row[1:])) for row in blocks.itertuples(index=False)]
    return (
        table(("offers", "how many", ""), log, (1,))
        + "<h3>What is known of those that teach and test</h3>"
        + table(tuple(blocks.columns), rows, range(1, len(blocks.columns)))
    )


def made(kept: Kept) -> str:
    """How it was made, and how to make it again."""
    params = kept.params
    command = ["callsheet", "train", "--data", params.get("data.source") or "DATA", "--recipe", params["recipe.name"],
               "--seed", params["seed"]]  # fmt: skip
    if params.get("data.now"):
        command += ["--as-of", params["data.now"]]
    named = {
        "Run": kept.run_id, "Version": kept.version, "Data": params["data.fingerprint"],
        "Tables that are missing": params.get("data.missing") or "none",
        "Configuration": params["config.fingerprint"], "Served market": params["config.market_fingerprint"],
        "Features": params["feature_version"], "Recipe": params["recipe.fingerprint"],
        "Code": " ".join(filter(None, (params.get("code.version"), params.get("code.commit"),
                                       "(changed since)" if params.get("code.changed") == "true" else ""))),
        "Lock file (SHA-256)": params.get("code.lock") or "not known", "Cuts": params["cuts"],
        "Seconds": ", ".join(f"{name.removeprefix('seconds/')} {value:.0f}" for name, value in kept.metrics.items()
                             if name.startswith("seconds/")),
    }  # fmt: skip
    return (
        paragraph("The same data, configuration, recipe, seed and lock file make the same model, byte for byte, with "
                  "any number of threads.")
        + f"<pre><code>{escape(shlex.join(command))}</code></pre>"
        + table(("", ""), [(name, Safe(f"<code>{escape(value)}</code>")) for name, value in named.items()])
    )  # fmt: skip


def glossary() -> str:
    """What the words of the page mean."""
    return table(("", ""), list(GLOSSARY.items()))


def _plots(kept: Kept, names: Sequence[str]) -> str:
    return "".join(picture(kept.plots[name], name.replace("_", " ")) for name in names if name in kept.plots)


def _lost(worth: Mapping[str, Any] | None, measure: str) -> Safe:
    digits = 3 if measure == PRIMARY else 4
    return between(worth["lost"].get(measure, ()), digits, True) if worth else Safe("–")


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _ends(row: Mapping[str, Any], *names: str) -> list[float | None]:
    return [None if row[name] is None else float(row[name]) for name in names]
