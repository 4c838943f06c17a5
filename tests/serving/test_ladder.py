"""The ladder: no damaged, foreign or misplaced model is ever loaded, and routing goes on without it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import ModelError
from models import store
from serving.cache import ModelCache, probe
from serving.ladder import NOT_ENOUGH_DATA, Standing, climb
from serving.ledger import Ledger
from serving.ledger.releases import Releases
from serving.recommend import Recommender
from tests.serving.conftest import Crm


def climbed(crm: Crm, home: Path) -> Standing:
    ledger = Ledger.open(None, home)
    try:
        return climb(Releases(ledger), ModelCache(home), crm.config)
    finally:
        ledger.close()


def folder(crm: Crm, home: Path, place: int) -> Path:
    return home / "models" / crm.products[place].content_hash


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_champion_serves(crm: Crm, home: Path) -> None:
    found = climbed(crm, home)
    assert (found.rung, found.version, found.reason) == ("champion", "2", None)
    assert found.product is not None
    assert found.product.content_hash == crm.products[1].content_hash


def test_nothing_released_means_the_rules_and_says_not_enough_data(crm: Crm, tmp_path: Path) -> None:
    found = climbed(crm, tmp_path)
    assert (found.rung, found.product, found.reason) == ("owner_territory", None, NOT_ENOUGH_DATA)
    answer = Recommender(crm.book, crm.config, found).reps_for_lead(str(crm.book.lead_ids[-1]))
    assert answer["degraded"]
    assert "not enough data" in answer["degraded_reason"]
    assert (answer["policy"], answer["model_version"]) == ("fallback", None)


def test_a_damaged_champion_leaves_the_last_good_model(crm: Crm, home: Path) -> None:
    damage(folder(crm, home, 1) / "product.json")
    found = climbed(crm, home)
    assert (found.rung, found.version) == ("last_good", "1")
    assert found.reason is not None
    assert "model 2 cannot serve" in found.reason
    answer = Recommender(crm.book, crm.config, found).reps_for_lead(str(crm.book.lead_ids[-1]))
    assert (answer["rung"], answer["policy"], answer["degraded"]) == ("last_good", "fallback", True)
    assert answer["model_version"] == "1"


def test_both_models_damaged_leave_the_rules(crm: Crm, home: Path) -> None:
    damage(folder(crm, home, 1) / "accept.txt")
    shutil.rmtree(folder(crm, home, 0))
    found = climbed(crm, home)
    assert (found.rung, found.product) == ("owner_territory", None)


def test_a_model_judged_for_another_market_does_not_serve(crm: Crm, home: Path) -> None:
    name, market = next(iter(crm.config.markets.items()))
    smaller = market.model_copy(update={"solutions": market.solutions[:1]})
    moved = crm.config.model_copy(update={"markets": {**crm.config.markets, name: smaller}})
    vars(moved).pop("market_fingerprint", None)
    assert moved.market_fingerprint != crm.config.market_fingerprint
    found = climbed(replace(crm, config=moved), home)
    assert found.product is None
    assert found.reason is not None
    assert "the served market has changed" in found.reason


def test_a_model_for_other_features_does_not_serve(crm: Crm, tmp_path: Path) -> None:
    ledger = Ledger.open(None, tmp_path)
    crm.products[0].save(tmp_path / "models" / crm.products[0].content_hash)
    Releases(ledger).promote(replace(crm.released(0), feature_version="older"), seen=0, reason="long ago")
    ledger.close()
    found = climbed(crm, tmp_path)
    assert found.product is None
    assert found.reason is not None
    assert "other features" in found.reason


def test_rolled_back_to_the_rules_says_why(crm: Crm, home: Path) -> None:
    ledger = Ledger.open(None, home)
    releases = Releases(ledger)
    for seen in (2, 3):
        releases.rollback(seen=seen, reason="reps complained")
    ledger.close()
    found = climbed(crm, home)
    assert found.product is None
    assert found.reason == "rolled back to the rules: reps complained"


def mutations(rng: random.Random, source: Path, target: Path) -> str:
    """Copy a model and damage the copy in one of many ways; what was done."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    path = rng.choice(sorted(target.iterdir()))
    content = path.read_bytes()
    how = rng.choice(("flip", "cut", "empty", "zeros", "gone", "pickle", "more", "link", "swap"))
    at = rng.randrange(len(content))
    if how == "flip":
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :])
    elif how == "cut":
        path.write_bytes(content[:at])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "zeros":
        path.write_bytes(content[:at] + bytes(min(4096, len(content) - at)) + content[at + 4096 :])
    elif how == "gone":
        path.unlink()
    elif how == "pickle":
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    elif how == "more":
        (target / "extra.py").write_text("import os")
    elif how == "link":
        path.unlink()
        path.symlink_to(source / path.name)
    elif path.suffix == ".txt":
        path.write_bytes(content.replace(b"feature_names=", b"feature_names=other ", 1))
    else:
        path.write_bytes(content + b" ")
    return f"{how} {path.name} at {at}"


def test_damaged_files_are_refused_before_anything_is_loaded(crm: Crm, home: Path, tmp_path: Path) -> None:
    """Hundreds of ways; each is refused by the hash, so that no byte of it reaches a parser."""
    rng = random.Random(7)
    source = folder(crm, home, 0)
    target = tmp_path / source.name
    for _ in range(300):
        how = mutations(rng, source, target)
        unchanged = "manifest" in how and store.read(source) == _read_or_none(target)
        if not unchanged:  # a space after the manifest's JSON changes nothing of the model
            with pytest.raises(ModelError):
                store.read(target, expected=source.name)


def _read_or_none(path: Path) -> object:
    try:
        return store.read(path)
    except ModelError:
        return None


def test_a_model_whose_manifest_was_forged_too_is_not_the_released_one(crm: Crm, home: Path) -> None:
    place = folder(crm, home, 0)
    files = store.read(place)
    files["accept.txt"] += b"\n"
    shutil.rmtree(place)
    store.write(files, place)
    store.read(place)
    with pytest.raises(ModelError):
        ModelCache(home).load(crm.products[0].content_hash)


def test_a_whole_file_that_is_no_model_is_refused(crm: Crm, tmp_path: Path) -> None:
    files = dict(crm.products[0].files)
    files["accept.txt"] = b"tree\nversion=v4\nnum_class=99999999\n" * 3
    digest = store.content_hash(files)
    store.write(files, tmp_path / "models" / digest)
    with pytest.raises(ModelError):
        ModelCache(tmp_path).load(digest)


@pytest.mark.parametrize("version", ["v5", "v3", "v4.1"])
def test_trees_of_another_lightgbm_are_refused_though_every_byte_is_as_it_was_signed(
    crm: Crm, tmp_path: Path, version: str
) -> None:
    """LightGBM reads them without a word, and the golden scores may come out the same."""
    files = dict(crm.products[0].files)
    assert files["accept.txt"].startswith(b"tree\nversion=v4\n")
    files["accept.txt"] = files["accept.txt"].replace(b"version=v4", f"version={version}".encode(), 1)
    digest = store.content_hash(files)
    store.write(files, tmp_path / "models" / digest)
    with pytest.raises(
        ModelError, match=f"'tree version={version}'; LightGBM .* writes 'tree version=v4': train again"
    ):
        ModelCache(tmp_path).load(digest)


def test_a_loader_that_dies_takes_only_the_trial_with_it(
    crm: Crm, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A native crash, a hang and a flood of memory, staged in place of the interpreter that runs the trial."""
    place = folder(crm, home, 0)
    endings = {
        "kill -SEGV $$": "signal", "sleep 30": "did not load", "echo no >&2; exit 3": "no",
        "printf '\\351\\n' >&2; kill -SEGV $$": "signal",  # its last words are no text
    }  # fmt: skip
    for script, said in endings.items():
        fake = tmp_path / "python"
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(fake))
        with pytest.raises(ModelError, match=said):
            probe(place, crm.products[0].content_hash, seconds=1)


def test_the_trial_is_held_to_its_memory(crm: Crm, home: Path) -> None:
    with pytest.raises(ModelError, match="failed its trial"):
        probe(folder(crm, home, 0), crm.products[0].content_hash, memory=64 * 1024**2)


def test_a_model_that_would_hold_up_its_callers_does_not_serve(
    crm: Crm, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.cache.SCORING_MS", -1.0)
    with pytest.raises(ModelError, match=r"ms to score 200 pairs; allowed are -1"):
        ModelCache(home).load(crm.products[0].content_hash)


def test_fetch_copies_only_what_is_whole_and_mends_a_damaged_copy(crm: Crm, home: Path, tmp_path: Path) -> None:
    cache, source = ModelCache(tmp_path / "other"), folder(crm, home, 0)
    digest = crm.products[0].content_hash
    assert cache.fetch(digest, source) == cache.folder(digest)
    damage(cache.folder(digest) / "product.json")
    cache.fetch(digest, source)
    assert store.read(cache.folder(digest), expected=digest) == store.read(source)
    damage(source / "product.json")
    cache.fetch(digest, source)  # a whole copy is here already
    shutil.rmtree(cache.folder(digest))
    with pytest.raises(ModelError):
        cache.fetch(digest, source)
    assert not cache.folder(digest).exists()
    assert not [p for p in cache.root.iterdir() if p.name.startswith(".fetch")]


@pytest.mark.parametrize("name", ["", "../../etc", "A" * 64, "0" * 63, "/" * 64])
def test_only_a_content_hash_names_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        ModelCache(tmp_path).folder(name)


def test_nothing_is_unpickled_on_the_way(crm: Crm, home: Path) -> None:
    """An audit hook in a process of its own sees every pickle that is opened while the champion is loaded."""
    code = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)
from pathlib import Path
from models.product import Product
before = len(seen)
Product.load(Path(sys.argv[1]))
sys.exit(len(seen) - before)
"""
    import subprocess

    root = str(Path(__file__).resolve().parents[2])
    place = folder(crm, home, 1)
    tried = subprocess.run([sys.executable, "-c", code, str(place)], check=False, env=os.environ | {"PYTHONPATH": root})
    assert tried.returncode == 0
    assert not [p for p in place.iterdir() if p.suffix not in (".json", ".txt")]
    json.loads((place / "manifest.json").read_bytes())
