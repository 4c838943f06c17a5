"""Where a run comes from: the code that made it and the data it was made from, named without any secret."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from training.examples import Examples

_ROOT = Path(__file__).resolve().parent.parent


def code() -> dict[str, str]:
    """code.version, and where the checkout tells them code.commit, code.changed and code.lock (SHA-256)."""
    try:
        found = {"code.version": version("callsheet")}
    except PackageNotFoundError:
        found = {"code.version": "not installed"}
    lock = _ROOT / "requirements.lock"
    if lock.is_file():
        found["code.lock"] = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    commit = _git("rev-parse", "HEAD")
    if commit:
        found |= {"code.commit": commit, "code.changed": str(bool(_git("status", "--porcelain", "-uno"))).lower()}
    return found


def _git(*words: str) -> str:
    """What git says of this checkout; nothing where there is no git, or the code lies in no checkout of its own."""
    if not (_ROOT / ".git").exists():
        return ""
    try:
        said = subprocess.run(
            ["git", "-C", str(_ROOT), *words],  # noqa: S607 - git is where the machine keeps it
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def without_secrets(source: str) -> str:
    """The name of a data source: an address loses its user, password and query."""
    scheme, mark, rest = source.partition("://")
    if not mark:
        return source
    host, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def digest(ids: np.ndarray) -> str:
    """What names (n,) ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids.astype(str).tolist())).encode()).hexdigest()


def dataset(examples: Examples, rows: int) -> tuple[str, str]:
    """(schema, profile) of so many rows of the examples as MLflow's dataset input has them, JSON."""
    matrix = examples.matrix
    columns = [{"type": "float", "name": name, "required": False} for name in matrix.columns]
    schema = json.dumps({"mlflow_colspec": columns})
    profile = json.dumps({"num_rows": rows, "num_elements": rows * len(matrix.columns)})
    return schema, profile
