"""Files of account ids that callsheet.yaml names."""

from __future__ import annotations

import csv
from pathlib import Path

_HEADER = "account_id"


def read_ids(path: Path, what: str) -> tuple[str, ...]:
    """The ids in a text or CSV file: its column account_id, or without that header its first column, one id a line.

    Ids keep their text ("0110" its zero); empty lines and repeats are passed over. ValueError when the file cannot
    be read or holds none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    except OSError as error:
        raise ValueError(f"the file of ids {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"the file of ids {path} is not UTF-8 text or CSV") from error
    header = [cell.casefold() for cell in rows[0]] if rows else []
    column = header.index(_HEADER) if _HEADER in header else 0
    body = rows[1:] if _HEADER in header else rows
    ids = dict.fromkeys(row[column] for row in body if len(row) > column and row[column])
    if not ids:
        raise ValueError(f"the file of ids {path}, for accounts.{what}, holds no id")
    return tuple(ids)
