"""Titles as people write them, and what a person judges each to say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.titles import FUNCTIONS, LEVELS, UNREAD, has_keyword, read_title, read_titles
from features.vocabulary import vocabulary

GOLDEN = Path(__file__).with_name("titles.txt").read_text(encoding="utf-8").splitlines()[1:]
ROWS = [tuple(part.strip() for part in line.split("|")) for line in GOLDEN]


@pytest.mark.parametrize(("title", "level", "functions"), ROWS, ids=[row[0] for row in ROWS])
def test_a_title_is_read_as_a_person_would(title: str, level: str, functions: str) -> None:
    reading = read_title(title)
    assert (reading.level_name or "-", "; ".join(reading.names) or "-") == (level, functions)


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda t: f"  {t} ", lambda t: t.replace(" ", "  ")])
def test_case_and_spaces_change_nothing(change) -> None:  # type: ignore[no-untyped-def]
    titles = [title for title, _, _ in ROWS if "IT" not in title and "It" not in title and ":in" not in title]
    assert [read_title(change(title)) for title in titles] == [read_title(title) for title in titles]


def test_levels_are_in_order_of_rank() -> None:
    ladder = ["Analyst", "Senior Analyst", "Finance Manager", "Finance Director", "VP Finance", "CFO"]
    read = read_titles(ladder).level
    assert read.tolist() == list(range(len(LEVELS)))


def test_a_batch_is_what_single_titles_are() -> None:
    titles = [title for title, _, _ in ROWS] + [None, ""]
    read = read_titles(titles)
    for i, title in enumerate(titles):
        one = read_titles([title])
        assert (one.function[0], one.functions[0], one.level[0]) == (read.function[i], read.functions[i], read.level[i])
    assert read.function[-2:].tolist() == [UNREAD, UNREAD]
    assert read.functions[-2:].tolist() == [0, 0]


def test_every_function_named_has_its_bit() -> None:
    read = read_titles(["VP Finance & IT"])
    assert read.function[0] == FUNCTIONS.index("Finance")
    assert read.functions[0] == 1 << FUNCTIONS.index("Finance") | 1 << FUNCTIONS.index("IT")


@pytest.mark.parametrize(
    ("function", "seniority", "expected"),
    [
        (None, None, ("Finance", "manager")),
        ("IT", None, ("IT", "manager")),
        ("information technology", "C-Level", ("IT", "c_level")),
        ("Einkauf", "VP", ("Procurement", "vp")),
        ("risk & compliance", "c_suite", ("Risk & Compliance", "c_level")),
        ("???", "???", ("Finance", "manager")),
        ("Finance", "Entry", ("Finance", "staff")),
        ("Finance", "Individual Contributor", ("Finance", "staff")),
        ("Finance", "director", ("Finance", "director")),
    ],
)
def test_what_the_crm_says_goes_before_the_title(
    function: str | None, seniority: str | None, expected: tuple[str, str]
) -> None:
    read = read_titles(["Treasury Manager"], [function], [seniority])
    assert (FUNCTIONS[read.function[0]], LEVELS[read.level[0]]) == expected


@pytest.mark.parametrize(
    ("title", "keywords", "found"),
    [
        ("Head of BI", ["BI"], True),
        ("Mobile Lead", ["BI"], False),
        ("Director Cash-Management", ["cash management"], True),
        ("Responsable Trésorerie", ["tresorerie"], True),
        ("Enterprise Architect", ["analytics", "architect"], True),
        ("R&D Lead", ["R&D"], True),
        (None, ["BI"], False),
        ("", ["BI"], False),
    ],
)
def test_keywords_are_whole_words(title: str | None, keywords: list[str], found: bool) -> None:
    assert has_keyword([title], keywords).tolist() == [found]


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(title: str) -> None:
    reading = read_title(title)
    assert -1 <= reading.level < len(LEVELS)
    assert all(0 <= f < len(FUNCTIONS) for f in reading.functions)


@given(st.sampled_from(["CFO", "VP Finance", "Leiter Finanzen", "Director of IT"]))
def test_an_assistant_has_never_the_rank_of_the_boss(boss: str) -> None:
    for title in (
        f"Assistant to the {boss}",
        f"Executive Assistant to {boss}",
        f"PA to the {boss}",
        f"{boss} Assistant",
    ):
        assert LEVELS[read_title(title).level] == "staff"


def test_the_vocabulary_teaches_every_function_and_level() -> None:
    entries = list(vocabulary().phrases.values())
    assert {f for entry in entries for f, _ in entry.functions} == set(range(len(FUNCTIONS)))
    assert {entry.level for entry in entries} - {UNREAD} == set(range(len(LEVELS)))
