"""No key, token or password lies in a file of the repository."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Read when it is imported: lines that no detector could match are passed over, which takes half the time.
os.environ.setdefault("DETECT_SECRETS_PERF_PREGATE", "1")

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

from serving.ledger.keys import FORM

ROOT = Path(__file__).resolve().parents[1]

#: What was looked at and is none: made up for a test, or the id of a key.
NONE = {"postgresql://u:secret@localhost:1/x", "postgresql://callsheet:secret@localhost/callsheet", "key:1f0c9a77be21"}

#: What detect-secrets does not know, or only in small files.
FORMS = {"key of Callsheet": FORM, "private key": re.compile(r"BEGIN [A-Z0-9 ]*PRIVATE KEY")}


def found(paths: Iterable[Path]) -> list[str]:
    """The places of what looks like a secret: file, line and kind, never the secret. No find is tried on anyone."""
    places = []
    with default_settings():
        for path in paths:
            text = path.read_text(encoding="utf-8", errors="replace")
            for kind, form in FORMS.items():
                places += [f"{path}:{text.count(chr(10), 0, m.start()) + 1} {kind}" for m in form.finditer(text)]
            lines = text.splitlines()
            for secret in scan_file(str(path)):
                if not any(known in lines[secret.line_number - 1] for known in NONE):
                    places.append(f"{path}:{secret.line_number} {secret.type}")
    return places


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # Of hashes alone; tests/test_layout.py holds it to that.
    return [p for name in listed.split("\0") if name and (p := ROOT / name).is_file() and p.name != "requirements.lock"]


def test_no_file_of_the_repository_holds_a_secret() -> None:
    assert found(tracked()) == []


# Put together here, so that this file itself holds none.
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("router.sh", "export KEY=cs_" + "1f0c9a77be21_" + "x" * 43),
        ("settings.py", 'AWS = "AKIA' + 'Q3EGZVMNTBRWLPXK"'),
        (
            "notes.md",
            "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEowIBAA" + "KCAQEAx3v5Zk8Qn7\n-----END RSA PRIVATE KEY-----",
        ),
        ("ci.yaml", "token: ghp_" + "k2JvQ8rT5xWb" + "1NzLc7YdF4hP" + "m9SgA3eUoXqI"),
        ("callsheet.yaml", "db: postgresql://callsheet:" + "Rt7vqLw2Xe@db.acme.io/crm"),
        ("settings.json", '{"pass' + 'word": "Rt7vqLw2Xe"}'),
        ("tokens.py", "TOKEN = 'eyJhbGciOiJSU" + "zI1NiJ9.eyJzdWIiOiJ" + "yb3V0ZXIifQ.c2lnbmF0d" + "XJlLW9mLXNvcnRz'"),
        ("secrets.py", f'SALT = "{hashlib.sha256(b"salt").hexdigest()}"'),
    ],
)
def test_a_planted_secret_is_found(name: str, text: str, tmp_path: Path) -> None:
    planted = tmp_path / name
    planted.write_text(f"# Written by hand\n{text}\n" + "# More of it\n" * 1000, encoding="utf-8")
    places = found([planted])
    assert any(place.startswith(f"{planted}:2 ") for place in places), places
