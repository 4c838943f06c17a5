"""Files that are no CSV, or one to choke on: refused with a breach that says where, and in few words."""

from __future__ import annotations

import gzip
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from features.csv_text import HEADER, ROW
from features.errors import TableError
from tests.features.crm_files import FILES, breaches, read, write

SOUND = FILES["accounts"]


def zipped() -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("accounts.csv", SOUND)
    return made.getvalue()


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    marked = read(tmp_path / "marked", accounts=b"\xef\xbb\xbf" + SOUND.encode()).tables["accounts"]
    assert marked.equals(read(tmp_path / "plain").tables["accounts"])


@pytest.mark.parametrize(
    ("content", "column", "rows", "expected"),
    [
        (gzip.compress(SOUND.encode()), HEADER, (), "a header of column names, UTF-8, separated by commas"),
        (gzip.compress(bytes(100_000_000)), HEADER, (), "a header of column names, UTF-8, separated by commas"),
        (SOUND.encode("utf-16"), HEADER, (), "a header of column names, UTF-8, separated by commas"),
        (b"", HEADER, (), "a header of column names, UTF-8, separated by commas"),
        (SOUND.replace("Acme", "Acm\u00e9").encode("latin-1"), "name", (1,), "text in UTF-8"),
        (SOUND.replace("Acme", "Ac\0me").encode(), "name", (1,), "text without NUL bytes"),
        (SOUND.replace("Bolt", "x" * 131_073).encode(), ROW, (2,), "no cell over 131,072 characters"),
        (SOUND.replace("Bolt", '"Bolt').encode(), ROW, (2,), "every quote to be closed"),
        (SOUND.replace("Z\n", "Z,x\n").encode(), ROW, (1, 2), "3 fields, as the header has"),
        (SOUND.replace("A2,Bolt,2025-01-02T00:00:00Z", "A2,Bolt").encode(), ROW, (2,), "3 fields, as the header has"),
        (SOUND.replace("name", "account_id").encode(), HEADER, (), "each column once"),
    ],
    ids=[
        "gzip",
        "gzip bomb",
        "UTF-16",
        "empty",
        "Latin-1",
        "NUL",
        "huge cell",
        "open quote",
        "more",
        "fewer",
        "double",
    ],
)
def test_a_damaged_file_is_refused_at_its_place(
    tmp_path: Path, content: bytes, column: str, rows: tuple[int, ...], expected: str
) -> None:
    found = [one for one in breaches(tmp_path, accounts=content) if (one.column, one.rows) == (column, rows)]
    assert len(found) == 1
    assert expected in found[0].expected
    assert len(str(found[0])) < 1_000


def test_five_thousand_columns_too_many_are_all_named_and_the_message_stays_short(tmp_path: Path) -> None:
    more = [f"c{n}" for n in range(5_000)]
    rows = zip(SOUND.split(), [more, ["x"] * 5_000, [""] * 5_000], strict=True)
    lines = [f"{line},{','.join(cells)}" for line, cells in rows]
    with pytest.raises(TableError) as refused:
        read(tmp_path, accounts="\n".join(lines))
    assert [one.column for one in refused.value.breaches] == more
    assert len(str(refused.value)) < 1_000
    assert "Nothing was loaded" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content"), [("accounts.csv.gz", gzip.compress(SOUND.encode())), ("a.zip", zipped())], ids=["gzip", "zip"]
)
def test_what_is_packed_is_not_unpacked(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path, accounts=None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match="expected the table accounts"):
        read(tmp_path, accounts=None)
