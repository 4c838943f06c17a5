"""The report of a look at a model: one page that stands alone, the advice at its top, with charts inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from training.blocks import day_of
from training.monitor.charts import nearest
from training.monitor.compare import Moved
from training.monitor.drift import FALSE_ALARMS, FLOOR, LEAST
from training.monitor.judgement import OLD, OUTSIDE, REMEDY, STALE, UNSEEN, WEIGHT, Finding
from training.monitor.watch import Monitored

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2933; background: #f4f6f8; margin: 0; }
main { max-width: 980px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 18px; margin: 34px 0 8px; }
p { margin: 6px 0; } .quiet { color: #66727f; }
.card { background: white; border-radius: 8px; padding: 16px 20px; margin: 14px 0; border: 1px solid #e3e8ee; }
.advice { border-left: 8px solid; } .advice b.word { font-size: 22px; }
.keep { border-left-color: #2a8f6b; } .keep b.word { color: #20704f; }
.recalibrate { border-left-color: #d9822b; } .recalibrate b.word { color: #a85f14; }
.retrain { border-left-color: #c2452d; } .retrain b.word { color: #a8371f; }
.advice ul { margin: 8px 0; padding-left: 20px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; background: white; }
th { text-align: left; color: #66727f; font-weight: 600; border-bottom: 2px solid #e3e8ee; padding: 6px 10px; }
td { border-bottom: 1px solid #eef1f4; padding: 6px 10px; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.mark { white-space: nowrap; font-weight: 600; }
.ok { color: #20704f; } .alarm { color: #a8371f; } .watch { color: #a85f14; } .not { color: #66727f; }
td.check { white-space: nowrap; font-weight: 600; }
img { max-width: 100%; display: block; margin: 12px 0; border: 1px solid #e3e8ee; border-radius: 8px; }
details { margin: 12px 0; } summary { cursor: pointer; color: #1f6fb2; }
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
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(filter(None, body)) + "\n</main></body></html>\n"
    )


def _which(seen: Monitored) -> str:
    served = "The released model" if seen.watched.released else "Not released"
    start, end = day_of(seen.recent.start), day_of(seen.recent.end)
    ref = seen.reference
    return (
        f'<p class="quiet">{served}; learned from {ref.rows:,} offers of {day_of(ref.first)} to {day_of(ref.cut)}. '
        f"Window: {seen.compared.rows:,} offers of {start} to {end}.</p>"
    )


def _advice(seen: Monitored) -> str:
    judged = seen.judgement
    if judged.reasons:
        why = "<ul>" + "".join(f"<li><b>{escape(f.check)}</b>: {escape(f.text)}</li>" for f in judged.reasons) + "</ul>"
    elif judged.silent:
        why = "<p>Nothing could be judged: too few offers. That is no clean bill of health.</p>"
    else:
        why = "<p>Nothing that was judged gives a reason to change it.</p>"
    looks = [f for f in judged.findings if f.state == "watch"]
    look = ""
    if looks:
        items = "".join(f"<li><b>{escape(f.check)}</b>: {escape(f.text)}</li>" for f in looks)
        look = f"<p>Worth a look, and no reason by itself:</p><ul>{items}</ul>"
    return (
        f'<div class="card advice {judged.advice}"><b class="word">{judged.advice}</b>{why}'
        f"<p><b>What to do</b>: {_code(REMEDY[judged.advice])}</p>{look}</div>"
    )


def _code(text: str) -> str:
    """Text in which `commands` stand between backticks."""
    parts = text.split("`")
    return "".join(f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(parts))


def _findings(findings: Iterable[Finding]) -> str:
    rows = []
    for one in findings:
        shade, word = MARKS[one.state]
        rows.append(
            f'<tr><td class="mark {shade}">{word}</td><td class="check">{escape(one.check)}</td>'
            f"<td>{escape(one.text)}</td></tr>"
        )
    return "<table><thead><tr><th></th><th>check</th><th>what it saw</th></tr></thead>" + "".join(rows) + "</table>"


def _image(name: str, figure: Figure) -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    data = base64.b64encode(drawn.getvalue()).decode("ascii")
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{data}">'


def _features(moved: Sequence[Moved]) -> str:
    ordered = nearest(moved) if any(m.limit is not None for m in moved) else sorted(moved, key=lambda m: -m.weight)
    alarmed = [m for m in ordered if m.state in ("moved", "gone")]
    rest = [m for m in ordered if m.state not in ("moved", "gone")]
    shown = alarmed + rest[: max(12 - len(alarmed), 4)]
    text = _feature_table(shown)
    if len(shown) < len(ordered):
        left = _feature_table([m for m in ordered if m not in shown])
        text += f"<details><summary>The other {len(ordered) - len(shown)} features</summary>{left}</details>"
    return text


def _feature_table(moved: Sequence[Moved]) -> str:
    head = (
        "<table><thead><tr><th></th><th>feature</th><th>family</th><th class=n>PSI</th><th class=n>limit</th>"
        "<th class=n>part of the model</th><th class=n>missing then</th><th class=n>now</th><th class=n>new values</th>"
        "</tr></thead>"
    )
    rows = []
    for one in moved:
        shade, word = MARKS[STATES[one.state]]
        word = "GONE" if one.state == "gone" else word
        limit = "–" if one.limit is None else f"{one.limit:.2f}"
        numbers = (f"{one.psi:.2f}", limit, f"{one.weight:.1%}", *(f"{m:.0%}" for m in one.missing), f"{one.new:.1%}")
        cells = "".join(f'<td class="n">{n}</td>' for n in numbers)
        rows.append(
            f'<tr><td class="mark {shade}">{word}</td><td class="check">{escape(one.name)}</td>'
            f"<td>{escape(one.family)}</td>{cells}</tr>"
        )
    return head + "".join(rows) + "</table>"


def _unseen(values: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        f'<tr><td class="check">{escape(name)}</td><td>{escape(value)}</td><td class="n">{n:,}</td></tr>'
        for name, by in values.items() for value, n in list(by.items())[:10]
    ]  # fmt: skip
    if not rows:
        return ""
    head = "<table><thead><tr><th>feature</th><th>value</th><th class=n>offers</th></tr></thead>"
    return f"<h2>Categories that training never saw</h2>{head}{''.join(rows)}</table>"


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
        f"<p>Data older than {STALE} days, and a share of {OUTSIDE:.0%} of the offers outside the market, are worth a "
        "look. After a first release the offers are those that the model chose, so the first months differ by its own "
        "doing.</p></div>"
    )
