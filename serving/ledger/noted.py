"""Erasures noted beside the ledger, so that one that is lost and restored from an older backup forgets them again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

FILE: Final = "erasures.jsonl"


def note(home: Path, contact_hash: str) -> None:
    """Add the hash of an erased contact's id, on the disk when this returns."""
    with (home / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"contact_hash": contact_hash}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def noted(home: Path) -> frozenset[str]:
    """The hashes that were ever noted; none where there is no file. A line that was torn by a crash is none."""
    path = home / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return frozenset(json.loads(line)["contact_hash"] for line in lines if line.endswith("}"))
