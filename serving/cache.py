"""Verified local copies of models: no byte is trusted before its hash is, and no worker loads what a probe has not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from features.errors import ModelError
from models import store
from models.product import Product
from serving.computing import computing
from serving.crashes import Crashes

#: What loading a model may cost; a file that is whole and yet drives the loader mad is stopped here.
PROBE_SECONDS = 60
PROBE_MEMORY = 4 * 1024**3
#: What scoring 200 pairs may take of one core: five times what the gate allows, for it is asked of every worker's
#: machine, and only a model that would hold up its callers is to be refused.
SCORING_MS = 50.0

HEX = frozenset("0123456789abcdef")


class ModelCache:
    """HOME/models/<content hash>/: what serves is read from here, and nowhere else."""

    def __init__(self, home: Path) -> None:
        self.root, self.crashes = home.resolve() / "models", Crashes(home)

    def folder(self, content_hash: str) -> Path:
        """Where a model lies, or would lie. Raises ModelError for what is no content hash."""
        if len(content_hash) != 64 or not HEX.issuperset(content_hash):
            raise ModelError(f"{content_hash[:70]!r} is no content hash.", field="content_hash")
        return self.root / content_hash

    def fetch(self, content_hash: str, source: Path) -> Path:
        """Copy a model's files here, unless a whole copy is here already; a damaged one is replaced.

        source   a folder that holds the files, such as the registry's; read once, checked before it is written
        Raises   ModelError when the source is not that model, or its files cannot be written here
        """
        target = self.folder(content_hash)
        try:
            store.read(target, expected=content_hash)
            return target
        except ModelError:
            files = store.read(source, expected=content_hash)
        try:
            self._put(files, target)
        except OSError as error:
            raise ModelError(
                f"The model {content_hash[:12]} cannot be written to {self.root}: {error.strerror}. What is there "
                "is as it was; make room or put it right, and ask again."
            ) from error
        return target

    def _put(self, files: Mapping[str, bytes], target: Path) -> None:
        """Write the files beside, and let them be the model as a whole."""
        self.root.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".fetch-", dir=self.root))
        try:
            store.write(files, made)
            if target.exists():
                target.rename(Path(tempfile.mkdtemp(prefix=".damaged-", dir=self.root)) / target.name)
            made.rename(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def load(self, content_hash: str) -> Product:
        """The model, once its bytes are verified and another process has survived loading it.

        Raises ModelError; ModelGone where it is not here, ModelHeldBack where workers crash by it
        """
        folder = self.folder(content_hash)
        self.crashes.check(content_hash)
        store.read(folder, expected=content_hash)
        probe(folder, content_hash)
        with computing(content_hash):
            return Product.load(folder, expected=content_hash)


def probe(folder: Path, content_hash: str, *, seconds: float = PROBE_SECONDS, memory: int = PROBE_MEMORY) -> None:
    """Load and try a model in a process of its own: a native crash, a hang or a flood of memory ends only that.

    One that takes more than SCORING_MS for 200 pairs is refused, too. Cost: about 2 s, most of it imports.
    Raises ModelError saying how it ended
    """
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    limits = [str(int(seconds)), str(memory), str(SCORING_MS)]
    command = [sys.executable, "-m", "serving.probe", str(folder), content_hash, *limits]
    try:
        tried = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            # What a loader says as it dies may be any bytes of the model.
            capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"The model {content_hash[:12]} did not load within {seconds:.0f} s.") from None
    if tried.returncode:
        how = f"signal {-tried.returncode}" if tried.returncode < 0 else f"exit {tried.returncode}"
        said = tried.stderr.strip().splitlines()
        raise ModelError(f"The model {content_hash[:12]} failed its trial ({how}): {said[-1] if said else 'no word'}")
