"""What reports are made of: a page that stands alone, tables, pictures inside, text made safe."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2933; background: #f4f6f8; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 2px; line-height: 1.25; }
h2 { font-size: 19px; margin: 44px 0 6px; padding-top: 14px; border-top: 1px solid #dbe2e9; }
h3 { font-size: 15px; margin: 20px 0 4px; }
p { margin: 6px 0; max-width: 80ch; } .quiet { color: #5c6873; }
code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; background: #eef1f4; padding: 1px 5px;
  border-radius: 4px; overflow-wrap: anywhere; }
pre { background: #1f2933; color: #f4f6f8; border-radius: 8px; padding: 12px 16px; overflow-x: auto; }
pre code { background: none; color: inherit; padding: 0; overflow-wrap: normal; }
nav { margin: 14px 0 0; font-size: 14px; } nav a { margin-right: 14px; white-space: nowrap; }
a { color: #1a62a0; }
.card { background: white; border-radius: 8px; padding: 14px 20px; margin: 14px 0; border: 1px solid #e3e8ee; }
.said { border-left: 8px solid #9aa7b4; } .said.good { border-left-color: #2a8f6b; }
.said.bad { border-left-color: #c2452d; } .said.wait { border-left-color: #d9822b; }
.said b.word { font-size: 20px; }
.good b.word { color: #20704f; } .bad b.word { color: #a8371f; } .wait b.word { color: #a85f14; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(225px, 1fr)); gap: 12px; margin: 14px 0; }
.tile { background: white; border: 1px solid #e3e8ee; border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: #5c6873; font-size: 13px; line-height: 1.4; }
.scroll { overflow-x: auto; margin: 10px 0; border: 1px solid #e3e8ee; border-radius: 8px; background: white; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: #5c6873; font-weight: 600; border-bottom: 2px solid #e3e8ee; padding: 7px 12px;
  vertical-align: bottom; }
td { border-bottom: 1px solid #eef1f4; padding: 6px 12px; vertical-align: top; }
tr:last-child td { border-bottom: 0; } tr.ours td { background: #eef5fb; font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
td.n small { display: block; line-height: 1.25; } b.ok, b.no { white-space: nowrap; }
td small { color: #5c6873; font-weight: 400; }
.ok { color: #20704f; } .no { color: #a8371f; } .look { color: #a85f14; }
img { max-width: 100%; display: block; margin: 12px 0; border: 1px solid #e3e8ee; border-radius: 8px; }
details { margin: 12px 0; } summary { cursor: pointer; color: #1a62a0; }
@media print { body { background: white; } details > * { display: block; } h2 { break-after: avoid; }
  img, .card, .tile { break-inside: avoid; } }
"""


class Safe(str):
    """Text that is HTML already."""

    __slots__ = ()


def safe(value: object) -> str:
    """The value as it may stand on a page; only what is marked Safe keeps its tags."""
    return value if isinstance(value, Safe) else escape(str(value))


def shell(title: str, parts: Iterable[str], style: str = "") -> str:
    """A whole page: it loads nothing, and sends nothing. style: CSS beyond what pages share."""
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = (), ours: int = -1) -> str:
    """A table; numbers: places of the columns that stand to the right; ours: the row that stands out."""
    right = set(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f'<{tag} class="n">{safe(cell)}</{tag}>' if place in right else f"<{tag}>{safe(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "".join(
        f'<tr class="ours">{cells("td", row)}</tr>' if place == ours else f"<tr>{cells('td', row)}</tr>"
        for place, row in enumerate(rows)
    )
    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def picture(png: bytes, what: str) -> str:
    """A PNG inside the page; what: said to those who cannot see it."""
    return f'<img alt="{escape(what)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'


def folded(summary: str, inside: str) -> str:
    """What is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def paragraph(text: str, quiet: bool = False) -> str:
    """A paragraph; `words` between backticks are code."""
    return f'<p class="quiet">{coded(text)}</p>' if quiet else f"<p>{coded(text)}</p>"


def coded(text: str) -> Safe:
    """Text in which `words` between backticks are code."""
    parts = text.split("`")
    return Safe("".join(f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(parts)))


def tiles(values: Mapping[str, tuple[str, str]]) -> str:
    """Numbers that are read first: what it is -> (the number, what to hold it against)."""
    made = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(number)}</b><span>{escape(beside)}</span></div>'
        for name, (number, beside) in values.items()
    )
    return f'<div class="tiles">{"".join(made)}</div>'


def mark(good: bool, yes: str = "met", no: str = "NOT MET", tried: bool = True) -> Safe:
    """A word in its colour."""
    if good and not tried:
        return Safe('<b class="look">not tried</b>')
    return Safe(f'<b class="ok">{escape(yes)}</b>' if good else f'<b class="no">{escape(no)}</b>')


def between(seen: Sequence[float | None], digits: int = 3, sign: bool = False) -> Safe:
    """A value with its interval, (value, low, high); a dash where there is none."""
    if not seen or seen[0] is None or seen[0] != seen[0]:
        return Safe("–")
    form = f"+.{digits}f" if sign else f".{digits}f"
    value, low, high = (*seen, None, None)[:3]
    if low is None or high is None or low != low or high != high:
        return Safe(f"{value:{form}}")
    return Safe(f"{value:{form}} <small>({low:{form}} to {high:{form}})</small>")
