"""What a free-text title says: the functions and the level of a contact, read by the vocabulary in titles.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.vocabulary import FUNCTIONS, LAST, LEVELS, STRONG, Entry, plain, split_words, vocabulary

__all__ = ["FUNCTIONS", "LEVELS", "UNREAD", "Reading", "TitleReadings", "has_keyword", "read_title", "read_titles"]

#: A function or level that cannot be read.
UNREAD: Final = -1

_STAFF, _MANAGER, _DIRECTOR = LEVELS.index("staff"), LEVELS.index("manager"), LEVELS.index("director")
_ADMINISTRATION, _GENERAL = FUNCTIONS.index("Administration"), FUNCTIONS.index("General Management")
_ABBREVIATION: Final = re.compile(r"\b(?:[^\W\d_]\.){1,}[^\W\d_]\b\.?|\b(?:[^\W\d_]\.){2,}")
_GENDER: Final = re.compile(
    r"(?<=[^\W\d_])(?:[/:*_·](?:-?in(?:nen)?|e|a|ice|rice|trice)\b|\((?:in|a|e|trice|ne)\))|\((?:[mwfdhxiv]/?){2,4}\)|\b[mwfd]/[mwfdx](?:/[mwdx])?\b"
)
_BETWEEN_UPPER: Final = re.compile(r"(?<=[a-zäöü])In\b")  # LeiterIn
_DASH: Final = re.compile(r"\s[-–—]+\s|[;|•()\[\]–—]|-\s|\s-")
_POSSESSIVE: Final = re.compile(r"['’]s\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """One title. functions: places in FUNCTIONS, the primary one first; level: place in LEVELS, -1 unreadable."""

    functions: tuple[int, ...]
    level: int

    @property
    def names(self) -> tuple[str, ...]:
        """The functions' names."""
        return tuple(FUNCTIONS[f] for f in self.functions)

    @property
    def level_name(self) -> str | None:
        """The level's name, or None."""
        return LEVELS[self.level] if self.level >= 0 else None


@dataclass(frozen=True)
class TitleReadings:
    """Many titles.

    function   (n,) int8, primary function as a place in FUNCTIONS; -1: none can be read
    functions  (n,) int32, one bit for each function named: 1 << place
    level      (n,) int8, place in LEVELS, so that a higher one outranks a lower; -1: none can be read
    """

    function: npt.NDArray[np.int8]
    functions: npt.NDArray[np.int32]
    level: npt.NDArray[np.int8]


def read_titles(
    titles: Sequence[str | None] | npt.NDArray[np.object_],
    functions: Sequence[str | None] | npt.NDArray[np.object_] | None = None,
    seniorities: Sequence[str | None] | npt.NDArray[np.object_] | None = None,
) -> TitleReadings:
    """Read titles; what the CRM says of function and seniority goes before them where it can be read.

    titles, functions, seniorities   (n,) text or None
    Cost    about 20 µs for each title not met before in this process, else a dictionary look-up.
    """
    first, functions_, level = _each(titles, lambda title: _told(_read_or_nothing(title)))
    if functions is not None:
        said_first, said, _ = _each(functions, lambda text: _told(Reading(_said_function(text), UNREAD)))
        first, functions_ = np.where(said != 0, said_first, first), np.where(said != 0, said, functions_)
    if seniorities is not None:
        (ranked,) = _each(seniorities, lambda text: (_said_level(text),))
        level = np.where(ranked >= 0, ranked, level)
    return TitleReadings(first.astype(np.int8), functions_.astype(np.int32), level.astype(np.int8))


def _told(reading: Reading) -> tuple[int, int, int]:
    """The first function, all of them as bits, and the level."""
    functions = reading.functions
    return functions[0] if functions else UNREAD, sum(1 << f for f in functions), reading.level


def _each(
    values: Sequence[str | None] | npt.NDArray[np.object_], read: Callable[[str | None], tuple[int, ...]]
) -> npt.NDArray[np.int64]:
    """(numbers, n) what is read of each value, read once for each distinct one."""
    place, distinct = pd.factorize(np.asarray(values, dtype=object))
    told = np.array([read(value) for value in (*distinct, None)], np.int64)  # the last is for None, whose place is -1
    return np.asarray(told[place].T)


def has_keyword(
    titles: Sequence[str | None] | npt.NDArray[np.object_], keywords: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """(n,) whether a title holds one of the keywords as whole words, whatever the case and accents."""
    wanted = tuple(f" {' '.join(_words(keyword))} " for keyword in keywords)
    texts = [f" {_joined(title)} " if isinstance(title, str) else "" for title in titles]
    return np.array([any(word in text for word in wanted) for text in texts], bool)


@lru_cache(maxsize=1 << 18)
def read_title(title: str) -> Reading:
    """Read one title."""
    words = _words(title)
    hits, words = _hits(words)
    hits, demoted, aide = _relations(hits, words)
    functions = _functions(hits, words)
    part = any(f != _GENERAL for f in functions)
    level = max((h.entry.narrow if part and h.entry.narrow >= 0 else h.level for h in demoted), default=UNREAD)
    if aide or (not functions and any(h.entry.aide for h in hits) and level == _STAFF):
        functions = functions or (_ADMINISTRATION,)
    return Reading(functions, level)


def _read_or_nothing(title: str | None) -> Reading:
    return read_title(title) if isinstance(title, str) else Reading((), UNREAD)


@lru_cache(maxsize=4096)
def _said_function(text: str | None) -> tuple[int, ...]:
    if not isinstance(text, str):
        return ()
    named = [i for i, name in enumerate(FUNCTIONS) if name.casefold() == text.strip().casefold()]
    return tuple(named) or read_title(text).functions


@lru_cache(maxsize=4096)
def _said_level(text: str | None) -> int:
    if not isinstance(text, str):
        return UNREAD
    words = " ".join(w for w in split_words(plain(text.replace("_", " "))) if w not in ",/&+")
    return vocabulary().seniority.get(words, read_title(text).level)


# -- from text to words ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 18)
def _joined(title: str) -> str:
    return " ".join(_words(title))


def _words(title: str) -> list[str]:
    """Plain words and joining signs; dots of abbreviations, gender endings and possessives taken off."""
    text = _ABBREVIATION.sub(lambda m: m[0].replace(".", "") + " ", title)
    text = _BETWEEN_UPPER.sub("", _GENDER.sub("", _POSSESSIVE.sub("", text)))
    words = split_words(plain(_DASH.sub(" , ", text)))
    return _without_pronoun(words, title) if "it" in words else words


def _without_pronoun(words: list[str], title: str) -> list[str]:
    """Mark an `it` that is the pronoun. Written IT among other cases it is the department; else its neighbours tell."""
    spelled = re.findall(r"\bit\b", title, re.IGNORECASE)
    told = not (title.isupper() or title.islower())
    known, joins, result = vocabulary(), vocabulary().joins | vocabulary().of | {"in", "global", "group"}, []
    for i, word in enumerate(words):
        if word == "it" and not (told and spelled and spelled.pop(0) == "IT"):
            before, after = (words[i - 1] if i else ""), (words[i + 1] if i + 1 < len(words) else "")
            beside = not before or before in joins or (before,) in known.phrases
            follows = not after or after in joins or (after,) in known.phrases
            word = "it" if beside and (follows or before in joins) else "_it"
        result.append(word)
    return result


# -- from words to what they say ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hit:
    """A phrase found: words start..end (exclusive) of the title."""

    start: int
    end: int
    entry: Entry
    level: int


def _hits(words: list[str]) -> tuple[list[_Hit], list[str]]:
    """Longest phrases from left to right, until a word after which nothing counts; and the words up to there."""
    known, i = vocabulary(), 0
    hits: list[_Hit] = []
    first = words[: words.index(",")] if "," in words else words
    if tuple(first) in known.whole:
        whole = known.whole[tuple(first)]
        hits.append(_Hit(0, len(first), whole, whole.level))
        i = len(first)
    while i < len(words):
        end, entry = _longest(words, i)
        if entry and (entry.past or (entry.stop and hits)):
            return hits, words[:i]
        if words[i] == "chief" and end == i + 1 and "officer" in words[i + 1 : i + 8]:
            entry = Entry(level=len(LEVELS) - 1)
        if entry:
            hits.append(_Hit(i, end, entry, entry.level))
        i = end
    return hits, words


def _longest(words: list[str], i: int) -> tuple[int, Entry | None]:
    known = vocabulary()
    for end in range(min(len(words), i + known.longest), i, -1):
        entry = known.phrases.get(tuple(words[i:end]))
        if entry:
            return end, entry
    return i + 1, None if words[i] in known.joins or words[i] in known.of else _by_parts(words[i])


@lru_cache(maxsize=1 << 16)
def _by_parts(word: str) -> Entry | None:
    return vocabulary().word(word)


def _relations(hits: list[_Hit], words: list[str]) -> tuple[list[_Hit], list[_Hit], bool]:
    """Let deputies and aides have their say: (hits that name functions, hits with levels left, is an aide)."""
    levels = list(hits)
    for n, hit in enumerate(hits):
        if not (hit.entry.deputy or hit.entry.aide):
            continue
        of = vocabulary().of
        nxt = next((m for m in range(n + 1, len(hits)) if hits[m].level >= 0), None)
        gap = words[hit.end : hits[nxt].start] if nxt is not None else []
        if nxt is not None and hit.entry.deputy and not set(gap) & (vocabulary().joins | of):
            levels[nxt] = _Hit(hits[nxt].start, hits[nxt].end, hits[nxt].entry, max(hits[nxt].level - 1, _STAFF))
        elif hit.entry.aide:
            boss = nxt is not None and gap and gap[0] in of and hits[nxt].level >= _MANAGER
            before = next((h for h in reversed(hits[:n]) if h.level >= _DIRECTOR), None)
            if boss or (before and not set(words[before.end : hit.start]) & vocabulary().joins):
                kept = [_Hit(hit.start, hit.end, hit.entry, _STAFF)]
                return kept, kept, True
            levels[n] = _Hit(hit.start, hit.end, hit.entry, _STAFF)
        elif hit.entry.level < 0:
            prior = next((m for m in range(n - 1, -1, -1) if hits[m].level >= 0), None)
            if prior is not None and not set(words[hits[prior].end : hit.start]) & {",", "&", "/", "+"}:
                levels[prior] = _Hit(
                    hits[prior].start, hits[prior].end, hits[prior].entry, max(hits[prior].level - 1, 0)
                )
    return hits, levels, False


def _functions(hits: list[_Hit], words: list[str]) -> tuple[int, ...]:
    """Functions in the order in which they stand, without weak ones that only colour their neighbour."""
    named = [(hit, function, firmness) for hit in hits for function, firmness in hit.entry.functions]
    firm = [hit for hit, _, firmness in named if firmness == STRONG]
    kept: list[int] = []
    leader: _Hit | None = None
    for hit, function, firmness in named:
        if firmness == STRONG or _stands_alone(hit, firmness, firm or ([leader] if leader else []), words, named):
            kept.append(function)
            leader = hit
    return tuple(dict.fromkeys(kept))


def _stands_alone(
    hit: _Hit, firmness: int, firm: list[_Hit], words: list[str], named: list[tuple[_Hit, int, int]]
) -> bool:
    """Whether a weak function counts: no firm one is beside it, unless a joining word or sign stands between."""
    rivals = firm
    if firmness == LAST:
        rivals = [other for other, _, f in named if f != LAST]
    joins = vocabulary().joins - ({","} if firmness == LAST else set())
    if hit in rivals:
        return False
    before = max((o for o in rivals if o.end <= hit.start), key=lambda o: o.end, default=None)
    after = min((o for o in rivals if o.start >= hit.end), key=lambda o: o.start, default=None)
    joined_before = before is None or bool(set(words[before.end : hit.start]) & joins)
    joined_after = after is None or bool(set(words[hit.end : after.start]) & joins)
    return joined_before and joined_after
