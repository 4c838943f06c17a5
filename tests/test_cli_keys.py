"""The commands that guard the service: what a key prints and where, how it ends, and what a tampered audit says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from serving.ledger import Ledger
from tests.test_cli import Run, run

__all__ = ["run"]

CREATE = ("keys", "create", "--scope", "route,record", "--name", "lead router")


def test_a_key_alone_goes_to_standard_output(run: Run) -> None:
    made = run(*CREATE)
    assert made.code == 0
    assert re.fullmatch(r"cs_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", made.out)
    assert made.out.strip() not in made.err
    (listed,) = json.loads(run("keys", "list", "--format", "json").out)
    assert (listed["name"], listed["scopes"], listed["state"]) == ("lead router", ["route", "record"], "live")
    assert made.out.split("_", 2)[2].strip() not in json.dumps(listed)


def test_a_key_is_revoked_and_rotated_by_its_id(run: Run) -> None:
    key_id = run(*CREATE, "--expires", "90d").out.split("_")[1]
    assert run("keys", "rotate", key_id, "--overlap", "1h").out.startswith("cs_")
    assert run("keys", "revoke", key_id).code == 0
    assert run("keys", "rotate", key_id).code == 1
    states = {k["key_id"]: k["state"] for k in json.loads(run("keys", "list", "--format", "json").out)}
    assert states.pop(key_id) == "revoked"
    assert list(states.values()) == ["live"]
    assert run("keys", "revoke", "nobody").code == 1


@pytest.mark.parametrize(
    "wrong", [("--scope", "admin"), ("--expires", "soon"), ("--expires", "8wh"), ("--name", ""), ("--rep", "R1")]
)
def test_a_key_that_cannot_be_says_why(run: Run, wrong: tuple[str, str]) -> None:
    refused = run(*CREATE, *wrong)
    assert refused.code == (1 if wrong[0] == "--rep" else 2)
    assert refused.out == ""
    assert json.loads(run("keys", "list", "--format", "json").out) == []


def test_the_audit_is_verified_and_a_tampered_row_named(run: Run, tmp_path: Path) -> None:
    for n in range(3):
        run(*CREATE, "--name", f"router {n}")
    fine = run("ledger", "verify")
    assert fine.code == 0
    said = re.fullmatch(r"ok: 3 rows, the last (3:[0-9a-f]{64})\n", fine.out)
    assert said
    assert run("ledger", "verify", "--noted", said[1]).code == 0
    assert run("ledger", "verify", "--noted", f"3:{'0' * 64}").out.startswith("tampered: row 3")
    assert run("ledger", "verify", "--noted", "three").code == 2
    ledger = Ledger(f"sqlite:///{tmp_path / '.callsheet' / 'ledger.db'}")
    with ledger.writing() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET action = 'key_made' WHERE number = 2"))
    ledger.close()
    broken = run("ledger", "verify")
    assert (broken.code, broken.out) == (1, "tampered: row 2: it was changed\n")
