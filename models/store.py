"""A model on disk: text and JSON files under a manifest of hashes, and nothing is read before its bytes are checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from features.errors import ModelError, ModelGone

MANIFEST = "manifest.json"
#: No model of ours comes near; a file that does is refused before it is read.
LARGEST = 512 * 1024 * 1024


def content_hash(files: Mapping[str, bytes]) -> str:
    """sha256, hex, of the canonical listing of file names and their sha256."""
    return _over({name: _digest(content) for name, content in files.items()})


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files, each flushed to disk, and the manifest last: without it the folder is no model."""
    folder.mkdir(parents=True, exist_ok=True)
    others = {path.name for path in folder.iterdir()} - set(files) - {MANIFEST}
    if others:
        raise ModelError(f"{folder} holds {sorted(others)[0]}, which is no part of the model; choose an empty folder.")
    listing = {name: {"sha256": _digest(content), "size": len(content)} for name, content in sorted(files.items())}
    manifest = {"content_hash": content_hash(files), "files": listing}
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, content in files.items():
        _write(folder / name, content)
    _write(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())


def read(folder: Path, *, expected: str | None = None) -> dict[str, bytes]:
    """The files of a model, every byte checked against the manifest, and the manifest against `expected`.

    Raises ModelError for a missing, added, cut, grown or changed file, a broken manifest, or another content hash;
    ModelGone where there is no manifest
    """
    listing, stated = _manifest(folder)
    if expected is not None and stated != expected:
        raise ModelError(f"The model in {folder.name} is {stated[:12]}, not the {expected[:12]} that is asked for.")
    there = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(there ^ set(listing)):
        raise ModelError(f"The model lacks {name}." if name in listing else f"The model holds {name}, unlisted.")
    files = {}
    for name, (digest, size) in listing.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
            raise ModelError(f"The model's {name} is not the {size} bytes that its manifest lists.")
        content = path.read_bytes()
        if _digest(content) != digest:
            raise ModelError(f"The model's {name} was changed: its hash is not the manifest's.")
        files[name] = content
    if _over({name: digest for name, (digest, _) in listing.items()}) != stated:
        raise ModelError("The model's manifest was changed: its content hash is not that of its files.")
    return files


@contextmanager
def understood() -> Iterator[None]:
    """Turn whatever goes wrong in reading verified files into a ModelError: they are whole, but not ours."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"The files are no model of this version of Callsheet: {error}") from error


def expect_format(found: object, ours: int) -> None:
    """Raises ModelError when a model was written in another format."""
    if found != ours:
        raise ModelError(
            f"The model is in format {found}; this version of Callsheet reads format {ours}: train it again, or serve "
            "it with the version that made it."
        )


def _manifest(folder: Path) -> tuple[dict[str, tuple[str, int]], str]:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > 1_000_000:
            raise ModelError("The model's manifest is too large to be one.")
        content = json.loads(path.read_bytes())
        listing = {name: (entry["sha256"], entry["size"]) for name, entry in content["files"].items()}
        stated = content["content_hash"]
    except OSError:
        raise ModelGone(f"There is no model in {folder.name}: it has no {MANIFEST}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError("The model's manifest is damaged.") from None
    sizes = [size for _, size in listing.values()]
    plain = all(Path(name).name == name and not name.startswith(".") for name in listing)
    sound = all(isinstance(size, int) and 0 <= size <= LARGEST for size in sizes)
    if not plain or not sound or not isinstance(stated, str):
        raise ModelError("The model's manifest is damaged.")
    return listing, stated


def _over(digests: Mapping[str, str]) -> str:
    return _digest(json.dumps(digests, sort_keys=True, separators=(",", ":")).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
