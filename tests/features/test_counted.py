"""Counts and their words agree; and no count is written with a noun that cannot follow it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.counted import counted

ROOT = Path(__file__).resolve().parents[2]
#: What is counted in sentences for people; where such a word follows a number of things directly, it must agree.
COUNTED = {
    "accounts", "breaches", "configurations", "contacts", "decisions", "entries", "leads", "offers", "pairs",
    "places", "questions", "reps", "rounds", "rows", "workers",
}  # fmt: skip


def test_words_agree_with_their_number() -> None:
    assert [counted(n, "lead") for n in (0, 1, 2, 2000)] == ["0 leads", "1 lead", "2 leads", "2,000 leads"]
    assert [counted(n, "breach", "breaches") for n in (1, 3)] == ["1 breach", "3 breaches"]
    assert [counted(n, "lead is held", "leads are held") for n in (1, 3)] == ["1 lead is held", "3 leads are held"]


def unagreed(source: str) -> Iterator[int]:
    """Lines of f-strings in which something that varies stands right before such a word; a key is no sentence."""
    nodes = list(ast.walk(ast.parse(source)))
    keys = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    for node in nodes:
        if not isinstance(node, ast.JoinedStr) or id(node) in keys:
            continue
        for number, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant):
                spaced, words = str(text.value)[:1] == " ", str(text.value).split()
                constant = isinstance(number.value, ast.Name) and number.value.id.isupper()
                if spaced and words and words[0].strip(".,;:)") in COUNTED and not constant:
                    yield text.lineno


def test_a_count_that_does_not_agree_is_found() -> None:
    assert list(unagreed('x = f"{len(leads):,} leads"')) == [1]
    assert list(unagreed('x = f"{MIN_ROWS} offers of {name}"')) == []


@pytest.mark.parametrize("room", ["features", "models", "training", "serving"])
def test_every_count_in_a_sentence_agrees(room: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / room).rglob("*.py")
        for line in unagreed(path.read_text(encoding="utf-8"))
    }
    assert not found, "write it with features.counted"
