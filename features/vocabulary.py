"""The vocabulary of titles.yaml, made ready to be looked up: phrases, word patterns, and what each one says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from rapidfuzz.distance import Levenshtein

from features.strict_yaml import read_yaml

FUNCTIONS: Final = (
    "General Management", "Finance", "Risk & Compliance", "Legal", "Procurement", "IT", "Data", "Engineering",
    "Product", "Operations", "Marketing", "Sales", "Customer Service", "HR", "Administration",
)  # fmt: skip
LEVELS: Final = ("staff", "senior", "manager", "director", "vp", "c_level")

#: How firmly a phrase names a function: wherever it stands; unless a firm one stands beside it; if nothing else does.
STRONG, WEAK, LAST = 0, 1, 2

_PLAIN: Final = str.maketrans(
    {"ß": "ss", "ø": "o", "æ": "ae", "ł": "l", "đ": "d", "œ": "oe", "’": "'", "´": "'", "`": "'"}
)
_TYPED: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_SLIP: Final = 6  # letters that a word must have before one wrong letter is forgiven


@dataclass(frozen=True)
class Entry:
    """What a phrase says. level: place in LEVELS, -1 none. functions: (place in FUNCTIONS, firmness).

    narrow  the level that it has in a title that names a function: the head of a part, not of the whole
    """

    level: int = -1
    functions: tuple[tuple[int, int], ...] = ()
    deputy: bool = False
    aide: bool = False
    past: bool = False
    stop: bool = False
    narrow: int = -1

    def merged(self, other: Entry) -> Entry:
        """Both at once; the other's level wins where it has one."""
        held = {place for place, _ in self.functions}
        return Entry(
            other.level if other.level >= 0 else self.level,
            self.functions + tuple(f for f in other.functions if f[0] not in held),
            self.deputy or other.deputy,
            self.aide or other.aide,
            self.past or other.past,
            self.stop or other.stop,
            max(self.narrow, other.narrow),
        )


def plain(text: str) -> str:
    """Text in lower case without accents."""
    text = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    return "".join(c for c in text if not unicodedata.combining(c))


@dataclass
class Vocabulary:
    """Phrases by their words, patterns of one word, and the words that only join.

    longest   words in the longest phrase
    """

    phrases: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    whole: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    starts: list[tuple[str, Entry]] = field(default_factory=list)
    ends: list[tuple[str, Entry]] = field(default_factory=list)
    joins: frozenset[str] = frozenset()
    of: frozenset[str] = frozenset()
    seniority: dict[str, int] = field(default_factory=dict)
    longest: int = 1

    def add(self, phrase: str, entry: Entry) -> None:
        """Add a phrase, or a word with `*`, in each way it is typed."""
        for text in {plain(phrase), plain(phrase.casefold().translate(_TYPED))}:
            if text.startswith("*"):
                self.ends.append((text[1:], entry))
            elif text.endswith("*"):
                self.starts.append((text[:-1], entry))
            else:
                words = tuple(split_words(text))
                self.phrases[words] = self.phrases[words].merged(entry) if words in self.phrases else entry
                self.longest = max(self.longest, len(words))

    def word(self, word: str) -> Entry | None:
        """What one word says by its parts: a compound ("Finanzleiter"), or a known word with one slip in it."""
        found: Entry | None = None
        head = max(
            (e for e in self.ends if word.endswith(e[0]) and len(word) > len(e[0]) + 1), default=None, key=_length
        )
        body = max((s for s in self.starts if word.startswith(s[0])), default=None, key=_length)
        if head:
            found = head[1]
            rest = word.removesuffix(head[0])
            known = self.phrases.get((rest,)) or self.phrases.get((rest.removesuffix("s"),))
            if known and not body:
                found = Entry(functions=known.functions).merged(found)
        if body:
            found = Entry(functions=body[1].functions).merged(found) if found else body[1]
        return found or self._slipped(word)

    def _slipped(self, word: str) -> Entry | None:
        if len(word) < _SLIP:
            return None
        near = [w for w in self._by_letter.get(word[0], ()) if abs(len(w) - len(word)) < 2]
        meant = [w for w in near if Levenshtein.distance(w, word, score_cutoff=1) == 1]
        return self.phrases[(meant[0],)] if meant else None

    def finish(self) -> None:
        """Index the words that a slip may have been meant as: functions, and levels worth having."""
        self._by_letter: dict[str, list[str]] = {}
        for words, entry in sorted(self.phrases.items()):
            firm = any(firmness == STRONG for _, firmness in entry.functions)
            if len(words) == 1 and len(words[0]) >= _SLIP and (firm or entry.level >= LEVELS.index("manager")):
                self._by_letter.setdefault(words[0][0], []).append(words[0])


def _length(pair: tuple[str, Entry]) -> int:
    return len(pair[0])


# "R&D", "FP&A", "F&E": one word, with n for &.
_AMPERSAND: Final = re.compile(r"\b([a-z]{1,2})\s?&\s?([a-z])\b")
_WORD: Final = re.compile(r"[^\W_]+|[&/+,@]")


def split_words(text: str) -> list[str]:
    """Words and joining signs of a text that is already plain."""
    return _WORD.findall(_AMPERSAND.sub(r"\1n\2", text))


def _phrases(value: Any) -> Iterable[str]:
    """Phrases of a YAML value: a list of them, or of texts with commas between them."""
    for line in [value] if isinstance(value, str) else value:
        text = str(line)
        yield from ([text.strip()] if len(text.strip()) == 1 else filter(None, (p.strip() for p in text.split(","))))


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary in titles.yaml, read once."""
    source: Mapping[str, Any] = read_yaml(Path(__file__).with_name("titles.yaml"))
    made = Vocabulary()
    for name, firmness in (("strong", STRONG), ("weak", WEAK)):
        for function, lines in source[name].items():
            # "business" or "corporate" say little: they count only where nothing else does.
            firm = LAST if firmness == WEAK and function == FUNCTIONS[0] else firmness
            for phrase in _phrases(lines):
                if firmness == STRONG or (phrase,) not in made.phrases:
                    made.add(phrase, Entry(functions=((FUNCTIONS.index(function), firm),)))
    for level, lines in source["levels"].items():
        for phrase in _phrases(lines):
            made.add(phrase, Entry(level=LEVELS.index(level)))
    for level, functions, lines in source["posts"]:
        for phrase in _phrases(lines):
            made.add(phrase, _post(level, functions))
    for level, lines in source["fused"]:
        for phrase in _phrases(lines):
            made.add(phrase, Entry(level=LEVELS.index(level)))
    for level, functions, lines in source["whole"]:
        made.whole |= {tuple(split_words(plain(p))): _post(level, functions) for p in _phrases(lines)}
    for phrase in _phrases(source["deputy"]):
        made.add(phrase, Entry(deputy=True))
    for phrase in _phrases(source["aide"]):
        made.add(phrase, Entry(aide=True))
    for phrase in _phrases(source["past"]):
        made.add(phrase, Entry(past=True))
    for phrase in _phrases(source["stop"]):
        made.add(phrase, Entry(stop=True))
    for level, lines in source["narrow"].items():
        for phrase in _phrases(lines):
            made.add(phrase, Entry(narrow=LEVELS.index(level)))
    made.joins, made.of = frozenset(_phrases(source["joins"])), frozenset(_phrases(source["of"]))
    made.seniority = {
        " ".join(split_words(plain(p))): LEVELS.index(level)
        for level, lines in source["seniority"].items()
        for p in _phrases(lines)
    }
    made.finish()
    return made


def _post(level: str | None, functions: list[str]) -> Entry:
    named = tuple((FUNCTIONS.index(f.strip("()")), LAST if f.startswith("(") else STRONG) for f in functions)
    return Entry(LEVELS.index(level) if level else -1, named)
