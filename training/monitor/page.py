"""The report of a look at a model: one page that stands alone, the advice at its top, with charts inside."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from features.counted import counted
from training.blocks import day_of
from training.monitor.charts import nearest
from training.monitor.compare import Moved
from training.monitor.drift import FALSE_ALARMS, FLOOR, LEAST
from training.monitor.judgement import OLD, OUTSIDE, STALE, UNSEEN, WEIGHT, Finding
from training.monitor.watch import Monitored
from training.paper import Safe, coded, folded, picture, shell, table

STYLE = """
.said.keep { border-left-color: #2a8f6b; } .keep b.word { color: #20704f; }
.said.recalibrate { border-left-color: #d9822b; } .recalibrate b.word { color: #a85f14; }
.said.retrain { border-left-color: #c2452d; } .retrain b.word { color: #a8371f; }
.said ul { margin: 8px 0; padding-left: 20px; }
.alarm { color: #a8371f; } .watch { color: #a85f14; } .not { color: #5c6873; }
td b { white-space: nowrap; }
"""

MARKS = {
    "ok": ("ok", "ok"),
    "alarm": ("alarm", "ALARM"),
    "watch": ("watch", "look"),
    "not judged": ("not", "not judged"),
}
STATES = {"same": "ok", "moved": "alarm", "gone": "alarm", "not judged": "not judged"}
#: Charts, in the order in which they stand.
ORDER = ("features", "distributions", "rates", "calibration", "scores")


def page(seen: Monitored, charts: Mapping[str, Figure]) -> str:
    """The page as HTML: it loads nothing, and names no person."""
    title = f"Callsheet monitor: model {seen.watched.version}, {day_of(seen.recent.end)}"
    body = [
        f"<h1>Model {escape(seen.watched.version)}: is it still what it was?</h1>", _which(seen), _advice(seen),
        "<h2>What was looked at</h2>", _findings(seen.judgement.findings),
        *(_image(name, charts[name]) for name in ORDER if name in charts),
        "<h2>Features</h2>", _features(seen.compared.features), _unseen(seen.compared.unseen_values), _rules(),
    ]  # fmt: skip
    return shell(title, body, STYLE)


def _which(seen: Monitored) -> str:
    served = "The released model" if seen.watched.released else "Not released"
    start, end = day_of(seen.recent.start), day_of(seen.recent.end)
    ref = seen.reference
    return (
        f'<p class="quiet">{served}; learned from {counted(ref.rows, "offer")} of {day_of(ref.first)} to '
        f"{day_of(ref.cut)}. Window: {counted(seen.compared.rows, 'offer')} of {start} to {end}.</p>"
    )


def _advice(seen: Monitored) -> str:
    judged = seen.judgement
    if judged.reasons:
        why = "<ul>" + "".join(f"<li><b>{escape(f.check)}</b>: {escape(f.text)}</li>" for f in judged.reasons) + "</ul>"
    elif judged.silent:
        why = ""
    else:
        why = "<p>Nothing that was judged gives a reason to change it.</p>"
    looks = [f for f in judged.findings if f.state == "watch"]
    look = ""
    if looks:
        items = "".join(f"<li><b>{escape(f.check)}</b>: {escape(f.text)}</li>" for f in looks)
        look = f"<p>Worth a look, and no reason by itself:</p><ul>{items}</ul>"
    tone = judged.advice if judged.healthy or judged.advice != "keep" else "recalibrate"  # the colour of a warning
    return (
        f'<div class="card said {tone}"><b class="word">{judged.advice}</b>{why}'
        f"<p><b>What to do</b>: {coded(judged.remedy)}</p>{look}</div>"
    )


def _findings(findings: Iterable[Finding]) -> str:
    return table(("", "check", "what it saw"), [(_mark(one.state), _name(one.check), one.text) for one in findings])


def _mark(state: str, word: str = "") -> Safe:
    shade, usual = MARKS[state]
    return Safe(f'<b class="{shade}">{word or usual}</b>')


def _name(text: str) -> Safe:
    return Safe(f'<b class="name">{escape(text)}</b>')


def _image(name: str, figure: Figure) -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    return picture(drawn.getvalue(), name)


def _features(moved: Sequence[Moved]) -> str:
    ordered = nearest(moved) if any(m.limit is not None for m in moved) else sorted(moved, key=lambda m: -m.weight)
    alarmed = [m for m in ordered if m.state in ("moved", "gone")]
    rest = [m for m in ordered if m.state not in ("moved", "gone")]
    shown = alarmed + rest[: max(12 - len(alarmed), 4)]
    text = _feature_table(shown)
    if len(shown) < len(ordered):
        left = _feature_table([m for m in ordered if m not in shown])
        text += folded(f"The other {counted(len(ordered) - len(shown), 'feature')}", left)
    return text


def _feature_table(moved: Sequence[Moved]) -> str:
    rows = [
        (
            _mark(STATES[one.state], "GONE" if one.state == "gone" else ""), _name(one.name), one.family,
            f"{one.psi:.2f}", "–" if one.limit is None else f"{one.limit:.2f}", f"{one.weight:.1%}",
            *(f"{share:.0%}" for share in one.missing), f"{one.new:.1%}",
        )
        for one in moved
    ]  # fmt: skip
    head = (
        "", "feature", "family", "PSI", "limit", "part of the model", "missing then", "now", "new values",
    )  # fmt: skip
    return table(head, rows, range(3, 9))


def _unseen(values: Mapping[str, Mapping[str, int]]) -> str:
    rows = [(_name(name), value, f"{n:,}") for name, by in values.items() for value, n in list(by.items())[:10]]
    if not rows:
        return ""
    return f"<h2>Categories that training never saw</h2>{table(('feature', 'value', 'offers'), rows, (2,))}"


def _rules() -> str:
    return (
        '<h2>How this is judged</h2><div class="card quiet">'
        f"<p><b>retrain</b>: features that drifted carry {WEIGHT:.0%} of the model or more; {UNSEEN:.0%} of the offers "
        "or more hold a category that training never saw; a rate of acceptance or conversion lies beyond its interval; "
        f"the order of offers has become worse; the model is older than {OLD} conversion horizons and there is "
        "something new to learn from; the served market has changed. <b>recalibrate</b>: none of these, but a "
        "probability is off by more than chance and the gate's allowance explain. <b>keep</b>: else.</p>"
        f"<p>Nothing is judged on fewer than {FLOOR} offers. A PSI's limit is the one that a feature without drift "
        f"passes in one run of {1 / FALSE_ALARMS:,.0f} by chance, over all features together, at these two sizes, "
        f"widened by what the feature did from window to window in training, and never below {LEAST}.</p>"
        f"<p>Data older than {STALE} days, and a feature that is told no more, are to be mended at their source, "
        f"whatever is recommended. A share of {OUTSIDE:.0%} of the offers outside the market is worth a look. After a "
        "first release the offers are those that the model chose, so the first months differ by its own "
        "doing.</p></div>"
    )
