"""Erasures noted beside the ledger, so that one that is lost and restored from an older backup forgets them again."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Final

from serving.ledger.database import LedgerError

log = logging.getLogger(__name__)

FILE: Final = "erasures.jsonl"
#: A line as it is written; after a torn one, earlier versions went on in the same line.
_WHOLE: Final = re.compile(r'\{"contact_hash": "([0-9a-f]{64})"\}')


def note(home: Path, contact_hash: str) -> None:
    """Add the hash of a contact's id, on the disk when this returns; call it before the erasure is committed.

    Raises LedgerError where it cannot be written: what cannot be forgotten again after a restore is not erased
    """
    path = home / FILE
    try:
        with path.open("ab") as file:
            torn = file.tell() > 0 and not path.read_bytes().endswith(b"\n")
            line = json.dumps({"contact_hash": contact_hash}).encode() + b"\n"
            file.write(b"\n" + line if torn else line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LedgerError(
            f"The erasure cannot be noted in {path}: {error.strerror}. Nothing was erased; make room or put it right, "
            "and ask again."
        ) from error


def noted(home: Path) -> frozenset[str]:
    """The hashes that were ever noted; none where there is no file. What is no such line is said, and is none."""
    path = home / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if rest := _WHOLE.sub("", line).strip():
            log.warning(
                "Line %d of %s is no erasure as this is written: %d characters, torn by a crash or changed since. "
                "Erase again whom you know to have been erased about then, and take the line out.",
                number, path, len(rest),
            )  # fmt: skip
    return frozenset(found for line in lines for found in _WHOLE.findall(line))
